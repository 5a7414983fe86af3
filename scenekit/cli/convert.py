"""`scenekit convert`: conversion of other libraries' checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError

FOREIGN = (".pth", ".pt", ".pkl", ".bin", ".ckpt")
"""Suffixes of other formats, which are refused as output."""


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE[/NAME]", help="Weight source, such as torchvision/maskrcnn_resnet50_fpn.")
    ],
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The file with the weights.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A file ending in .safetensors, or a folder.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="Class names, one per line, in their order; ??? first is background."
        ),
    ] = None,
    entry: Annotated[
        str | None,
        typer.Option(
            "--entry", metavar="NAME", help="Entry of the file with the weights, such as model; averages go first."
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Convert another library's checkpoint to a model for --model and sk.load."""
    if out.suffix in FOREIGN:
        raise InputError(f"--out: expected a file ending in .safetensors or a folder, got {out}")
    names = None if labels is None else read_labels(labels)
    from scenekit import weights
    from scenekit.structures.image_classes import IMAGE_CLASSES

    model = weights.convert(source, checkpoint, names, entry)
    weights.save_model(model, out, extra={"source": source})
    if as_json:
        vocabulary = model.vocabulary
        classes = vocabulary.labels or vocabulary.lists.get(IMAGE_CLASSES, ())
        output.print_json({"model": str(out), "tasks": model.tasks, "classes": len(classes)})
    else:
        output.print_text(f"wrote {out}; use it with: scenekit predict --model {out} IMAGE")


def read_labels(path: Path) -> list[str]:
    """Load class names from a text file; empty lines are skipped.

    Args:
        path: Path of the file.

    Returns:
        The names.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a text file with one label per line ({error})") from error
    return [line.strip() for line in lines if line.strip()]
