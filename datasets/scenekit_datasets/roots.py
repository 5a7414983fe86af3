"""Opening data sets of files: options, faulty entries, existing images, caches."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal
from urllib.parse import unquote

from jaxtyping import UInt8
from torch import Tensor

from scenekit.errors import InputError, SkippedSampleError, listed, nearest, one_line, repr_of, warn_once
from scenekit.io.files import path_named, user_cache
from scenekit.io.images import TURNS, orientation_of, read_image
from scenekit.keys import Key
from scenekit.structures.geometry import Size

_log = logging.getLogger(__name__)

SHOWN = 5
"""How many issues a message lists."""

UPLOAD = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""

IMAGES = "images"
"""Option that names the folder of the images."""

MAX_REPORTED = 20
"""Images whose issues are listed in warnings."""

SPELLINGS = {"val": ("val", "valid", "validation")}
"""Names that a split has in paths."""

Faulty = Literal["refuse", "skip"]
"""What to do with faulty entries: raise InputError, or skip them with a warning."""

Exif = Literal["apply", "ignore"]
"""What to do with EXIF orientations of images: turn them upright, or read them as they are stored."""


def report(issues: Collection[str], faulty: Faulty, done: str = "skipped") -> None:
    """Report issues of a data set.

    Args:
        issues: One message per issue.
        faulty: Whether to raise an error or to warn.
        done: What is done with such entries, for the warning.

    Raises:
        InputError: With the first issues, for "refuse".
    """
    if not issues:
        return
    summary = listed(issues, SHOWN, "; ")
    if faulty == "refuse":
        raise InputError(f"{summary}; fix the file, or skip such entries with the option faulty=skip")
    warn_once(_log, f"{summary}; {done}")


@contextmanager
def skipping(faulty: Faulty) -> Iterator[None]:
    """Provide a context in which an error means that the sample cannot be used.

    Args:
        faulty: Whether it is an error, or the sample is skipped.

    Returns:
        A context manager.

    Raises:
        SkippedSampleError: Instead of an InputError, for "skip".
    """
    try:
        yield
    except InputError as error:
        if faulty == "refuse":
            raise
        raise SkippedSampleError(str(error)) from error


class ImageReporter:
    """Reports the issues of each image once; warnings are of the first images that have any.

    Args:
        faulty: Whether to raise an error or to warn.
    """

    def __init__(self, faulty: Faulty) -> None:
        self.faulty: Faulty = faulty
        self._reported: set[int] = set()

    def report(self, index: int, issues: Collection[str]) -> None:
        """Report the issues of an image.

        Args:
            index: Index of the image.
            issues: One message per issue.

        Raises:
            InputError: With the first issues, for "refuse".
        """
        new = index not in self._reported and len(self._reported) < MAX_REPORTED
        if issues and (self.faulty == "refuse" or new):
            self._reported.add(index)
            report(issues, self.faulty)


def check_index(index: int, count: int) -> None:
    """Check the index of an image.

    Args:
        index: The index.
        count: Number of images of the data set.

    Raises:
        IndexError: If there is no such image; iteration over a data set ends by it.
    """
    if not 0 <= index < count:
        raise IndexError(f"image {index} of a data set of {count}")


def keys_named(names: Iterable[str] | None, known: Iterable[Key[Any, Any]], what: str) -> frozenset[Key[Any, Any]]:
    """Select keys by name.

    Args:
        names: Names of keys; None for all.
        known: Keys that the data set has.
        what: Beginning of the error message, such as "KITTI has".

    Returns:
        The keys.

    Raises:
        InputError: If a name is unknown.
    """
    by_name = {key.name: key for key in known}
    for name in names or ():
        if name not in by_name:
            raise InputError(f"{what} no labels {name!r}{nearest(name, list(by_name))}")
    return frozenset(by_name[name] for name in (by_name if names is None else names))


def class_names(classes: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return the class name for each class of the files.

    Args:
        classes: Names of classes, or for each class of the files its name in the vocabulary.

    Returns:
        Names in the vocabulary by those in the files.

    Raises:
        InputError: If there is no class.
    """
    named = dict(classes) if isinstance(classes, Mapping) else {name: name for name in classes}
    if not named or isinstance(classes, str):
        raise InputError(f"expected names of classes such as [car, bus], or {{Car: car}}, got {classes!r}")
    return named


def with_split(name: str | Path, split: str) -> Path:
    """Return the path that an option names, with the split in the place of `{split}`.

    Args:
        name: The path.
        split: Name of the split.

    Returns:
        The path; of the split val the one with "valid" or "validation", where only that exists.

    Raises:
        InputError: If no file can have the name.
    """
    paths = [path_named(str(name).replace("{split}", each)) for each in SPELLINGS.get(split, (split,))]
    return next((path for path in paths if path.exists()), paths[0])


def located(names: Sequence[str], folder: Path, option: str = IMAGES) -> list[str | None]:
    """Find files below a folder, also those whose name is that of another system, or has another folder or none.

    Where none of the images is found, files anywhere below the folder count that have the name without its folders.

    Args:
        names: Paths as an annotation file has them.
        folder: The folder that they are relative to; no file outside of it is found.
        option: Name of the option that names it, for the error message.

    Returns:
        Paths relative to the folder; None for missing files, and where several names may mean one file.

    Raises:
        InputError: If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one with these files with {option}=")
    listing = functools.cache(lambda parent: names_in(folder / parent))
    found = {name: next((n for n in _spellings(name) if _is_in(n, listing)), None) for name in names}
    if names and option == IMAGES and not any(found.values()):
        found = _by_last_part(names, folder)
    shared = {place for place, count in Counter(found.values()).items() if count > 1}
    found = {name: None if place in shared and place != name else place for name, place in found.items()}
    moved = [name for name, place in found.items() if place not in (None, name)]
    if moved:
        name = moved[0]
        warn_once(_log, f"{len(moved)} files of {folder} have another name in it, such as {found[name]!r} for {name!r}")
    return [found[name] for name in names]


def located_file(name: str, folder: Path) -> Path:
    """Return the path of one file, see `located`.

    Args:
        name: Its path as an annotation file has it.
        folder: The folder that it is relative to.

    Returns:
        The path.

    Raises:
        InputError: If there is no such file below the folder.
    """
    found = next((place for place in _spellings(name) if os.path.isfile(folder / place)), None)
    if found is None:
        raise InputError(f"no such file: {lacking(name, folder)}")
    return folder / found


def lacking(name: str, folder: Path) -> str:
    """Return a part of the message for a missing file.

    Args:
        name: Its path as an annotation file has it.
        folder: The folder that it is relative to.

    Returns:
        The name and the folder; with a hint where the name leads out of it.
    """
    hint = "" if _is_below(name) else "; only files below it are read, so name a folder above them instead"
    return f"{repr_of(name)}, which {folder} lacks{hint}"


def _by_last_part(names: Iterable[str], folder: Path) -> dict[str, str | None]:
    """Find files by their names without folders, where no two files have the same one."""
    places: dict[str, str | None] = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in files:
            place = (Path(parent).relative_to(folder) / file).as_posix()
            places[file] = None if file in places else place
    return {name: next((places[last] for last in _last_parts(name) if places.get(last)), None) for name in names}


def _last_parts(name: str) -> Iterator[str]:
    """Yield a name without its folders: as it is, decoded as a part of a URL, without the prefix of an upload."""
    last = name.replace("\\", "/").rpartition("/")[2]
    yield from (last, unquote(last), UPLOAD.sub("", unquote(last)))


def _spellings(name: str) -> Iterator[str]:
    """Yield places below the folder: the name and its ends; Cityscapes'."""
    if _is_below(name):
        yield name
    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    parts = [part for part in path.parts if part not in ("..", path.anchor)]
    yield from ("/".join(parts[start:]) for start in range(len(parts)))
    city, _, rest = name.partition("_")
    if _is_below(name) and rest.endswith("leftImg8bit.png"):
        for plain in (name, name.replace("_gtFine_", "_")):
            yield from (plain, f"{city}/{plain}")


def _is_below(name: str) -> bool:
    """Return whether a path stays below the folder that it is relative to."""
    return "\\" not in name and not name.startswith("/") and ".." not in name.split("/")


def _is_in(name: str, listing: Callable[[str], Collection[str]]) -> bool:
    return bool(name) and os.path.basename(name) in listing(os.path.dirname(name))


def image_of_size(path: Path, size: Size, where: object, exif: Exif = "apply") -> UInt8[Tensor, "3 H W"]:
    """Read an image of known size.

    Args:
        path: The file.
        size: Expected (height, width) in pixels.
        where: Beginning of the error message.
        exif: Whether to apply its EXIF orientation.

    Returns:
        The image.

    Raises:
        InputError: If it has another size.
    """
    image: Tensor = read_image(path, upright=exif == "apply")
    found = tuple(image.shape[1:])
    if found != tuple(size):
        hint = _exif_hint(path, exif) if found == tuple(size)[::-1] else ""
        raise InputError(f"{where}: its size is given as {list(size)}, {path} has {list(found)}{hint}")
    return image


def _exif_hint(path: Path, exif: Exif) -> str:
    """Return why width and height have changed places, if it is for the EXIF tag."""
    turn = orientation_of(path)
    if turn < 5:
        return ""
    if exif == "ignore":
        return f" as it is stored; its EXIF orientation is {turn}: open the data set with exif=apply to turn it upright"
    return (
        f" when it is {TURNS[turn]}, as its EXIF orientation {turn} says; open the data set with exif=ignore if the"
        " labels are for the image as it is stored"
    )


def cache_folder(cache: str | Path | bool | None, name: str, what: str, instead: str) -> Path | None:
    """Return the folder of a cache, created if necessary.

    Args:
        cache: The folder; None or True for the user's cache folder; False for none.
        name: Name of the folder in the user's cache folder.
        what: Its content, for messages.
        instead: What happens without a cache, for the warning.

    Returns:
        The folder; None without a cache, which includes a default folder that cannot be created.

    Raises:
        InputError: If a requested folder cannot be created.
    """
    if cache is False:
        return None
    asked = cache is not None
    if cache is None or cache is True:
        cache = user_cache() / name
    try:
        folder = path_named(cache)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, InputError) as error:
        if asked:
            raise InputError(
                f"can't keep {what} in {repr_of(cache)} ({error}); choose another cache folder, or False"
            ) from error
        _log.warning("can't keep %s in %s (%s); %s", what, cache, one_line(error), instead)
        return None
    return folder


def names_in(folder: Path) -> frozenset[str]:
    """List the names in a folder: one listing is faster than a check of each of 100,000 files.

    Args:
        folder: The folder.

    Returns:
        Names of its files and folders; empty where it does not exist.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # of a name with a null character
        return frozenset()
    except OSError as error:
        raise InputError(f"cannot read the folder {repr_of(str(folder))}: {error.strerror}") from None
