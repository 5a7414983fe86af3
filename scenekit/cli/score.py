"""`scenekit score`: metrics of result files against ground-truth files, without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.errors import InputError, nearest

if TYPE_CHECKING:
    from scenekit.evaluation.coco import Kind

app = typer.Typer(name="score", no_args_is_help=True, help="Score result files against ground truth, without a model.")


@app.command("coco")
def coco(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's layout.")],
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
    as_json: output.JsonOption = False,
) -> None:
    """Average precision of boxes, masks and keypoints, equal to pycocotools."""
    from scenekit.evaluation.coco_files import score_files

    with output.console.status("scoring"):
        scores = score_files(truth, results, _kinds(kinds), _numbers(sigmas))
    if as_json:
        output.print_json(scores)
        return
    for kind, metrics in scores.items():
        _print_scores(kind, metrics, ("AP", "AP50"))


@app.command("panoptic")
def panoptic(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's panoptic layout.")],
    truth_maps: Annotated[Path, typer.Argument(metavar="GT_PNGS", help="Folder of its PNG files.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions in the same layout.")],
    predicted_maps: Annotated[Path, typer.Argument(metavar="PRED_PNGS", help="Folder of their PNG files.")],
    all_crowds: Annotated[
        bool,
        typer.Option(
            "--all-crowds", help="Let every crowd segment of a category excuse predictions, not the last alone."
        ),
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Panoptic quality (PQ, SQ, RQ) by the official protocol."""
    from scenekit.evaluation.panoptic_files import score_panoptic_files

    scores = score_panoptic_files(
        truth,
        truth_maps,
        prediction,
        predicted_maps,
        "all" if all_crowds else "last",
        lambda images: output.progress(images, "scoring"),
    )
    if as_json:
        output.print_json(scores)
    else:
        seen = {name: row for name, row in scores["per_class"].items() if row["tp"] + row["fp"] + row["fn"] > 0}
        _print_scores("panoptic", {**scores, "per_class": seen}, ("PQ", "SQ", "RQ"))


def _kinds(text: str | None) -> "list[Kind] | None":
    """The kinds of AP in `bbox,segm`."""
    from scenekit.evaluation.coco import METRICS

    names = None if text is None else [name.strip() for name in text.split(",")]
    if unknown := [name for name in names or () if name not in METRICS]:
        raise InputError(f"--kinds: cannot score {unknown[0]!r}{nearest(unknown[0], list(METRICS))}")
    return None if names is None else [kind for kind in METRICS if kind in names]


def _numbers(text: str | None) -> list[float] | None:
    """The positive numbers in `0.1,0.2`."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise InputError(f"--sigmas expects positive numbers such as 0.05,0.1, not {text!r}")
    return numbers


def _print_scores(title: str, scores: Mapping[str, Any], columns: Sequence[str]) -> None:
    """The metrics over all classes, then `columns` of each class."""
    totals = [(name, _rounded(value)) for name, value in scores.items() if name != "per_class"]
    output.print_table(title, ("metric", "value"), totals)
    rows = [(name, *(_rounded(row[column]) for column in columns)) for name, row in scores["per_class"].items()]
    output.print_table(f"{title} per class", ("class", *columns), rows)


def _rounded(value: float | int) -> str:
    """Counts as they are, fractions with four digits, a dash where there was nothing to measure."""
    if isinstance(value, int):
        return str(value)
    return "-" if value != value else f"{value:.4f}"
