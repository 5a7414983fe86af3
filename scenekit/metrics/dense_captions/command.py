"""`scenekit score dense-captions`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scenekit.cli import output


def dense_captions(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth; see above.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    language: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How texts are compared: unigram-F, or METEOR (needs Java and pycocoevalcap)."
        ),
    ] = "unigram-F",
    last_region: Annotated[
        bool,
        typer.Option(
            "--last-region",
            help="Match detections far from all regions to the last one, as DenseCap's Lua program does.",
        ),
    ] = False,
    strict: output.StrictOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Compute dense-captioning mAP by DenseCap's protocol; CIDEr-D, BLEU and ROUGE beside it.

    GT.json: {"images": [{"id", "boxes", "captions"}]}. Boxes are xyxy pixels,
    half-open; captions are one text, or a list of texts, per box.

    PRED.json: the same with one text per box, and "scores".

    mAP depends on how texts are compared: numbers by unigram-F and by METEOR
    cannot be compared with each other.
    """
    from scenekit.metrics.dense_captions import score_dense_caption_files
    from scenekit.metrics.notes import Notes

    notes = Notes(strict)
    scores = score_dense_caption_files(
        ground_truth, prediction, language, last_region, notes, lambda images: output.progress(images, "scoring")
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        _print_dense_captions(language, scores)


def _print_dense_captions(language: str, scores: Mapping[str, Any]) -> None:
    """Print the metrics, then AP by IoU (rows) and language score (columns)."""
    names = {"mAP": f"mAP ({language})", "detection_mAP": "detection mAP"}
    shown = {name: value for name, value in scores.items() if name not in ("breakdown", "language_score")}
    totals = [(names.get(name, name), output.rounded(value)) for name, value in shown.items()]
    output.print_table("dense captions", ("metric", "value"), totals)
    columns = list(next(iter(scores["breakdown"].values())))
    rows = [(iou, *(output.rounded(row[column]) for column in columns)) for iou, row in scores["breakdown"].items()]
    heads = [column if column == "detection" else f"> {column}" for column in columns]
    output.print_table(f"AP by IoU and {language}", ("IoU", *heads), rows)
