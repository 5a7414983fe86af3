"""`scenekit score scene-graph`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scenekit.cli import output


def scene_graph(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth; see above.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    mode: Annotated[
        str,
        typer.Option(metavar="MODE", help="What was given: predcls (boxes, labels), sgcls (boxes), sgdet (nothing)."),
    ],
    zero_shot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Triplets that training lacks: {"triplets": [\\[subject class, object class, predicate], ...]}.',
        ),
    ] = None,
    skip_without_pairs: Annotated[
        bool,
        typer.Option(
            "--skip-without-pairs",
            help="Leave images without predicted relations out, as Scene-Graph-Benchmark does; default: recall 0.",
        ),
    ] = False,
    strict: output.StrictOption = False,
    as_json: output.JsonOption = False,
) -> None:
    r"""Compute scene-graph recall (R@K, mR@K, with and without graph constraint), equal to Scene-Graph-Benchmark.

    GT.json: {"images": [{"id", "boxes", "labels", "relations"}]}.
    A relation is \[subject, object, predicate]: subject and object are places
    in boxes, from 0, predicates count from 1. A list "predicates" of their
    names may stand beside "images". Boxes are xyxy pixels, the last included.

    PRED.json: the same with "scores", one per object, and relations
    {"subject", "object", "scores"}: \[no relation, predicate 1, ...].
    They are ranked by subject * object * best predicate; equal scores keep
    their order.
    """
    from scenekit.metrics.notes import Notes
    from scenekit.metrics.scene_graph import read_mode, score_scene_graph_files

    notes = Notes(strict)
    scores = score_scene_graph_files(
        ground_truth,
        prediction,
        read_mode(mode),
        zero_shot,
        "skip" if skip_without_pairs else "zero",
        notes,
        lambda images: output.progress(images, "scoring"),
    )
    output.print_notes(notes)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        _print_recalls(f"scene graphs, {mode}, {scores['images']} images", scores)


def _print_recalls(title: str, scores: Mapping[str, Any]) -> None:
    """Print a row per metric and a column per cut-off; the same per predicate, of those that occur."""
    named = [name.split("@") for name in scores if "@" in name]
    metrics, cutoffs = (list(dict.fromkeys(part)) for part in zip(*named, strict=True))
    totals = [(metric, *(output.rounded(scores[f"{metric}@{k}"]) for k in cutoffs)) for metric in metrics]
    output.print_table(title, ("metric", *(f"@{k}" for k in cutoffs)), totals)
    present = {name: row for name, row in scores["per_predicate"].items() if row["count"]}
    columns = list(next(iter(present.values()), ()))
    rows = [(name, *(output.rounded(row[column]) for column in columns)) for name, row in present.items()]
    output.print_table(f"{title}, per predicate", ("predicate", *columns), rows)
