"""Scene-graph recall of JSON files.

Ground truth: `{"images": [{"id": 1, "boxes": [[x1, y1, x2, y2], ...], "labels": [class, ...], "relations": [[subject,
object, predicate], ...]}], "predicates": ["on", ...]}`. Boxes are pixels, the last one included; `subject` and `object`
are places in `boxes`, from 0; predicates are counted from 1, and their names may be left out.

Predictions: the same with `"scores": [score, ...]`, one per object, and `"relations": [{"subject": 0, "object": 1,
"scores": [no relation, predicate 1, predicate 2, ...]}, ...]`, ranked by subject * object * best predicate.

Unseen triplets: `{"triplets": [[subject class, object class, predicate], ...]}`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, read_json
from scenekit.metrics.checks import integers
from scenekit.metrics.common import unique_names
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.paired_images import ImagePair, named, paired_images
from scenekit.metrics.scene_graph.arrays import GraphPrediction, GraphTruth
from scenekit.metrics.scene_graph.recall import Mode, SceneGraphRecall

Progress = Callable[[Iterable[ImagePair]], Iterable[ImagePair]]


def score_scene_graph_files(
    ground_truth: Path,
    prediction: Path,
    mode: Mode,
    zero_shot: Path | None = None,
    without_pairs: Literal["zero", "skip"] = "zero",
    notes: Notes | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Compute scene-graph recall of files.

    Ground-truth relations of an object with itself, and repeated ones, count as in the benchmark; they are added to
    `notes`.

    Args:
        ground_truth: JSON of the ground truth.
        prediction: JSON of the predictions.
        mode: What was given: "predcls", "sgcls" or "sgdet".
        zero_shot: JSON of the triplets that training did not contain.
        without_pairs: How images without predicted pairs count; see `SceneGraphRecall`.
        notes: Collects the oddities of the files.
        progress: May wrap the loop over the images.

    Returns:
        See `SceneGraphRecall.result`.

    Raises:
        InputError: Names file, image and field that cannot be scored.
    """
    content = read_json(ground_truth)
    pairs = paired_images(content, ground_truth, prediction)
    recall = SceneGraphRecall(_predicates(content, ground_truth, pairs), mode, _triplets(zero_shot), without_pairs)
    with collected(notes) as noted:
        for target, predicted in progress(pairs):
            graph = _truth(target, noted)
            with named(predicted):
                recall.update(graph, _prediction(predicted))
        scores = recall.result()
        if not scores["images"]:
            noted.add(ground_truth, f"has no relation that counts; {NOTHING}")
    return scores


def _truth(record: Record, notes: Notes) -> GraphTruth:
    boxes, labels, relations = (record.get(name) for name in ("boxes", "labels", "relations"))
    with named(record):
        ground_truth = GraphTruth.of(boxes, labels, relations)
    before = set()
    for number, row in enumerate(map(tuple, ground_truth.relations.tolist())):
        where = f"{record}: 'relations' number {number}"
        if row[0] == row[1]:
            notes.add(where, "relates an object to itself")
        if row in before:
            notes.add(where, "repeats another")
        before.add(row)
    return ground_truth


def _prediction(record: Record) -> GraphPrediction:
    boxes, labels, scores = (record.get(name) for name in ("boxes", "labels", "scores"))
    relations = _relations(record)
    pairs = [[_field(record, relations, i, end) for end in ("subject", "object")] for i in range(len(relations))]
    table = [_field(record, relations, i, "scores") for i in range(len(relations))]
    with named(record):
        return GraphPrediction.of(boxes, labels, scores, pairs, table)


def _relations(record: Record) -> list[dict[str, Any]]:
    value = record.get("relations")
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(
            f"{record}: 'relations' must be a list of objects with subject, object, scores; got {brief(value)}"
        )
    return value


def _field(record: Record, relations: list[dict[str, Any]], number: int, name: str) -> Any:
    if name not in relations[number]:
        raise InputError(f"{record}: 'relations' number {number} has no {name!r}")
    return relations[number][name]


def _predicates(content: Any, path: Path, pairs: list[ImagePair]) -> list[str]:
    """Return the names in the ground truth, else numbers: as many as the predictions have scores for."""
    names = content.get("predicates")
    if names is not None:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: 'predicates' must be a list of names, not {brief(names)}")
        return list(unique_names(dict(enumerate(names, 1))).values())
    scores = (relation.get("scores") for _, predicted in pairs for relation in _relations(predicted))
    first = next((row for row in scores if isinstance(row, list) and row), None)
    if first:
        return [str(i) for i in range(1, len(first))]
    highest = max((int(_truth(target, Notes()).relations[:, 2].max(initial=0)) for target, _ in pairs), default=0)
    return [str(i) for i in range(1, highest + 1)]


def _triplets(path: Path | None) -> list[tuple[int, int, int]] | None:
    if path is None:
        return None
    content = read_json(path)
    if not isinstance(content, dict) or "triplets" not in content:
        raise InputError(f"{path}: expected a JSON object with a list 'triplets', got {brief(content)}")
    try:
        rows = integers("triplets", content["triplets"], 3)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return [(subject, object_, predicate) for subject, object_, predicate in rows.tolist()]
