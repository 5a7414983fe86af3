"""`scenekit score coco`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError, nearest

if TYPE_CHECKING:
    from scenekit.metrics.coco import Kind


def coco(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's layout.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="Results in COCO's layout.")],
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="What to score: bbox, segm, keypoints. Default: all that the results hold."
        ),
    ] = None,
    sigmas: Annotated[
        str | None,
        typer.Option(metavar="S1,S2,...", help="Falloff of OKS per keypoint. Default: those of COCO's 17 keypoints."),
    ] = None,
    max_dets: Annotated[
        int | None,
        typer.Option(
            "--max-dets",
            metavar="N",
            min=1,
            help="How many detections of an image and a class count. Default: 100, of keypoints 20.",
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Average precision of boxes, masks and keypoints, equal to pycocotools."""
    from scenekit.metrics.coco import score_files
    from scenekit.metrics.notes import Notes

    notes = Notes()
    with output.console.status("scoring"):
        scores = score_files(ground_truth, results, _kinds(kinds), _sigmas(sigmas), max_dets, notes)
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
        return
    for kind, metrics in scores.items():
        output.print_scores(kind, metrics, ("AP", "AP50"))


def _kinds(text: str | None) -> "list[Kind] | None":
    """Return the kinds of AP in `bbox,segm`."""
    from scenekit.metrics.coco import METRICS

    names = None if text is None else [name.strip() for name in text.split(",")]
    if unknown := [name for name in names or () if name not in METRICS]:
        raise InputError(f"--kinds: cannot score {unknown[0]!r}{nearest(unknown[0], list(METRICS))}")
    return None if names is None else [kind for kind in METRICS if kind in names]


def _sigmas(text: str | None) -> list[float] | None:
    """Return the positive numbers in `0.1,0.2`."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise InputError(f"--sigmas expects positive numbers such as 0.05,0.1, not {text!r}")
    return numbers
