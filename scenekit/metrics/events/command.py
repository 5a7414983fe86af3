"""`scenekit score events`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scenekit.cli import output
from scenekit.errors import InputError


class Story(StrEnum):
    """How the events of several annotators are compared by SODA_c."""

    merged = "merged"
    best = "best"


def events(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="GT.json... PRED.json", help="Ground truth, a file per annotator; then predictions."),
    ],
    language: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How texts are compared: unigram-F, or METEOR (needs Java and pycocoevalcap)."
        ),
    ] = "unigram-F",
    story: Annotated[
        Story, typer.Option(help="In SODA_c, annotators' events are one story, or the best annotator counts.")
    ] = Story.merged,
    strict: output.StrictOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Compute the scores of dense video captioning by the protocol of ActivityNet Captions, and SODA_c.

    GT.json: {"v_1": {"duration": 20, "timestamps": [[0, 5.5]], "sentences":
    ["A man runs."]}}, in seconds.

    PRED.json: {"results": {"v_1": [{"sentence": "...", "timestamp": [0, 5.5]}]}}.

    Captions and SODA_c depend on how texts are compared: numbers by unigram-F
    and by METEOR cannot be compared with each other.
    """
    from scenekit.metrics.events import score_event_files
    from scenekit.metrics.notes import Notes

    if len(files) < 2:
        raise InputError("expected one or more files of ground truth and then one of predictions, got one file")
    notes = Notes(strict)
    scores = score_event_files(
        files[:-1], files[-1], language, story.value, notes, lambda videos: output.progress(videos, "reading")
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        _print(language, scores)


def _print(language: str, scores: Mapping[str, Any]) -> None:
    """Print the metrics, then those at each temporal IoU."""
    names = {"language": language, "SODA_c": f"SODA_c ({language})"}
    shown = {name: value for name, value in scores.items() if name not in ("breakdown", "language_score")}
    totals = [(names.get(name, name), output.rounded(value)) for name, value in shown.items()]
    output.print_table("dense video captions", ("metric", "value"), totals)
    columns = list(next(iter(scores["breakdown"].values())))
    rows = [(iou, *(output.rounded(row[column]) for column in columns)) for iou, row in scores["breakdown"].items()]
    output.print_table("by temporal IoU", ("tIoU", *(names.get(column, column) for column in columns)), rows)
