"""Scene-graph recall, held against the numbers of Scene-Graph-Benchmark and neural-motifs and a case worked by hand."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit.metrics.coco.average_precision import CocoAP, CocoObjects
from scenekit.metrics.common import box_iou
from scenekit.metrics.notes import Notes
from scenekit.metrics.scene_graph.arrays import LAST_PIXEL, GraphPrediction, GraphTruth
from scenekit.metrics.scene_graph.files import score_scene_graph_files
from scenekit.metrics.scene_graph.recall import (
    CUTOFFS,
    MODES,
    Mode,
    SceneGraphRecall,
    match_relations,
    read_mode,
)
from tests.metrics.graph_reference import PREDICATES, half_open, images, numbers, official_ap50


def measured(mode: Mode, **options: Any) -> SceneGraphRecall:
    found, unseen = images(mode)
    recall = SceneGraphRecall(PREDICATES, mode, unseen, **options)
    for truth, prediction in found:
        recall.update(truth, prediction)
    return recall


def equal(value: Any, expected: Any) -> None:
    assert value == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.parametrize("mode", MODES)
def test_equal_to_scene_graph_benchmark(mode: Mode) -> None:
    """Every stored number; without graph constraint those of a stable sort, as the benchmark's own is not."""
    recall, reference = measured(mode, without_pairs="skip"), numbers(mode)
    result, official = recall.result(), reference["scene_graph_benchmark"]
    stable = {**official, **reference["scene_graph_benchmark_stable_sort_no_graph_constraint"]}
    if reference["tie_sensitive"]:
        stable = {name: value for name, value in stable.items() if name not in TIED}
    names = ["R", "mR", "zR", "ngR", "ng_mR", "ng_zR"] + ["A"] * (mode != "sgdet")
    for k in CUTOFFS:
        equal({name: result[f"{name}@{k}"] for name in names}, {name: stable[name][str(k)] for name in names})
        for name in ("R", "zR", "ngR", "ng_zR"):
            if f"{name}_per_image" in stable:
                equal(recall.image_recalls(name, k).tolist(), stable[f"{name}_per_image"][str(k)])
        equal(recall.predicate_recalls("R", k).tolist(), stable["mR_per_predicate"][str(k)])
        equal([row[f"R@{k}"] for row in result["per_predicate"].values()], stable["mR_per_predicate"][str(k)])
        if "ng_mR_per_predicate" in stable:
            equal(recall.predicate_recalls("ngR", k).tolist(), stable["ng_mR_per_predicate"][str(k)])
    assert ("A@20" in result) == (mode != "sgdet")


TIED = ("ng_mR_per_predicate", "ng_zR_per_image")
"""What is stored of the unstable sort alone."""


@pytest.mark.parametrize("mode", MODES)
def test_equal_to_neural_motifs(mode: Mode) -> None:
    """There, images without predicted pairs have found nothing."""
    recall, reference = measured(mode), numbers(mode)["neural_motifs"]
    predicted = measured(mode, without_pairs="skip")
    for k in CUTOFFS:
        equal(recall.result()[f"R@{k}"], reference["R"][str(k)])
        equal(recall.image_recalls("R", k).tolist(), reference["R_per_image"][str(k)])
        if not numbers(mode)["tie_sensitive"]:
            equal(predicted.result()[f"ngR@{k}"], reference["ngR_over_images_with_predictions"][str(k)])
            per_image = reference["ngR_per_image_over_images_with_predictions"][str(k)]
            equal(predicted.image_recalls("ngR", k).tolist(), per_image)


@pytest.mark.parametrize("mode", MODES)
def test_each_pair_finds_what_it_finds_in_neural_motifs(mode: Mode) -> None:
    expected, (found, _) = numbers(mode)["neural_motifs"]["pred_to_gt"], images(mode)
    for (truth, prediction), rows in zip(found, expected, strict=True):
        if rows is None:
            assert not len(truth.relations)
            continue
        matches = match_relations(truth, prediction, mode)
        assert [np.flatnonzero(row).tolist() for row in matches] == (rows if len(prediction.pairs) else [])


@pytest.mark.parametrize("mode", MODES)
def test_average_precision_of_the_objects(mode: Mode) -> None:
    """Equal to pycocotools. The benchmark's own numbers are lower: it gives its annotations ids from 0 on, and
    pycocotools takes the match with number 0 for none.
    """
    found, _ = images(mode)
    stored = numbers(mode)["scene_graph_benchmark"]["detection_AP50"]
    assert official_ap50(found, first_id=0) == pytest.approx(stored, abs=5e-5)
    metric = CocoAP("bbox", {label: str(label) for label in range(1, 9)})
    for i, (truth, prediction) in enumerate(found):
        wanted = CocoObjects(truth.labels, half_open(truth.boxes))
        metric.update(
            i, (240, 320), wanted, CocoObjects(prediction.labels, half_open(prediction.boxes), scores=prediction.scores)
        )
    equal(metric.result()["AP50"], official_ap50(found, first_id=1))


BOXES = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]


def by_hand(mode: Mode = "sgdet", **options: Any) -> SceneGraphRecall:
    """Two relations; the first is found at rank 2 (of 2 pairs), the second only by the second predicate of its pair."""
    recall = SceneGraphRecall(("on", "near", "under"), mode, cutoffs=(1, 2, 3), **options)
    truth = GraphTruth.of(BOXES, [1, 2, 3], [[0, 1, 1], [1, 2, 2]])
    probabilities = [[0.5, 0.4, 0.3, 0.0], [0.9, 0.25, 0.05, 0.0]]
    recall.update(truth, GraphPrediction.of(BOXES, [1, 2, 3], [1.0, 1.0, 1.0], [[1, 2], [0, 1]], probabilities))
    return recall


def test_a_case_worked_by_hand() -> None:
    """Triplets without graph constraint: (1,2) on .4, (1,2) near .3, (0,1) on .25."""
    result = by_hand().result()
    assert [result[f"R@{k}"] for k in (1, 2, 3)] == [0, 0.5, 0.5]
    assert [result[f"ngR@{k}"] for k in (1, 2, 3)] == [0, 0.5, 1]
    assert [result[f"mR@{k}"] for k in (1, 2, 3)] == pytest.approx([0, 1 / 3, 1 / 3])
    assert [result[f"ng_mR@{k}"] for k in (1, 2, 3)] == pytest.approx([0, 1 / 3, 2 / 3])
    assert result["per_predicate"]["near"] == {
        "R@1": 0, "R@2": 0, "R@3": 0, "ngR@1": 0, "ngR@2": 1, "ngR@3": 1, "count": 1,
    }  # fmt: skip
    assert result["images"] == 1 and "zR@1" not in result and "A@1" not in result
    assert by_hand("predcls").result()["A@2"] == 0.5


def test_zero_shot_looks_at_unseen_triplets_alone() -> None:
    result = by_hand(zero_shot=[(2, 3, 2)]).result()
    assert [result[f"zR@{k}"] for k in (1, 3)] == [0, 0] and [result[f"ng_zR@{k}"] for k in (1, 2)] == [0, 1]
    assert np.isnan(by_hand(zero_shot=[]).result()["zR@1"])


def test_iou_counts_the_last_pixel() -> None:
    """20 of 40 pixels; with widths x2 - x1 it would be 9 * 1 of 28."""
    iou = box_iou(np.array([[0.0, 0, 9, 1]]), np.array([[0.0, 0, 9, 3], [10, 0, 19, 1]]), LAST_PIXEL)
    assert iou.tolist() == [[0.5, 0]]
    empty = np.array([[5.0, 5, 4, 4]])
    assert box_iou(empty, empty, LAST_PIXEL).tolist() == [[0]]


def test_merging_equals_one_process() -> None:
    found, unseen = images("sgdet")
    parts = [SceneGraphRecall(PREDICATES, "sgdet", unseen) for _ in range(2)]
    for i, (truth, prediction) in enumerate(found):
        parts[i >= 5].update(truth, prediction)
    parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    assert parts[0].result() == measured("sgdet").result()
    with pytest.raises(InputError, match="cannot be merged"):
        parts[0].merge(SceneGraphRecall(PREDICATES, "sgcls", unseen))


def test_without_images_nothing_is_measured() -> None:
    result = SceneGraphRecall(["on"], "predcls", zero_shot=[]).result()
    assert result["images"] == 0 and result["per_predicate"]["on"]["count"] == 0
    assert all(np.isnan(value) for name, value in result.items() if "@" in name)


@pytest.mark.parametrize("mode", MODES)
def test_images_without_objects_pairs_or_relations(mode: Mode) -> None:
    recall = SceneGraphRecall(["on"], mode)
    nothing = GraphPrediction.of([], [], [], [], [])
    recall.update(GraphTruth.of([], [], []), nothing)
    assert recall.result()["images"] == 0
    recall.update(GraphTruth.of(BOXES, [1, 2, 3], [[0, 1, 1]]), nothing)
    recall.update(GraphTruth.of(BOXES, [1, 2, 3], []), GraphPrediction.of(BOXES, [1, 2, 3], [1, 1, 1], [], []))
    assert (recall.result()["images"], recall.result()["R@20"], recall.result()["ng_mR@20"]) == (1, 0, 0)


def test_tensors_and_lists_are_taken() -> None:
    truth = GraphTruth.of(torch.tensor(BOXES), torch.tensor([1, 2, 3]), torch.tensor([[0, 1, 1]]))
    assert truth.boxes.dtype == np.float64 and truth.relations.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("relations", "message"),
    [
        ([[0, 3, 1]], "'relations' number 0 has the object 3, but there are 3 objects"),
        ([[0, 1, 1], [-1, 0, 1]], "'relations' number 1 has the subject -1"),
        ([[0, 1, 0]], "'relations' number 0 has the predicate 0; they are counted from 1"),
        ([[0, 1]], "'relations' must be rows of 3 integers, got int64 of shape \\[1, 2\\]"),
        ([[0, 1, 1.5]], "'relations' must be rows of 3 integers, got float64"),
        ([[0, 1, 2], [0, 1]], "'relations' must be rows of equal length"),
    ],
)
def test_wrong_relations_are_refused(relations: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GraphTruth.of(BOXES, [1, 2, 3], relations)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1, 2]}, "2 'labels' for 3 'boxes'"),
        ({"scores": [1, 1, float("nan")]}, "'scores' number 2 holds nan; expected a finite number of at least 0"),
        ({"scores": [1, 1, -0.5]}, "'scores' number 2 holds -0.5"),
        ({"pairs": [[0, 5]]}, "'relations' number 0 has the object 5, but there are 3 objects, counted from 0"),
        ({"probabilities": [[0.5, 0.5]] * 2}, "2 'scores of relations' for 1 'relations'"),
        ({"boxes": [[0, 0, float("inf"), 9]] * 3}, "'boxes' number 0 holds inf; expected a finite number"),
        ({"boxes": [[0, 0, 9]] * 3}, "'boxes' must be rows of 4 numbers"),
        ({"boxes": [[9, 0, 0, 9]] * 3}, "'boxes' number 0 ends before it begins: .9.0, 0.0, 0.0, 9.0. for x1 y1 x2 y2"),
    ],
)
def test_wrong_predictions_are_refused(changes: dict[str, Any], message: str) -> None:
    good = {"boxes": BOXES, "labels": [1, 2, 3], "scores": [1, 1, 1], "pairs": [[0, 1]], "probabilities": [[0.5, 0.5]]}
    with pytest.raises(InputError, match=message):
        GraphPrediction.of(**{**good, **changes})


def test_what_does_not_fit_the_metric_is_refused() -> None:
    recall = SceneGraphRecall(["on"], "predcls")
    truth = GraphTruth.of(BOXES, [1, 2, 3], [[0, 1, 1]])
    with pytest.raises(InputError, match="3 scores per pair for 1 predicates; 2 are needed, 'no relation' first"):
        recall.update(truth, GraphPrediction.of(BOXES, [1, 2, 3], [1, 1, 1], [[0, 1]], [[0.2, 0.3, 0.5]]))
    with pytest.raises(InputError, match=r"predcls gives the ground-truth objects: expected 3, .* got 2"):
        recall.update(truth, GraphPrediction.of(BOXES[:2], [1, 2], [1, 1], [[0, 1]], [[0.5, 0.5]]))
    with pytest.raises(InputError, match="the predicate 2 occurs, but only 1 are known"):
        recall.update(GraphTruth.of(BOXES, [1, 2, 3], [[0, 1, 2]]), GraphPrediction.of([], [], [], [], []))
    with pytest.raises(InputError, match="unknown mode 'predcl'; did you mean 'predcls'"):
        read_mode("predcl")


def ranked(order: list[int]) -> tuple[GraphTruth, GraphPrediction]:
    """Two objects and a relation each way, of which one is in the ground truth; the right one has the higher score."""
    boxes, scores = [[0, 0, 9, 9], [20, 20, 29, 29]], np.array([[0.1, 0.2], [0.1, 0.8]])
    pairs = np.array([[1, 0], [0, 1]])
    prediction = GraphPrediction.of(boxes, [1, 2], [0.9, 0.8], pairs[order], scores[order])
    return GraphTruth.of(boxes, [1, 2], [[0, 1, 1]]), prediction


@pytest.mark.parametrize("mode", ["predcls", "sgcls", "sgdet"])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_predictions_are_ranked_by_their_scores(mode: Any, order: list[int]) -> None:
    """At one triplet the right relation is found, wherever it is listed."""
    recall = SceneGraphRecall(["on"], mode, cutoffs=(1,))
    recall.update(*ranked(order))
    scores = recall.result()
    assert (scores["R@1"], scores["ngR@1"], scores.get("A@1", 1)) == (1, 1, 1)


def test_files_without_a_relation_are_noted(tmp_path: Path) -> None:
    image = {"id": 1, "boxes": [], "labels": [], "relations": []}
    paths = tmp_path / "gt.json", tmp_path / "pred.json"
    for path in paths:
        path.write_text(json.dumps({"images": [{**image, "scores": []}], "predicates": ["on"]}))
    notes = Notes()
    score_scene_graph_files(*paths, "sgdet", notes=notes)
    assert notes.lines() == [f"{paths[0]} has no relation that counts; nothing is measured"]
    assert notes.beside({"R@20": 1.0}) == {"R@20": 1.0, "notes": notes.lines()}
