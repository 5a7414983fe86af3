"""Tracking: ids that last, what is passed on, and streams that are none."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError, PluginError
from scenekit.io.clock import ForwardClock
from scenekit.structures import Masks, Moment, Vocabulary
from scenekit.tracking.track import _Clock
from tests.tracking.streams import SIZE, STEP, box, crossing, ids, scene, without_moments

WEIGHT = sk.Key("tests.tracking.weight", of=sk.OBJECTS, doc="kilograms [N]")


class Fixed(sk.Tracker):
    """Gives the ids that it is told, whatever the scene."""

    def __init__(self, *rows: Any) -> None:
        self.rows = rows
        self.scenes: list[sk.Scene] = []

    def reset(self) -> None:
        self.scenes = []

    def update(self, scene: sk.Scene) -> Tensor:
        self.scenes.append(scene)
        return self.rows[len(self.scenes) - 1]  # type: ignore[no-any-return]


def numbers(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def test_objects_keep_their_ids_when_rows_change_places() -> None:
    stream = [one if number % 2 else one.select(sk.OBJECTS, numbers(1, 0)) for number, one in enumerate(crossing())]
    found = ids(sk.track(stream))
    assert {tuple(row) for row in found[::2]} == {(0, 1)} and {tuple(row) for row in found[1::2]} == {(1, 0)}


def test_values_follow_the_id() -> None:
    """Rows without a track are dropped, with their values of every key; the others stay in order."""
    dense = torch.zeros(3, *SIZE, dtype=torch.bool)
    for row in range(3):
        dense[row, : row + 1, 0] = True
    values = {sk.MASKS: Masks.from_dense(dense), WEIGHT: torch.tensor([1.0, 2.0, 3.0])}
    given = scene([box(0), box(50), box(100)], 0, values=values)
    (found,) = sk.track([given], Fixed(numbers(7, -1, 4)))
    assert isinstance(found, sk.Scene)
    assert found.objects.ids.tolist() == [7, 4] and found.tracked and not given.tracked
    assert sk.Scene.from_json(found.to_json()).tracked and not sk.Scene.from_json(given.to_json()).tracked
    assert found[WEIGHT].tolist() == [1, 3] and found[sk.MASKS].area.tolist() == [1, 3]
    assert found.objects.boxes.tolist() == [box(0), box(100)]


def test_unconfirmed_objects_can_be_kept() -> None:
    given = [scene([box(0), box(50)], 0)]
    (found,) = sk.track(given, Fixed(numbers(-1, -1)), unconfirmed="keep")
    assert isinstance(found, sk.Scene) and found.objects.ids.tolist() == [-1, -1]
    (found,) = sk.track(given, Fixed(numbers(-1, -1)))
    assert isinstance(found, sk.Scene) and len(found.objects) == 0


def test_unknown_entries_stay() -> None:
    (found,) = sk.track([replace(crossing(1)[0], unknown={"acme.note": "x"})], Fixed(numbers(0, -1)))
    assert isinstance(found, sk.Scene) and found.unknown == {"acme.note": "x"}


def test_failed_images_are_passed_on_and_count() -> None:
    """After a gap of three images the object is where its motion puts it, beyond its last box."""
    boxes = [box(10 + 15 * number) for number in range(9)]
    stream: list[sk.Scene | InputError] = [scene([one], number) for number, one in enumerate(boxes)]
    error = InputError("frame 5: damaged")
    stream[5:8] = [error] * 3
    found = list(sk.track(stream))
    assert found[5:8] == [error] * 3
    assert ids([one for one in found if isinstance(one, sk.Scene)]) == [[0]] * 6


def test_it_is_lazy() -> None:
    taken: list[int] = []

    def stream() -> Iterator[sk.Scene]:
        for number, one in enumerate(crossing()):
            taken.append(number)
            yield one

    found = sk.track(stream())
    assert taken == []
    next(found)
    assert taken == [0]


def test_scenes_without_objects() -> None:
    """Also those that have no stream of objects at all."""
    empty = [scene([], number) for number in (1, 2)]
    bare = replace(scene([], 3), streams={})
    found = ids(sk.track([scene([box(0)], 0), *empty, bare, scene([box(0)], 4)]))
    assert found == [[0], [], [], [], [0]]
    assert ids(sk.track([])) == []


def test_scenes_without_times_are_a_rate_apart() -> None:
    seen = Fixed(numbers(0), numbers(0))
    stream = without_moments([scene([box(0)], 0), scene([box(0)], 1)])
    found = list(sk.track([stream[0], InputError("none"), stream[1]], seen, rate=10))
    assert [one.moment.time for one in seen.scenes if one.moment] == pytest.approx([0, 0.2])
    assert [type(one) for one in found] == [sk.Scene, InputError, sk.Scene]
    assert all(one.moment is None for one in found if isinstance(one, sk.Scene)), "scenes stay as they are"


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"moment": None}, "scene 1 has no time, which those before have; expected `moment` in all scenes"),
        ({"vocabulary": Vocabulary(things=("car",))}, "scene 1 has other classes than those before"),
    ],
)
def test_scenes_that_are_no_stream(second: dict[str, Any], message: str) -> None:
    first = scene([box(0)], 0)
    found = sk.track([first, replace(first, **second)])
    next(found)
    with pytest.raises(InputError, match=message):
        next(found)


def test_times_that_repeat_or_go_back_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """Each such scene counts as a twentieth of a second later than the one before; the scenes keep their times."""
    stamps = [5.0, 5.1, 5.1, 5.2, 0.0, 0.1, -3.0]
    stream = [
        replace(one, moment=Moment(stamp, n)) for n, (one, stamp) in enumerate(zip(crossing(7), stamps, strict=True))
    ]
    tracker = Fixed(*[numbers(0, 1)] * 7)
    with caplog.at_level(logging.WARNING):
        found = list(sk.track(stream, tracker, rate=20))
    times = [one.moment.time for one in tracker.scenes if one.moment]
    assert times == pytest.approx([5, 5.1, 5.15, 5.25, 5.3, 5.4, 5.45])
    assert [one.moment.time for one in found if isinstance(one, sk.Scene) and one.moment] == stamps
    assert [record.getMessage() for record in caplog.records] == [
        "scene 2 is from 5.1 s, and the one before from 5.1 s; a scene whose time repeats or goes back counts as 0.05 s"
        " later than the one before. Track each stream by a call of its own"
    ]


def test_ids_last_over_a_time_that_repeats() -> None:
    stream = [replace(one, moment=Moment(0.1 * (n - (n == 5)), n)) for n, one in enumerate(crossing(10))]
    assert ids(sk.track(stream)) == [[0, 1]] * 10


def test_a_time_after_scenes_without() -> None:
    first, second = crossing(2)
    found = sk.track([replace(first, moment=None), second])
    next(found)
    with pytest.raises(InputError, match="scene 1 has a time, which those before lack"):
        next(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tracker": "asociate"}, "unknown tracker 'asociate'; did you mean 'associate'"),
        ({"lots": 1}, "tracker 'associate'.*lots.*did you mean 'lost'"),
        ({"hits": 0}, "tracker 'associate'.*hits"),
        ({"smooth": 0}, "smooth: expected seconds, a number above 0, got 0"),
        ({"smooth": True}, "smooth: expected seconds"),
        ({"rate": 0}, "rate: expected images a second"),
        ({"unconfirmed": "hide"}, "unconfirmed: expected 'drop' or 'keep', got 'hide'"),
        ({"tracker": Fixed(), "hits": 2}, "'hits': a tracker that is built already takes no options"),
    ],
)
def test_bad_options_before_the_first_scene(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.track(iter([]), **options)


def test_what_is_no_stream_of_scenes() -> None:
    untyped = inspect.unwrap(sk.track)
    clock = inspect.unwrap(_Clock.failed)
    with pytest.raises(InputError, match="got a single scene"):
        untyped(crossing(1)[0])
    with pytest.raises(InputError, match=r"track expects scenes, .* got 'clip.mp4'"):
        clock(_Clock(25.0, ForwardClock(0.04)), "clip.mp4")
    with pytest.raises(InputError, match="smooth: expected seconds, a number above 0, got 'fast'"):
        untyped([], smooth="fast")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (numbers(3, 3), r"each id once for an image, got \[3, 3\]"),
        (numbers(3), "an integer for each of the 2 objects, got torch.int64 of shape"),
        (torch.tensor([0.0, 1.0]), "an integer for each of the 2 objects, got torch.float32"),
        ([0, 1], "an integer for each of the 2 objects, got list"),
        (numbers(0, -2), "ids from 0, or -1 for none, got -2"),
    ],
)
def test_trackers_that_return_no_ids(returned: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        list(sk.track(crossing(1), Fixed(returned)))


def test_the_tracker_is_reset_for_each_stream() -> None:
    tracker = Fixed(*[numbers(0, 1)] * 3)
    runs = [ids(sk.track(crossing(3), tracker)) for _ in range(2)]
    assert runs == [[[0, 1]] * 3] * 2


def test_labels_by_votes() -> None:
    """A label that is wrong in one image is outvoted; without votes it stays."""
    labels, scores = [0, 0, 1, 0], [0.9, 0.8, 0.95, 0.7]
    stream = [
        scene([box(0)], number, [label], [score])
        for number, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]
    fixed = [numbers(0)] * 4
    assert [one.objects.labels.tolist() for one in sk.track(stream, Fixed(*fixed), votes=True)] == [[0]] * 4  # type: ignore[union-attr]
    assert [one.objects.labels.tolist() for one in sk.track(stream, Fixed(*fixed))] == [[0], [0], [1], [0]]  # type: ignore[union-attr]


def test_labels_change_once_the_votes_do() -> None:
    """Two votes of 0.5 lose to one of 0.9 and one of 0.2."""
    stream = [
        scene([box(0)], number, [label], [score])
        for number, (label, score) in enumerate([(0, 0.5), (0, 0.5), (1, 0.9), (1, 0.2)])
    ]
    found = [one.objects.labels.tolist() for one in sk.track(stream, Fixed(*[numbers(5)] * 4), votes=True)]  # type: ignore[union-attr]
    assert found == [[0], [0], [0], [1]]


def test_streams_are_spaced_by_the_step() -> None:
    """What the made-up streams promise."""
    assert [one.moment.time for one in crossing(3) if one.moment] == pytest.approx([0, STEP, 2 * STEP])
