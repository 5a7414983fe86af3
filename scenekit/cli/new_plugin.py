"""`scenekit new-plugin`: a distribution with a plugin, its test and all that pip needs, to start from."""

from __future__ import annotations

import keyword
import re
from enum import StrEnum
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError
from scenekit.io.files import write_atomically

PLACEHOLDER = "example"
"""Each template is a distribution in itself, with a plugin of this name."""


class Kind(StrEnum):
    """What a plugin brings; each has a folder of `scenekit/templates`."""

    IMAGE = "image"
    OBJECT = "object"
    PAIR = "pair"
    DETECTOR = "detector"
    DATASET = "dataset"
    METRIC = "metric"
    COMMAND = "command"


NOUNS = {
    Kind.IMAGE: "task",
    Kind.OBJECT: "task",
    Kind.PAIR: "task",
    Kind.DETECTOR: "detector",
    Kind.DATASET: "data set",
    Kind.METRIC: "metric",
    Kind.COMMAND: "command",
}
"""What messages call it."""

NEXT = {
    Kind.DETECTOR: "scenekit check --detector {}",
    Kind.DATASET: "scenekit check --data {}",
    Kind.METRIC: "scenekit score {} --help",
    Kind.COMMAND: "scenekit {} --help",
}
"""What to run first; for tasks `scenekit check NAME`."""


def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plugin, such as distance or acme-thing.")],
    kind: Annotated[
        Kind,
        typer.Option(help="A task of the image, of each object or of pairs of objects, or another kind of plugin."),
    ] = Kind.OBJECT,
    data: Annotated[bool, typer.Option("--data", help="The same as --kind dataset.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder in which that of the plugin is made.")] = Path("."),
) -> None:
    """Write a distribution with a new plugin that works at once: code, test, README and pyproject.toml."""
    if data:
        if kind not in (Kind.OBJECT, Kind.DATASET):
            raise InputError(f"--data stands for --kind dataset; it cannot be combined with --kind {kind}")
        kind = Kind.DATASET
    name = name.replace("-", "_")
    check_name(name, kind)
    folder = out / f"scenekit-{dashed(name)}"
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another name or --out, or remove it")
    write_plugin(name, kind, folder)
    output.print_text(f"{folder}: the {NOUNS[kind]} {name!r} is in scenekit_{name}.py")
    output.print_text(f"next: pip install -e {folder} && {NEXT.get(kind, 'scenekit check {}').format(name)}")


def check_name(name: str, kind: Kind) -> None:
    """Raise InputError for what cannot name a plugin of a kind and its module, and for names that are taken."""
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        raise InputError(f"a plugin's name is a Python identifier in lower case, such as distance, not {name!r}")
    if find_spec(f"scenekit_{name}") is not None:
        raise InputError(f"a module scenekit_{name} is installed already; choose another name than {name!r}")
    if name in taken_names(kind):
        noun = "task or a part of every model" if NOUNS[kind] == "task" else NOUNS[kind]
        raise InputError(f"there is a {noun} named {name!r} already; choose another name")


def taken_names(kind: Kind) -> set[str]:
    """Return the names that a plugin of a kind cannot have."""
    if kind in (Kind.METRIC, Kind.COMMAND):
        group = "scenekit.score" if kind is Kind.METRIC else "scenekit.commands"
        return {entry.name.replace("-", "_") for entry in entry_points(group=group)}
    from scenekit.hooks import registry
    from scenekit.testing.images import VOCABULARY
    from scenekit.testing.toy_core import core_of, stages_of

    if kind in (Kind.DETECTOR, Kind.DATASET):
        return set(registry().names(kind.value))
    stages, _ = stages_of(core_of(VOCABULARY))
    return {*registry().names("task"), *(stage.name for stage in stages)}


def write_plugin(name: str, kind: Kind, folder: Path) -> None:
    """Write the template of a kind with `name` in place of the placeholder, in file names too."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}") from error
    for template in files("scenekit").joinpath("templates", kind.value).iterdir():
        if template.is_file():
            content = renamed(template.read_text(encoding="utf-8"), name)
            write_atomically(folder / renamed(template.name, name), content.encode())


def renamed(text: str, name: str) -> str:
    """Return `text` about the plugin `name`: as a distribution, a constant, a class and everywhere else."""
    words = {
        f"scenekit-{PLACEHOLDER}": f"scenekit-{dashed(name)}",
        PLACEHOLDER.upper(): name.upper(),
        PLACEHOLDER.capitalize(): "".join(map(str.capitalize, name.split("_"))),
        PLACEHOLDER: name,
    }
    for old, new in words.items():
        text = re.sub(rf"{old}(?!=)", new, text)  # `example=` is an argument of sk.Key, not the name
    return text


def dashed(name: str) -> str:
    """Return the name as distributions are named."""
    return name.replace("_", "-")
