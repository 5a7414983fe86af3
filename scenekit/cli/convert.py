"""`scenekit convert`: checkpoints of other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError

FOREIGN = (".pth", ".pt", ".pkl", ".bin", ".ckpt")
"""Endings that would promise a format which is not written here."""


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE[/NAME]", help="Whose weights, such as torchvision/maskrcnn_resnet50_fpn.")
    ],
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The file with the weights.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A file ending in .safetensors, or a folder.")
    ],
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Names of the classes, one a line, in their order.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Make a model of another library's checkpoint; it then serves as --model and in sk.load."""
    if out.suffix in FOREIGN:
        raise InputError(f"--out: a file ending in .safetensors or a folder is expected, got {out}")
    names = None if labels is None else read_labels(labels)
    from scenekit import weights

    model = weights.convert(source, checkpoint, names)
    weights.save_model(model, out, extra={"source": source})
    if as_json:
        output.print_json({"model": str(out), "tasks": model.tasks, "classes": len(model.vocabulary.labels)})
    else:
        print(f"wrote {out}; use it with: scenekit predict --model {out} IMAGE")


def read_labels(path: Path) -> list[str]:
    """The lines of a file that say something."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a text file with one label a line is expected ({error})") from error
    return [line.strip() for line in lines if line.strip()]
