"""`scenekit score panoptic`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def panoptic(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's panoptic layout.")],
    target_maps: Annotated[Path, typer.Argument(metavar="GT_PNGS", help="Folder of its PNG files.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions in the same layout.")],
    predicted_maps: Annotated[Path, typer.Argument(metavar="PRED_PNGS", help="Folder of their PNG files.")],
    all_crowds: Annotated[
        bool,
        typer.Option(
            "--all-crowds", help="Ignore predictions on every crowd segment of a category, not on the last alone."
        ),
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Compute panoptic quality (PQ, SQ, RQ) by the official protocol."""
    from scenekit.metrics.notes import Notes
    from scenekit.metrics.panoptic import score_panoptic_files

    notes = Notes()
    scores = score_panoptic_files(
        ground_truth,
        target_maps,
        prediction,
        predicted_maps,
        "all" if all_crowds else "last",
        lambda images: output.progress(images, "scoring"),
        notes,
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        present = {name: row for name, row in scores["per_class"].items() if row["tp"] + row["fp"] + row["fn"] > 0}
        output.print_scores("panoptic segmentation", {**scores, "per_class": present}, ("PQ", "SQ", "RQ"))
