"""`scenekit export`: a model whose networks run in another runtime."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.weights.exporting import Export


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model such as small, or a checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="A new or empty folder.")],
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="onnx, openvino, pt2, or the format of a plugin.")
    ] = "onnx",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Resize images to this size in pixels, and take no other one."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Take images of any size, as without --size.")] = False,
    tasks: output.TasksOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Export the networks of a model; the folder is a model for --model and for scenekit.load."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out: {out} exists and is not an empty folder; name another one, or delete it")
    if dynamic and size is not None:
        raise InputError("--size and --dynamic exclude each other; name one of them")
    sides = None if size is None else parse_size(size)
    names = output.task_names(tasks)
    from scenekit.weights import load
    from scenekit.weights.exporting import export as write
    from scenekit.weights.grafting import CORE, Scion, graft

    source = load(model) if names is None else graft([Scion(model, (*CORE, *names))])[0]
    with output.console.status("exporting") as status:
        done = write(source, out, format, sides, progress=lambda name: status.update(f"exporting {name}"))
    left = done.left_in(source)
    if as_json:
        networks = {name: about.model_dump() for name, about in done.networks.items()}
        output.print_json(
            {"model": str(out), "format": format, "networks": networks, "refused": done.refused, "in_torch": left}
        )
        return
    output.print_table("", ("part", "networks", "MB", "weights left to torch"), _rows(source, done, left))
    output.print_text(f"wrote {out}; use it with: scenekit predict --model {out} IMAGE")


def _rows(model: SceneModel, done: Export, left: dict[str, float]) -> list[tuple[str, str, str, str]]:
    """Return a row for each stage and head that has weights."""
    rows = []
    for kind, parts in (("stages", model.stages), ("heads", model.heads)):
        for name in (name for name, part in parts.items() if any(True for _ in part.parameters())):
            files = [about for own, about in done.networks.items() if f"{own}.".startswith(f"{kind}.{name}.")]
            size = sum(about.bytes for about in files) / 1e6
            rows.append((name, str(len(files)), f"{size:.2f}", f"{left[name]:.0%}"))
    return rows


def parse_size(text: str) -> tuple[int, int]:
    """Parse the option --size.

    Args:
        text: Height and width, as 480x640.

    Returns:
        Both, in pixels.

    Raises:
        InputError: It is no size.
    """
    if (found := re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)) is None:
        raise InputError(f"--size: expected height and width in pixels, such as 480x640, got {text!r}")
    return int(found[1]), int(found[2])
