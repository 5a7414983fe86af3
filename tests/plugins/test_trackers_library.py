"""The trackers of the package `trackers`, held against the package itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from tests.tracking.streams import STEP, box, crossing, ids, scene


def test_ids_are_those_of_the_package() -> None:
    """One class, so that there is one tracker; the package numbers confirmed tracks from 0, or from 1."""
    import supervision
    from trackers import ByteTrackTracker

    stream, tracker, expected = crossing(), ByteTrackTracker(), []
    for number, one in enumerate(stream):
        found = tracker.update(
            supervision.Detections(
                xyxy=one.objects.boxes.numpy(),
                confidence=np.full(2, 0.9),
                data={"row": np.arange(2)},
            ),
            timestamp=number * STEP,
        )
        by_row = dict(zip(found.data["row"].tolist(), found.tracker_id.tolist(), strict=True))
        expected.append([by_row[row] for row in range(2)])
    least = min(number for row in expected for number in row if number >= 0)
    shifted = [[number if number < 0 else number - least for number in row] for row in expected]
    assert ids(sk.track(stream, "trackers/bytetrack", unconfirmed="keep")) == shifted


def test_classes_are_tracked_apart() -> None:
    """Two objects at one place: of two classes each keeps its id, although their order changes."""
    stream = [
        scene([box(0), box(1)], number, [number % 2, 1 - number % 2]).select(sk.OBJECTS, torch.tensor([0, 1]))
        for number in range(8)
    ]
    found = ids(sk.track(stream, "trackers/bytetrack"))
    labels = [
        dict(zip(row, one.objects.labels.tolist(), strict=True)) for row, one in zip(found[2:], stream[2:], strict=True)
    ]
    assert all(row == labels[0] and len(row) == 2 for row in labels)


def test_scenes_without_objects_or_scores() -> None:
    stream = [scene([box(0)] if number != 3 else [], number) for number in range(8)]
    for one in stream:
        object.__setattr__(one.objects, "scores", None)
    found = ids(sk.track(stream, "trackers/sort", unconfirmed="keep"))
    assert found[3] == [] and found[-1] == [0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("trackers/ocsort", {"track_activation_threshold": 0.5}, "'trackers/ocsort' has no option 'track_activation"),
        ("trackers/sort", {"frame_rate": 0}, "tracker 'trackers/sort'.*frame_rate"),
        ("trackers/deepsort", {}, "unknown tracker 'trackers/deepsort'; did you mean"),
    ],
)
def test_options_that_are_wrong(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.track([], name, **options)


@pytest.mark.parametrize("module", ["trackers", "supervision"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"needs the package trackers .*: pip install 'scenekit\[trackers\]'"):
        sk.track([], "trackers/bytetrack")


def test_options_reach_the_package() -> None:
    stream = [scene([box(0)], number) for number in range(6)]
    found = ids(sk.track(stream, "trackers/sort", unconfirmed="keep", minimum_consecutive_frames=5))
    assert found[3] == [-1] and found[-1] == [0]
