"""What data sets of files share when they are opened: options, faulty entries, the images that are there, caches."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jaxtyping import UInt8
from torch import Tensor

from scenekit.errors import InputError, listed, nearest
from scenekit.io.images import read_image
from scenekit.keys import Key
from scenekit.structures.geometry import Size

_log = logging.getLogger(__name__)

SHOWN = 5
"""How many faults a message spells out."""

Faulty = Literal["refuse", "skip"]
"""What to do about faulty entries: raise InputError, or leave them out with a warning."""


def checked_faulty(faulty: str) -> None:
    """Raise InputError for another value of the option."""
    if faulty not in ("refuse", "skip"):
        raise InputError(f"faulty must be 'refuse' or 'skip', got {faulty!r}")


def report(faults: Collection[str], faulty: Faulty) -> None:
    """Raise InputError with the first faults, or warn of them."""
    if not faults:
        return
    told = listed(faults, SHOWN, "; ")
    if faulty == "refuse":
        raise InputError(f"{told}; mend the file, or leave such entries out with the option faulty=skip")
    _log.warning("%s; left out", told)


def keys_named(names: Iterable[str] | None, known: Iterable[Key[Any, Any]], what: str) -> frozenset[Key[Any, Any]]:
    """Keys by name, all of them for None. Raises InputError for a name that `what` has no labels of."""
    by_name = {key.name: key for key in known}
    for name in names or ():
        if name not in by_name:
            raise InputError(f"{what} no labels {name!r}{nearest(name, list(by_name))}")
    return frozenset(by_name[name] for name in (by_name if names is None else names))


def renamed(classes: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """What classes of the files shall be called: themselves, where only names are given."""
    named = dict(classes) if isinstance(classes, Mapping) else {name: name for name in classes}
    if not named or isinstance(classes, str):
        raise InputError(f"expected names of classes such as [car, bus], or {{Car: car}}, got {classes!r}")
    return named


def present(names: Sequence[str], folder: Path) -> list[bool]:
    """Which of these files are in the folder. Raises InputError where there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"expected a folder of images, but {folder} is none; name it with images=")
    there = {parent: names_in(folder / parent) for parent in {os.path.dirname(name) for name in names}}
    return [os.path.basename(name) in there[os.path.dirname(name)] for name in names]


def image_of_size(path: Path, size: Size, where: object) -> UInt8[Tensor, "3 H W"]:
    """The image. Raises InputError that begins with `where` if it has another height and width."""
    image: Tensor = read_image(path)
    if tuple(image.shape[1:]) != tuple(size):
        raise InputError(f"{where}: its size is given as {list(size)}, {path} has {list(image.shape[1:])}")
    return image


def cache_folder(cache: str | Path | bool | None, name: str, what: str, instead: str) -> Path | None:
    """The folder in which `what` are kept, made if need be: `cache`, or `name` in the user's cache folder.

    None for no cache: where `cache` is False, and where nobody asked for one and it can't be made.
    """
    if cache is False:
        return None
    asked = cache is not None
    if cache is None or cache is True:
        base = os.environ.get("SCENEKIT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scenekit"
        cache = Path(base).expanduser() / name
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if asked:
            raise InputError(
                f"can't keep {what} in {cache} ({error}); choose another cache folder, or False"
            ) from error
        _log.warning("can't keep %s in %s (%s); %s", what, cache, error.strerror, instead)
        return None
    return Path(cache)


def names_in(folder: Path) -> frozenset[str]:
    """One look at a folder is quicker than one at each of 100,000 files."""
    return frozenset(entry.name for entry in os.scandir(folder)) if folder.is_dir() else frozenset()
