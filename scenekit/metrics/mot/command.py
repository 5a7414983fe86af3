"""`scenekit score mot`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output

SHOWN = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDP", "IDR", "IDS", "FP", "FN", "MT", "ML", "Frag")
"""Metrics of the table."""


def mot(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT_DIR", help="Folder of ground truth; see above.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of predictions, SEQUENCE.txt each.")],
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="motchallenge or kitti; by default what the files look like."),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Class to score, may be repeated; of MOTChallenge's also its number. Default: pedestrian, or KITTI's"
            " car and pedestrian.",
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Compute metrics of tracking: HOTA, CLEAR (MOTA, MOTP) and identity (IDF1), of each sequence and of all.

    Ground truth of MOTChallenge is in SEQUENCE/gt/gt.txt or SEQUENCE.txt: frame,
    id, left, top, width, height, considered, class, visibility. KITTI's is in
    label_02/SEQUENCE.txt or SEQUENCE.txt: frame, id, then the columns of a label.

    What matches a distractor or lies in a DontCare region counts neither way, by
    the rules of each benchmark. Ratios are fractions; IDS, FP, FN, MT, ML and
    Frag are counts.
    """
    from scenekit.io.track_files import track_format
    from scenekit.metrics.mot import score_mot_files
    from scenekit.metrics.notes import Notes

    notes = Notes()
    scores = score_mot_files(
        ground_truth,
        prediction,
        None if format is None else track_format(format),
        classes or None,
        lambda names: output.progress(names, "scoring"),
        notes,
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
        return
    for name, rows in scores.items():
        _print_class(name, rows)


def _print_class(name: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table of a class: a row for each sequence, and one for all."""
    cells = [(sequence, *(output.rounded(row[metric]) for metric in SHOWN)) for sequence, row in rows.items()]
    output.print_table(f"tracking of {name}", ("sequence", *SHOWN), cells)
