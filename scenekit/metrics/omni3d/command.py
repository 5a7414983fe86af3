"""`scenekit score omni3d`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def omni3d(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in Omni3D's layout.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    truncation: Annotated[float, typer.Option(help="Ignore objects truncated by so much, as a share.")] = 0.33333333,
    visibility: Annotated[
        float, typer.Option(help="Ignore objects of which no more than this share is visible.")
    ] = 0.33333333,
    min_height: Annotated[float, typer.Option(help="Ignore objects no higher than this share of the image.")] = 1 / 16,
    boxes: Annotated[
        str, typer.Option(metavar="KIND", help="2D boxes of the ground truth: tight, trunc or proj.")
    ] = "trunc",
    proximity: Annotated[
        bool, typer.Option("--proximity", help="Leave out detections that are close to no object: labels have gaps.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    r"""Compute AP of 3D boxes by Omni3D's protocol, and of their 2D boxes; fractions.

    PRED.json: \[{"image_id", "category_id", "bbox": \[x, y, width, height],
    "score", "depth", "bbox3D": eight corners}]. Corners are in metres of the
    camera, in the order (0,0,0) (1,0,0) (1,1,0) (0,1,0) of the unit cube, then
    the same at z = 1. Categories go by the ids in GT.json.
    """
    from scenekit.metrics.notes import Notes
    from scenekit.metrics.omni3d import Omni3DFilter, read_kind, score_omni3d_files

    rules = Omni3DFilter(truncation, visibility, min_height)
    notes = Notes()
    scores = score_omni3d_files(
        ground_truth,
        prediction,
        rules,
        read_kind(boxes),
        proximity,
        lambda cells: output.progress(cells, "scoring"),
        notes,
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
        return
    for mode, metrics in scores.items():
        per_class = {name: {"AP": value} for name, value in metrics["per_category_AP"].items()}
        totals = {name: value for name, value in metrics.items() if name != "per_category_AP"}
        output.print_scores(f"Omni3D {mode}", {**totals, "per_class": per_class}, ("AP",))
