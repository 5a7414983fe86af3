"""Every installed tracker keeps the rules that `sk.track` relies on, and broken ones are found out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.hooks import registry
from scenekit.testing import BUILDS, check_tracker


@pytest.mark.parametrize("name", registry().names("tracker"))
def test_it_keeps_the_rules(name: str) -> None:
    report = check_tracker(registry().get("tracker", name))
    assert report.ok and not report.skipped, str(report)


class ByRow(sk.Tracker):
    """Numbers the rows."""

    def reset(self) -> None: ...

    def update(self, scene: sk.Scene) -> Tensor:
        return torch.arange(len(scene.objects))


class Always(ByRow):
    def __init__(self, ids: Any) -> None:
        self.ids = ids

    def update(self, scene: sk.Scene) -> Tensor:
        return self.ids(len(scene.objects))  # type: ignore[no-any-return]


class Forgetful(ByRow):
    """Counts objects up, and does not start again."""

    count = 0

    def update(self, scene: sk.Scene) -> Tensor:
        self.count += len(scene.objects)
        return torch.arange(self.count - len(scene.objects), self.count)


class Careless(ByRow):
    def update(self, scene: sk.Scene) -> Tensor:
        scene.objects.boxes.add_(1)
        return super().update(scene)


@pytest.mark.parametrize(
    ("build", "failed"),
    [
        (lambda config: ByRow(), {"rows", "never_again"}),
        (lambda config: Forgetful(), {"lasting", "rows", "resets"}),
        (lambda config: Careless(), {"rows", "never_again", "scenes"}),
        (lambda config: Always(torch.zeros), {"ids"}),
        (lambda config: Always(lambda count: torch.zeros(count, dtype=torch.int64)), {"ids"}),
        (lambda config: Always(lambda count: torch.full((count,), -1)), {"lasting"}),
        (lambda config: print, {BUILDS}),
    ],
)
def test_broken_trackers(build: Any, failed: set[str]) -> None:
    report = check_tracker(sk.TrackerSpec("broken", "broken", build))
    assert set(report.failed) == failed, str(report)


def test_a_tracker_whose_package_is_missing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    report = check_tracker(registry().get("tracker", "trackers/sort"))
    assert report.ok and "pip install 'scenekit[trackers]'" in report.skipped[BUILDS]
