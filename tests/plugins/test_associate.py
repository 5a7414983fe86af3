"""The tracker `associate`: what each part of the similarity is good for, and how tracks begin and end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.structures import Boxes3D, Masks
from scenekit_plugins.associate.motion import Motion
from scenekit_plugins.associate.objects import SIDE, grid_iou
from tests.tracking.streams import SIZE, STEP, box, crossing, ids, scene


def lists(scenes: Any, **options: Any) -> list[list[int]]:
    return ids(sk.track(scenes, unconfirmed="keep", **options))


def test_objects_that_cross_keep_their_ids() -> None:
    assert lists(crossing()) == [[0, 1]] * 20


def test_a_track_is_confirmed_by_hits_except_in_the_first_image() -> None:
    stream = [scene([box(0)], 0), *(scene([box(0), box(100)], number) for number in range(1, 5))]
    assert lists(stream, hits=3) == [[0], [0, -1], [0, -1], [0, 1], [0, 1]]
    assert lists(stream, hits=1) == [[0], *[[0, 1]] * 4]


def test_an_object_of_a_single_image_never_gets_an_id() -> None:
    stream = [scene([box(0), box(100)] if number == 2 else [box(0)], number) for number in range(5)]
    assert lists(stream) == [[0], [0], [0, -1], [0], [0]]


def test_a_track_ends_after_the_seconds_without_an_object() -> None:
    """Four images without it are 0.5 s between the objects: as far as `lost` reaches, or further."""
    stream = [scene([] if 2 <= number < 6 else [box(0)], number) for number in range(8)]
    assert lists(stream, lost=0.5) == [[0], [0], [], [], [], [], [0], [0]]
    assert lists(stream, lost=0.4) == [[0], [0], [], [], [], [], [-1], [1]]


def test_low_scores_continue_tracks_and_begin_none() -> None:
    scores = [[0.9], [0.3], [0.3], [0.9]]
    stream = [scene([box(0)], number, scores=row) for number, row in enumerate(scores)]
    assert lists(stream) == [[0]] * 4
    assert lists([scene([box(0)], number, scores=[0.3]) for number in range(3)]) == [[-1]] * 3


def test_labels_keep_objects_apart_unless_they_may_change() -> None:
    stream = [scene([box(0)], number, [number // 2 % 2]) for number in range(4)]
    assert lists(stream) == [[0], [0], [-1], [1]]
    assert lists(stream, same_class=False) == [[0]] * 4
    voted = [one.objects.labels.tolist() for one in sk.track(stream, same_class=False, votes=True)]  # type: ignore[union-attr]
    assert voted == [[0], [0], [0], [1]], "of equal votes those for the current label count"


def test_crowds_and_empty_boxes_have_no_track() -> None:
    stream = [scene([box(0), box(100), [5, 5, 5, 9]], number) for number in range(3)]
    for one in stream:
        one.objects.crowd[1] = True
    assert lists(stream) == [[0, -1, -1]] * 3


def cuboids(*places: tuple[float, float, float]) -> Boxes3D:
    turned = torch.eye(3).repeat(len(places), 1, 1)
    return Boxes3D(torch.tensor(places), torch.ones(len(places), 3), turned)


def swapped(values: Any) -> list[sk.Scene]:
    """Two objects whose boxes exchange places at once, which values tell apart: `values` of each row, at each image."""
    places = [box(100), box(112)]
    return [scene(places, number, values=values(number >= 2)) for number in range(4)]


def test_3d_boxes_tell_objects_apart_that_overlap() -> None:
    near, far = (0.0, 0.0, 4.0), (0.3, 0.0, 8.0)
    stream = swapped(lambda late: {sk.BOXES3D: cuboids(*((far, near) if late else (near, far)))})
    assert lists(stream) == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert lists(stream, distance=0) == [[0, 1]] * 4


def test_appearance_tells_objects_apart_that_overlap() -> None:
    red, blue = [1.0, 0.0], [0.0, 1.0]
    stream = swapped(lambda late: {sk.APPEARANCE: torch.tensor([blue, red] if late else [red, blue])})
    assert lists(stream, appearance=3) == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert lists(stream, appearance=0) == [[0, 1]] * 4


def masked(*halves: str) -> Masks:
    """A mask over the upper or the lower half of each of the two boxes."""
    dense = torch.zeros(2, *SIZE, dtype=torch.bool)
    for bitmap, x, half in zip(dense, (100, 112), halves, strict=True):
        top = 50 if half == "upper" else 70
        bitmap[top : top + 20, x : x + 30] = True
    return Masks.from_dense(dense)


def test_masks_tell_objects_apart_that_overlap() -> None:
    stream = swapped(lambda late: {sk.MASKS: masked(*(("lower", "upper") if late else ("upper", "lower")))})
    assert lists(stream, mask=3) == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert lists(stream, mask=0) == [[0, 1]] * 4


def pose(x: float) -> Tensor:
    moved = torch.eye(4)
    moved[0, 3] = x
    return moved


def test_poses_tell_the_motion_of_the_camera_from_that_of_objects() -> None:
    """The camera jumps by 3 m, so that in its frame one object lands where the other was; in the world none moves."""
    world = [(0.0, 0.0, 6.0), (3.0, 0.0, 6.0)]
    stream = []
    for number in range(4):
        jump = 3.0 * (number >= 2)
        places = [(x - jump, y, z) for x, y, z in world]
        # Boxes say nothing: both objects are at the same place of the image.
        stream.append(scene([box(100), box(100)], number, values={sk.BOXES3D: cuboids(*places)}, pose=pose(jump)))
    assert lists(stream) == [[0, 1]] * 4
    for one in stream:
        object.__setattr__(one, "moment", sk.Moment(one.moment.time, one.moment.number))  # type: ignore[union-attr]
    assert lists(stream)[2:] != [[0, 1]] * 2


def test_places_of_camera_and_world_are_not_compared() -> None:
    """Poses that begin in the middle of a stream: the tracks go on by their boxes."""
    stream = [
        scene([box(0)], number, values={sk.BOXES3D: cuboids((0.0, 0.0, 5.0))}, pose=pose(50.0) if number > 1 else None)
        for number in range(4)
    ]
    assert lists(stream) == [[0]] * 4


def test_rows_without_values() -> None:
    """A 3D box, a mask or an appearance that is missing, or invalid, leaves the other parts."""
    values = {
        sk.BOXES3D: Boxes3D(torch.full((2, 3), torch.nan), torch.ones(2, 3), torch.eye(3).repeat(2, 1, 1)),
        sk.APPEARANCE: torch.zeros(2, 4),
        sk.MASKS: Masks.empty(2, SIZE),
    }
    stream = [scene([box(10), box(100)], number, values=values if number % 2 else None) for number in range(6)]
    object.__setattr__(stream[3], "valid", {sk.APPEARANCE: torch.tensor([False, True])})
    assert lists(stream) == [[0, 1]] * 6


def test_times_count_and_not_images() -> None:
    """At a constant speed the prediction holds over a gap of any length, here one of five steps."""
    numbers = [0, 1, 2, 3, 8, 9]
    stream = [scene([box(10 + 15 * number)], number) for number in numbers]
    assert lists(stream) == [[0]] * 6


def test_motion_by_hand() -> None:
    """With little noise a filter follows two measurements exactly, and predicts on the line through them."""
    motion = Motion.begin(np.array([1.0]), np.array([1e-6]), np.array([10.0]))
    motion.predict(0.5, np.array([0.0]))
    assert motion.value.tolist() == [1.0]
    motion.correct(np.array([2.0]), np.array([1e-6]))
    assert motion.value == pytest.approx([2.0]) and motion.velocity == pytest.approx([2.0], rel=1e-6)
    motion.predict(1.0, np.array([0.0]))
    assert motion.value == pytest.approx([4.0], rel=1e-6)


def test_motion_weighs_measurement_and_prediction_by_their_variances() -> None:
    """A value of variance 1 and a measurement of variance 3: a quarter of the way, and 3/4 of the variance left."""
    motion = Motion.begin(np.array([0.0]), np.array([1.0]), np.array([0.0]))
    motion.correct(np.array([4.0]), np.array([math.sqrt(3)]))
    assert motion.value == pytest.approx([1.0]) and motion.spread[0, 0] == pytest.approx(0.75)


def test_mask_overlap_by_hand() -> None:
    """Left half of one box and the whole of another one of the same size, half a width to the left: 1/3."""
    left, whole = np.zeros((SIDE, SIDE), dtype=bool), np.ones((SIDE, SIDE), dtype=bool)
    left[:, : SIDE // 2] = True
    first, second = np.array([10.0, 0, 30, 20]), np.array([0.0, 0, 20, 20])
    assert grid_iou(left, first, whole, second) == pytest.approx(10 / 20, abs=0.03)
    assert grid_iou(whole, first, whole, second) == pytest.approx(1 / 3, abs=0.03)
    assert grid_iou(~whole, first, ~whole, second) == 0


def test_memory_does_not_grow_with_the_stream() -> None:
    """Tracks that have ended are forgotten."""
    from scenekit_plugins.associate import Associate, AssociateConfig

    tracker = Associate(AssociateConfig(lost=2 * STEP))
    stream = (scene([box(60.0 * (number % 4))], number) for number in range(0, 400, 5))
    assert len(list(sk.track(stream, tracker))) == 80
    assert len(tracker.tracks) <= 2
