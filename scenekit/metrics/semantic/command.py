"""`scenekit score semantic`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError


def semantic(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT_PNGS", help="Folder of label maps, one an image.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED_PNGS", help="Folder of label maps of the same names.")],
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file of class names, a line each: that of label 0 comes first."),
    ] = None,
    ignore_label: Annotated[int, typer.Option(metavar="LABEL", help="The label of pixels that do not count.")] = 255,
    as_json: output.JsonOption = False,
) -> None:
    """Compute mean IoU of label maps, one confusion matrix over all images.

    A pixel of a PNG file holds its label: 8 or 16 bits in one channel, or the
    index of a palette. Labels count from 0. Classes that no ground truth shows
    are left out of the means.
    """
    from scenekit.metrics.notes import Notes
    from scenekit.metrics.semantic import score_label_maps

    notes = Notes()
    classes = None if names is None else _lines(names)
    scores = score_label_maps(
        ground_truth, prediction, classes, ignore_label, lambda files: output.progress(files, "scoring"), notes
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        output.print_scores("semantic segmentation", scores, ("IoU", "ACC"))


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a text file of class names, a line each ({error})") from None
