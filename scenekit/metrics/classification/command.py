"""`scenekit score classification`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def classification(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT", help="Text file: an image and its class a line.")],
    prediction: Annotated[
        Path, typer.Argument(metavar="PRED", help="Text file: an image and its classes, best first, a line.")
    ],
    as_json: output.JsonOption = False,
) -> None:
    """Compute top-1 and top-5 accuracy of the classes of images.

    Values of a line are separated by tabs, commas or spaces. An image without
    a prediction counts as wrong.
    """
    from scenekit.metrics.classification import score_class_files
    from scenekit.metrics.notes import Notes

    notes = Notes()
    scores = score_class_files(ground_truth, prediction, notes)
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        output.print_scores("image classification", scores, ("top1", "top5", "images"))
