"""`scenekit score localization`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def localization(
    ground_truth: Annotated[
        Path, typer.Argument(metavar="GT", help="Text file: an image, its class and a box x y width height a line.")
    ],
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="Text file: the same, best first.")],
    cutoff: Annotated[int, typer.Option(min=1, help="How many predictions of an image count (ILSVRC: 5).")] = 1,
    iou: Annotated[float, typer.Option(min=0.0, max=1.0, help="The least IoU of a box that counts as right.")] = 0.5,
    as_json: output.JsonOption = False,
) -> None:
    """Compute accuracy and localization error: wrong class, or a box of too small IoU.

    Values of a line are separated by tabs, commas or spaces. An image without
    a prediction counts as wrong.
    """
    from scenekit.metrics.localization import score_localization_files

    scores = score_localization_files(ground_truth, prediction, cutoff, iou)
    if as_json:
        output.print_json(scores)
    else:
        totals = [(name, output.rounded(value)) for name, value in scores.items()]
        output.print_table("single-object localization", ("metric", "value"), totals)
