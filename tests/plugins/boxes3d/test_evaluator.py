"""3D boxes measured from scenes, by hand: unit cubes in front of a camera of focal length 100."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError
from scenekit.metrics.boxes3d import yaw_errors
from scenekit.metrics.omni3d.average_precision import Omni3DAP, Omni3DFilter
from scenekit.ops.boxes3d import project_cuboids
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.structures import Boxes3D, Camera
from scenekit_plugins.boxes3d.evaluator import Boxes3DEvaluator
from scenekit_plugins.boxes3d.omni3d import Omni3DEvaluator

VOCABULARY = sk.Vocabulary(("car", "box", "can"), symmetry={"box": 2, "can": 0})
CAR, BOX, CAN = range(3)
SIZE = (100, 100)
CAMERA = Camera(torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]]))
PLACES = [[-1.0, 0, 5], [1.0, 0, 5]]


def turned(*degrees: float) -> Tensor:
    """About the height axis."""
    return axis_angle_to_matrix(torch.tensor(degrees).deg2rad()[:, None] * torch.tensor([0.0, 1.0, 0.0]))


def scene(places: list[list[float]], labels: list[int], **options: Any) -> sk.Scene:
    """Cubes of 1 m unless told, seen where they are; columns of the objects and of the boxes may be given."""
    center = torch.tensor(places).reshape(-1, 3)
    size = options.pop("sizes", torch.ones(len(center), 3))
    rotation = options.pop("rotation", turned(*[0.0] * len(center)))
    boxes = Boxes3D(center, size, rotation, options.pop("sure", None))
    flat = options.pop("boxes", project_cuboids(boxes.corners, CAMERA.matrix, SIZE).boxes)
    objects = sk.Objects(flat, torch.tensor(labels, dtype=torch.int64), **options)
    return sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: objects}, {sk.BOXES3D: boxes}, camera=CAMERA)


def labelled(truth: sk.Scene, **claims: Any) -> sk.Sample:
    supervision = sk.Supervision(**{"keys": frozenset({sk.BOXES3D}), **claims})
    return sk.Sample(torch.zeros(3, *SIZE, dtype=torch.uint8), truth, supervision, 0)


def measured(truth: sk.Sample, prediction: sk.Scene) -> dict[str, Any]:
    evaluator = Boxes3DEvaluator(VOCABULARY)
    evaluator.update(truth, prediction)
    return evaluator.result()


TWO = scene(PLACES, [CAR, BOX])


def test_perfect_predictions() -> None:
    result = measured(labelled(TWO), scene(PLACES, [CAR, BOX], scores=torch.tensor([0.9, 0.8])))
    assert [result[name] for name in ("AP3D", "AP3D@50", "AP3D near", "AP_BEV", "AP projected")] == [1] * 5
    assert math.isnan(result["AP3D far"]) and result["matched"] == 2 and result["assumed cameras"] == 0
    assert result["median yaw error (deg)"] == result["median center error (m)"] == 0
    assert result["median depth error"] == result["median size error"] == 0


def test_a_shift_upwards_shows_in_space_and_not_from_above() -> None:
    """Cubes that share 0.6 of their height: IoU 0.6 / 1.4 = 0.43 in space, 1 seen from above."""
    found = scene([[-1.0, -0.4, 5]], [CAR], scores=torch.tensor([0.9]), boxes=TWO.objects.boxes[:1])
    result = measured(labelled(scene(PLACES[:1], [CAR])), found)
    assert [result[f"AP3D@{percent}"] for percent in (15, 25, 50)] == [1, 1, 0]
    assert result["AP_BEV@50"] == 1 and result["AP3D"] == pytest.approx(0.8), "thresholds to 0.40 are reached"
    assert result["median center error (m)"] == pytest.approx(0.4) and result["median depth error"] == 0


def test_errors_of_what_stands_for_an_object() -> None:
    """Half a metre too far at 5 m, and 1.2 x 1 x 0.9 m instead of a cube."""
    sizes = torch.tensor([[1.2, 1.0, 0.9]])
    found = scene([[-1.0, 0, 5.5]], [CAR], sizes=sizes, scores=torch.tensor([0.9]), boxes=TWO.objects.boxes[:1])
    result = measured(labelled(TWO), found)
    assert result["median depth error"] == pytest.approx(0.1)
    assert result["median size error"] == pytest.approx(0.1)
    assert result["matched"] == 1 and result["per_category"]["box"]["matched"] == 0


@pytest.mark.parametrize(
    ("label", "turn", "error"),
    [
        (CAR, 30.0, 30.0),
        (CAR, 180.0, 180.0),
        (CAR, -170.0, 170.0),
        (BOX, 170.0, 10.0),
        (BOX, 90.0, 90.0),
        (CAN, 40, None),
    ],
)
def test_yaw_goes_by_the_symmetry_of_the_class(label: int, turn: float, error: float | None) -> None:
    found = scene(PLACES[:1], [label], rotation=turned(turn), scores=torch.tensor([0.9]), boxes=TWO.objects.boxes[:1])
    result = measured(labelled(scene(PLACES[:1], [label])), found)
    told = result["per_category"][VOCABULARY.things[label]]["yaw error (deg)"]
    assert math.isnan(told) if error is None else told == pytest.approx(error, abs=1e-3)
    everywhere = result["median yaw error (deg)"]
    assert everywhere == pytest.approx(error, abs=1e-3) if label == CAR else math.isnan(everywhere)


def test_yaw_of_tilted_objects_is_the_same_after_a_turn_that_shows_nothing() -> None:
    tilted = axis_angle_to_matrix(torch.tensor([[0.4, 0.3, -0.2]]))
    for order in (2, 4):
        turn = turned(360 / order)
        assert yaw_errors(tilted, tilted @ turn, torch.tensor([order])) == pytest.approx(0, abs=1e-2)


def test_scores_of_the_3d_boxes_rank() -> None:
    """The box in the right place has the lower score in the image, but the 3D box is surer."""
    places, boxes = [[-1.0, 0, 5], [-1.0, 0, 9]], TWO.objects.boxes[[0, 0]]
    scores = torch.tensor([0.1, 0.9])
    truth = labelled(scene(PLACES[:1], [CAR]))
    assert measured(truth, scene(places, [CAR] * 2, scores=scores, boxes=boxes))["AP3D"] == 0.5
    sure = measured(truth, scene(places, [CAR] * 2, scores=scores, boxes=boxes, sure=torch.tensor([0.8, 0.2])))
    assert sure["AP3D"] == 1 and sure["median depth error"] == 0


@pytest.mark.parametrize("how", ["unlabelled", "NaN", "crowd", "ignore", "cut off", "hidden", "low", "tall", "behind"])
def test_ignored_objects_are_neither_missed_nor_wrong(how: str) -> None:
    """Of two cars only the first counts, and only it is found; what fits the other counts neither way."""
    truth = scene(PLACES, [CAR, CAR])
    objects, boxes, flag = truth.objects, truth[sk.BOXES3D], torch.tensor([False, True])
    values: dict[Any, Any] = {sk.BOXES3D: boxes}
    if how == "unlabelled":
        truth = replace(truth, valid={sk.BOXES3D: ~flag})
    elif how in ("NaN", "behind"):
        wrong = torch.nan if how == "NaN" else -10.0
        values[sk.BOXES3D] = replace(boxes, center=torch.where(flag[:, None], wrong, boxes.center))
    elif how in ("crowd", "ignore"):
        truth = replace(truth, streams={sk.OBJECTS: replace(objects, **{how: flag})})
    elif how in ("cut off", "hidden"):
        key, value = (sk.TRUNCATION, 0.5) if how == "cut off" else (sk.VISIBILITY, 0.2)
        values[key] = torch.tensor([torch.nan, value])
    else:
        bottom = 44.0 if how == "low" else 240.0
        moved = torch.where(flag[:, None] & torch.tensor([False, False, False, True]), bottom, objects.boxes)
        truth = replace(truth, streams={sk.OBJECTS: replace(objects, boxes=moved)})
    missed = measured(labelled(replace(truth, values=values)), scene(PLACES[:1], [CAR], scores=torch.tensor([0.5])))
    assert missed["AP3D"] == 1
    flat = truth.objects.boxes
    found = scene(PLACES, [CAR, CAR], scores=torch.tensor([0.5, 0.9]), boxes=flat)
    if how != "behind":  # there is no such box to be found
        assert measured(labelled(replace(truth, values=values)), found)["AP3D"] == 1


def test_objects_that_the_border_cuts_off_are_ignored() -> None:
    """Half of the second cube is beyond the right border, and the scene says nothing of truncation."""
    truth = scene([[-1.0, 0, 5], [2.6, 0, 5]], [CAR, CAR])
    found = scene(PLACES[:1], [CAR], scores=torch.tensor([0.5]))
    assert measured(labelled(truth), found)["AP3D"] == 1
    strict = Omni3DEvaluator(VOCABULARY, ("3D",), Omni3DFilter(truncation=0.9))
    strict.update(labelled(truth), found)
    assert strict.result()["3D"]["AP"] == pytest.approx(51 / 101)


def test_invalid_predictions_are_wrong() -> None:
    bad = scene(PLACES, [CAR, BOX], scores=torch.tensor([0.9, 0.8]), boxes=TWO.objects.boxes)
    boxes = bad[sk.BOXES3D]
    center = torch.where(torch.tensor([[True], [False]]), torch.nan, boxes.center)
    size = torch.where(torch.tensor([[False], [True]]), 0.0, boxes.size)
    result = measured(labelled(TWO), replace(bad, values={sk.BOXES3D: replace(boxes, center=center, size=size)}))
    assert result["AP3D"] == 0 and result["matched"] == 0


def test_rows_without_a_3d_box_are_no_detections_of_one() -> None:
    found = scene(PLACES, [CAR, CAR], scores=torch.tensor([0.5, 0.9]))
    found = replace(found, valid={sk.BOXES3D: torch.tensor([True, False])})
    assert measured(labelled(scene(PLACES[:1], [CAR])), found)["AP3D"] == 1


def test_what_is_skipped() -> None:
    wrong = scene([[0.0, 0, 9]], [CAR], scores=torch.tensor([0.9]))
    assert math.isnan(measured(labelled(TWO, keys=frozenset()), wrong)["AP3D"])
    assert math.isnan(measured(labelled(TWO, exhaustive=frozenset()), wrong)["AP3D"])
    partly = measured(labelled(TWO, classes=frozenset({"box"})), scene(PLACES, [CAR, BOX], scores=torch.ones(2)))
    assert math.isnan(partly["per_category"]["car"]["AP3D@25"]) and partly["per_category"]["box"]["AP3D@25"] == 1


def test_no_camera() -> None:
    """Boxes are in metres whatever the camera is; that it was a guess, or none, is told."""
    blind = replace(TWO, camera=None)
    found = scene(PLACES, [CAR, BOX], scores=torch.tensor([0.9, 0.8]))
    result = measured(labelled(blind), replace(found, camera=None))
    assert result["AP3D"] == 1 and result["assumed cameras"] == 1
    assert measured(labelled(TWO), replace(found, camera=Camera.default(*SIZE)))["assumed cameras"] == 1


def test_nothing_predicted() -> None:
    nothing = sk.Scene(SIZE, VOCABULARY, camera=CAMERA)
    result = measured(labelled(TWO), nothing)
    assert result["AP3D"] == 0 and result["matched"] == 0 and math.isnan(result["median center error (m)"])
    assert math.isnan(Boxes3DEvaluator(VOCABULARY).result()["AP3D"])


def test_merged_parts_are_the_whole() -> None:
    found = scene([[-1.1, 0, 5], [1.0, 0, 5.2]], [CAR, BOX], scores=torch.tensor([0.9, 0.8]))
    whole, first, second = (Boxes3DEvaluator(VOCABULARY) for _ in range(3))
    for part in (first, second):
        part.update(labelled(TWO), found)
        whole.update(labelled(TWO), found)
    first.merge(pickle.loads(pickle.dumps(second)))
    mine, theirs = first.result(), whole.result()
    for result in (mine, theirs):
        result.pop("per_category")
    assert mine == pytest.approx(theirs, nan_ok=True)
    with pytest.raises(InputError, match="cannot be merged"):
        first.merge(Boxes3DEvaluator(sk.Vocabulary(("car",))))
    with pytest.raises(InputError, match="cannot be merged"):
        Omni3DAP(("car",)).merge(Omni3DAP(("car",), modes=("3D",)))
