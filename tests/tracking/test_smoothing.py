"""Values averaged over the last images, by object."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.fields.base import Field
from scenekit.fields.frame import Blending
from scenekit.structures import Boxes3D, Keypoints, Vocabulary
from scenekit.tracking.smoothing import Smoother
from tests.tracking.streams import STEP, box, ids, scene
from tests.tracking.test_track import Fixed, numbers

SECONDS = 0.2
KEPT = math.exp(-STEP / SECONDS)
"""The share of a value one image earlier."""


class MeanField(Field[Tensor, Tensor]):
    """Numbers that may be averaged."""

    def blend(self, before: Tensor, now: Tensor, blending: Blending) -> Tensor:
        return blending.mean(before, now)


SPEED = sk.Key("tests.tracking.speed", of=sk.OBJECTS, doc="metres a second [N]", field=MeanField())
PLATE = sk.Key("tests.tracking.plate", of=sk.OBJECTS, doc="a number that must not be averaged [N]")


def smoothed(scenes: list[sk.Scene], *rows: Tensor) -> list[sk.Scene]:
    found = list(sk.track(scenes, Fixed(*rows), smooth=SECONDS))
    assert all(isinstance(one, sk.Scene) for one in found)
    return found  # type: ignore[return-value]


def cuboids(far: float = 10.0, yaw: float = 0.0, size: float = 1.0, right: float = 0.0) -> Boxes3D:
    return Boxes3D.from_parameters(torch.tensor([[right, 0.0, far, size, size, size, 0.0, 0.0, yaw]]))


def test_values_of_a_third_party_follow_the_id() -> None:
    """By hand: after rows change places, each value is blended with that of its own object."""
    first = scene([box(0), box(50)], 0, values={SPEED: torch.tensor([1.0, 10.0]), PLATE: torch.tensor([1.0, 2.0])})
    second = scene([box(50), box(0)], 1, values={SPEED: torch.tensor([20.0, 3.0]), PLATE: torch.tensor([4.0, 3.0])})
    found = smoothed([first, second], numbers(7, 8), numbers(8, 7))
    expected = [20 + KEPT * (10 - 20), 3 + KEPT * (1 - 3)]
    assert found[1][SPEED].tolist() == pytest.approx(expected)
    assert found[1][PLATE].tolist() == [4, 3], "what has no `blend` is left alone"
    assert found[0][SPEED].tolist() == [1, 10], "never by later values"


def test_new_objects_are_as_they_are() -> None:
    first = scene([box(0)], 0, values={SPEED: torch.tensor([1.0])})
    second = scene([box(50), box(0)], 1, values={SPEED: torch.tensor([0.1, 3.0])})
    found = smoothed([first, second], numbers(7), numbers(8, 7))
    assert found[1][SPEED][0] == torch.tensor(0.1), "to the bit"


def test_objects_of_several_earlier_images() -> None:
    """One object was in the image before, the other only in that before it: it counts for less."""
    stream = [
        scene([box(0), box(50)], 0, values={SPEED: torch.tensor([0.0, 0.0])}),
        scene([box(0)], 1, values={SPEED: torch.tensor([0.0])}),
        scene([box(50), box(0)], 2, values={SPEED: torch.tensor([1.0, 1.0])}),
    ]
    found = smoothed(stream, numbers(1, 2), numbers(1), numbers(2, 1))
    assert found[2][SPEED].tolist() == pytest.approx([1 - KEPT**2, 1 - KEPT])


def test_values_long_ago_do_not_count() -> None:
    stream = [scene([box(0)], number, values={SPEED: torch.tensor([float(number)])}) for number in (0, 11)]
    assert smoothed(stream, numbers(1), numbers(1))[1][SPEED].tolist() == [11]


def test_rows_without_a_value_are_no_part_of_it() -> None:
    stream = [scene([box(0)], number, values={SPEED: torch.tensor([float(number)])}) for number in range(2)]
    object.__setattr__(stream[0], "valid", {SPEED: torch.tensor([False])})
    assert smoothed(stream, numbers(1), numbers(1))[1][SPEED].tolist() == [1]


def test_scores_are_averaged_and_labels_voted() -> None:
    stream = [scene([box(0)], number, [label], [score]) for number, (label, score) in enumerate([(0, 0.9), (1, 0.5)])]
    found = smoothed(stream, numbers(1), numbers(1))
    assert found[1].objects.scores.tolist() == pytest.approx([0.5 + KEPT * 0.4])  # type: ignore[union-attr]
    assert found[1].objects.labels.tolist() == [0], "0.9 x 0.61 votes against 0.5"


def test_votes_fade() -> None:
    """After two images without it 0.9 has become 0.9 x 0.37, less than 0.5 + 0.5 x 0.61."""
    stream = [scene([box(0)], n, [label], [score]) for n, (label, score) in enumerate([(0, 0.9), (1, 0.5), (1, 0.5)])]
    assert [one.objects.labels.tolist() for one in smoothed(stream, *[numbers(1)] * 3)] == [[0], [0], [1]]


def points(*xy: tuple[float, float], visible: int = 2) -> Keypoints:
    place = torch.tensor([xy], dtype=torch.float32)
    return Keypoints(place, torch.full((1, len(xy)), visible), torch.full((1, len(xy)), 0.5))


def test_keypoints_do_not_lag_behind_a_box() -> None:
    """A point in the middle of a box that moves and grows stays in its middle."""
    stream = [
        scene([box(0, 0, 20, 20)], 0, values={sk.KEYPOINTS: points((10, 10))}),
        scene([box(100, 50, 40, 60)], 1, values={sk.KEYPOINTS: points((120, 80))}),
    ]
    assert smoothed(stream, numbers(1), numbers(1))[1][sk.KEYPOINTS].xy.tolist() == [[[120, 80]]]


def test_keypoints_that_jitter_are_averaged() -> None:
    values = [{sk.KEYPOINTS: points((x, 10), (5, 5))} for x in (8, 12)]
    stream = [scene([box(0, 0)], number, values=value) for number, value in enumerate(values)]
    found = smoothed(stream, numbers(1), numbers(1))[1][sk.KEYPOINTS].xy
    assert found[0, 0].tolist() == pytest.approx([12 - 4 * KEPT, 10]) and found[0, 1].tolist() == [5, 5]


def test_absent_keypoints_are_no_part_of_it() -> None:
    values = [{sk.KEYPOINTS: points((8, 10), visible=0)}, {sk.KEYPOINTS: points((12, 10))}]
    stream = [scene([box(0, 0)], number, values=value) for number, value in enumerate(values)]
    assert smoothed(stream, numbers(1), numbers(1))[1][sk.KEYPOINTS].xy.tolist() == [[[12, 10]]]


def test_3d_boxes_keep_their_direction_and_average_their_distance() -> None:
    before, now = cuboids(10, size=1.0), cuboids(12, size=2.0, right=12.0)
    stream = [scene([box(0)], n, values={sk.BOXES3D: value}) for n, value in enumerate((before, now))]
    found = smoothed(stream, numbers(1), numbers(1))[1][sk.BOXES3D]
    far, is_far = 10.0, float(now.center.norm())
    assert float(found.center.norm()) == pytest.approx(is_far + KEPT * (far - is_far), rel=1e-5)
    assert torch.allclose(found.center / found.center.norm(), now.center / now.center.norm(), atol=1e-6)
    assert found.size.tolist() == [pytest.approx([2 - KEPT] * 3)]


def test_yaw_is_averaged_on_the_circle() -> None:
    """From 170 to -170 degrees the shortest way leads over 180, not over 0."""
    turned = math.radians(170)
    stream = [scene([box(0)], n, values={sk.BOXES3D: cuboids(yaw=yaw)}) for n, yaw in enumerate((turned, -turned))]
    found = smoothed(stream, numbers(1), numbers(1))[1][sk.BOXES3D]
    assert bool(found.valid.all())
    yaw = math.degrees(float(found.roll_pitch_yaw[0, 2])) % 360
    angles = 170 + math.degrees(
        math.atan2((1 - KEPT) * math.sin(math.radians(20)), KEPT + (1 - KEPT) * math.cos(math.radians(20)))
    )
    assert yaw == pytest.approx(angles, abs=1e-3) and 170 < yaw < 190


def pose(forward: float = 0.0, yaw: float = 0.0) -> Tensor:
    turn = torch.eye(4)
    turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = math.cos(yaw), math.sin(yaw), -math.sin(yaw), math.cos(yaw)
    turn[2, 3] = forward
    return turn


def test_a_camera_that_moves_is_no_motion_of_the_object() -> None:
    """The camera goes two metres forward and turns; what stands still stays where it is, without any lag."""
    world = torch.tensor([[1.0, 0.0, 10.0, 1.0]])
    stream = []
    for number, there in enumerate((pose(), pose(2.0, 0.3))):
        place = (torch.linalg.inv(there) @ world.T).T[:, :3]
        rotation = there[:3, :3].T[None]
        values = {sk.BOXES3D: Boxes3D(place, torch.ones(1, 3), rotation)}
        stream.append(scene([box(0)], number, values=values, pose=there))
    found = smoothed(stream, numbers(1), numbers(1))
    for part in ("center", "rotation"):
        given = getattr(stream[1][sk.BOXES3D], part)
        assert torch.allclose(getattr(found[1][sk.BOXES3D], part), given, atol=1e-5)


def test_invalid_3d_boxes_are_no_part_of_it() -> None:
    bad = Boxes3D(torch.full((1, 3), torch.nan), torch.ones(1, 3), torch.eye(3)[None])
    stream = [scene([box(0)], n, values={sk.BOXES3D: value}) for n, value in enumerate((bad, cuboids(), bad))]
    found = smoothed(stream, *[numbers(1)] * 3)
    assert torch.equal(found[1][sk.BOXES3D].center, cuboids().center)
    assert bool(found[2][sk.BOXES3D].center.isnan().all())


def test_attributes_are_mean_probabilities() -> None:
    values: list[Any] = [{sk.ATTRIBUTES: torch.tensor([[value, torch.nan]])} for value in (1.0, 0.0)]
    stream = [scene([box(0)], number, values=value) for number, value in enumerate(values)]
    found = smoothed(stream, numbers(1), numbers(1))[1][sk.ATTRIBUTES]
    assert float(found[0, 0]) == pytest.approx(KEPT) and bool(found[0, 1].isnan())


def test_unconfirmed_objects_stay_as_they_are() -> None:
    stream = [scene([box(0)], number, values={SPEED: torch.tensor([float(number)])}) for number in range(2)]
    tracker = Fixed(numbers(-1), numbers(-1))
    found = list(sk.track(stream, tracker, smooth=SECONDS, unconfirmed="keep"))
    assert ids(found) == [[-1], [-1]] and found[1][SPEED].tolist() == [1]  # type: ignore[index]


def turned_by_a_quarter(symmetry: int) -> Boxes3D:
    """Two images of the same box, described anew in the second one, smoothed."""
    vocabulary = Vocabulary(things=("car", "person"), symmetry={"car": symmetry} if symmetry != 1 else {})
    sizes, yaws = ((1.0, 1.0, 2.0), (2.0, 1.0, 1.0)), (0.0, math.pi / 2)
    stream = []
    for number, (size, yaw) in enumerate(zip(sizes, yaws, strict=True)):
        cuboid = Boxes3D.from_parameters(torch.tensor([[0.0, 0.0, 10.0, *size, 0.0, 0.0, yaw]]))
        one = scene([box(0)], number, values={sk.BOXES3D: cuboid})
        stream.append(replace(one, vocabulary=vocabulary))
    return smoothed(stream, numbers(1), numbers(1))[1][sk.BOXES3D]  # type: ignore[no-any-return]


@pytest.mark.parametrize("symmetry", [2, 0])
def test_a_symmetric_3d_box_that_is_described_anew_stays(symmetry: int) -> None:
    """A quarter turn with width and length exchanged is the same box of 1 x 1 x 2, not one of 1.5 x 1 x 1.5."""
    found = turned_by_a_quarter(symmetry)
    assert found.size.tolist() == [pytest.approx([2, 1, 1])]
    assert math.degrees(float(found.roll_pitch_yaw[0, 2])) == pytest.approx(90, abs=1e-3)


def test_a_3d_box_with_a_front_turns() -> None:
    found = turned_by_a_quarter(1)
    assert found.size.tolist() == [pytest.approx([2 - KEPT, 1, 1 + KEPT])]
    assert float(found.roll_pitch_yaw[0, 2]) == pytest.approx(math.atan2(1 - KEPT, KEPT), abs=1e-5)


@pytest.mark.parametrize("gap", [2, 11])
def test_votes_fade_over_images_without_objects(gap: int) -> None:
    """Two votes of 0.9 are worth 0.9 x 0.37 x 1.61 after 2 steps of half the seconds, and nothing after 11."""
    stream = [scene([box(0)], n, [0], [0.9]) for n in range(2)]
    stream += [scene([], 1 + n) for n in range(1, gap)]
    stream.append(scene([box(0)], 1 + gap, [1], [0.6]))
    rows = [numbers(1)] * 2 + [numbers()] * (gap - 1) + [numbers(1)]
    assert smoothed(stream, *rows)[-1].objects.labels.tolist() == [1]


@pytest.mark.parametrize(("smooth", "step"), [(SECONDS, 20), (None, 700)])
def test_what_no_longer_counts_is_forgotten(smooth: float | None, step: int) -> None:
    """A thousand objects, one after the other, take no more memory than one."""
    smoother = Smoother.of(smooth, votes=True)
    assert smoother is not None
    for number in range(1000):
        one = scene([box(0)], number * step)
        assert one.moment is not None
        objects = replace(one.objects, ids=numbers(number))
        smoother(replace(one, streams={sk.OBJECTS: objects}), one.moment)
    assert list(smoother.ballots) == [999] and list(smoother.earlier) == ([999] if smooth else [])
