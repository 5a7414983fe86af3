"""`scenekit score kitti`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def kitti(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT_DIR", help="Folder of label files, one an image.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of files of the same names.")],
    as_json: output.JsonOption = False,
) -> None:
    """Compute KITTI's average precision: 2D boxes, orientation (AOS), from above (BEV) and 3D, in percent.

    Both folders hold text files as KITTI's label_2 does: class, truncated,
    occluded, alpha, left, top, right, bottom, height, width, length, x, y, z,
    rotation_y; of predictions also the score. Empty files: no objects. They may
    also lie one folder deeper, in label_2 and, of predictions, in data.

    AP40 at the strict overlaps is what the benchmark's site shows. Scored are
    Car, Pedestrian and Cyclist; a note names other classes that are left out.
    """
    from scenekit.metrics.kitti import score_kitti_files
    from scenekit.metrics.notes import Notes

    notes = Notes()
    scores = score_kitti_files(ground_truth, prediction, lambda files: output.progress(files, "scoring"), notes)
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        _print_kitti(scores)


def _print_kitti(scores: Mapping[str, float]) -> None:
    """Print a table for each kind of average: a row per class and metric, a column per difficulty and overlap."""
    names = [name.removeprefix("KITTI/").split("_") for name in scores]
    for kind in ("AP40", "AP11"):
        own = [name for name in names if name[2] == kind and len(name) == 5]
        columns = list(dict.fromkeys((difficulty, level) for _, _, _, difficulty, level in own))
        rows = [
            (
                f"{name}, {metric}",
                *(output.rounded(scores[f"KITTI/{name}_{metric}_{kind}_{d}_{level}"]) for d, level in columns),
            )
            for name, metric in dict.fromkeys((name, metric) for name, metric, *_ in own)
        ]
        output.print_table(f"KITTI {kind}", ("percent", *(f"{d}, {level}" for d, level in columns)), rows)
