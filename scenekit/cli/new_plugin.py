"""`scenekit new-plugin`: a distribution with a task, its test and all that pip needs, to start from."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from scenekit.errors import InputError
from scenekit.io.files import write_atomically

PLACEHOLDER = "example"
"""The template is a distribution in itself, with a task of this name."""


def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the task, such as distance.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder in which that of the plugin is made.")] = Path("."),
) -> None:
    """Write a distribution with a new task that works at once: code, test, README and pyproject.toml."""
    check_name(name)
    folder = out / f"scenekit-{dashed(name)}"
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another name or --out, or remove it")
    write_plugin(name, folder)
    print(f"{folder}: the task {name!r} is in scenekit_{name}.py")
    print(f"next: pip install -e {folder} && scenekit check {name}")


def check_name(name: str) -> None:
    """Raise InputError for what cannot name a task and a module, and for names that are taken."""
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        raise InputError(f"a plugin's name is a Python identifier in lower case, such as distance, not {name!r}")
    if find_spec(f"scenekit_{name}") is not None:
        raise InputError(f"a module scenekit_{name} is installed already; choose another name than {name!r}")
    from scenekit.hooks import registry
    from scenekit.testing.images import VOCABULARY
    from scenekit.testing.toy_core import core_of, stages_of

    stages, _ = stages_of(core_of(VOCABULARY))
    if name in {*registry().names("task"), *(stage.name for stage in stages)}:
        raise InputError(f"there is a task or a part of every model named {name!r} already; choose another name")


def write_plugin(name: str, folder: Path) -> None:
    """The template with `name` in place of the placeholder, in file names too."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}") from error
    for template in files("scenekit").joinpath("templates", "plugin").iterdir():
        if template.is_file():
            content = renamed(template.read_text(encoding="utf-8"), name)
            write_atomically(folder / renamed(template.name, name), content.encode())


def renamed(text: str, name: str) -> str:
    """`text` about the task `name`: as a distribution, a constant, a class and everywhere else."""
    words = {
        f"scenekit-{PLACEHOLDER}": f"scenekit-{dashed(name)}",
        PLACEHOLDER.upper(): name.upper(),
        PLACEHOLDER.capitalize(): "".join(map(str.capitalize, name.split("_"))),
        PLACEHOLDER: name,
    }
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def dashed(name: str) -> str:
    """As distributions are named."""
    return name.replace("_", "-")
