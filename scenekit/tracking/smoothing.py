"""Values of an object averaged over the last images, and its label by votes. Letters: N objects of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError, repr_of
from scenekit.fields.frame import Blending
from scenekit.keys import OBJECTS, Key
from scenekit.scene import Scene
from scenekit.structures.moments import Moment
from scenekit.tracking.tracker import UNCONFIRMED

REMEMBERED = 5.0
"""Times the seconds of smoothing after which an earlier value no longer counts: its weight is below 1 %."""

FORGOTTEN = 60.0
"""Seconds after its last image in which the votes of an object count, where nothing is smoothed."""


@dataclass(frozen=True, eq=False)
class _Earlier:
    """The last image of an object."""

    scene: Scene
    row: int
    moment: Moment


@dataclass(frozen=True)
class _Ballot:
    """The votes on the label of an object."""

    votes: dict[int, float]
    """The sum of scores of each label."""
    time: float
    """When the last one was cast."""


@dataclass
class Smoother:
    """Smooths the scenes of a stream exponentially, by object.

    An earlier value counts exp(-t / seconds) of the whole, t seconds later.
    """

    seconds: float | None
    """The time constant; None leaves values as they are."""
    votes: bool
    """Whether labels are those that scored most."""
    earlier: dict[int, _Earlier] = field(default_factory=dict)
    """By id."""
    ballots: dict[int, _Ballot] = field(default_factory=dict)
    """By id."""

    @classmethod
    def of(cls, smooth: object, votes: bool) -> Smoother | None:
        """Create the smoother that arguments of `track` ask for.

        Args:
            smooth: Seconds, or None.
            votes: Whether labels are voted.

        Returns:
            The smoother; None where nothing is smoothed.

        Raises:
            InputError: The seconds are no number above 0.
        """
        if smooth is None:
            return cls(None, True) if votes else None
        is_number = isinstance(smooth, int | float) and not isinstance(smooth, bool)
        if not is_number or not 0 < smooth < math.inf:  # type: ignore[operator]
            raise InputError(f"smooth: expected seconds, a number above 0, got {repr_of(smooth)}")
        return cls(float(smooth), True)  # type: ignore[arg-type]

    def __call__(self, scene: Scene, moment: Moment) -> Scene:
        """Smooth the next scene.

        Args:
            scene: The scene, with lasting ids.
            moment: When it is from.

        Returns:
            The scene with the same rows.
        """
        rows = {name: row for row, name in enumerate(scene.objects.ids.tolist()) if name != UNCONFIRMED}
        self._forget(moment)
        if self.votes and OBJECTS in scene.streams:
            scene = self._elected(scene, rows, moment)
        if self.seconds is None:
            return scene
        for last, at, before, now in self._groups(rows):
            scene = self._blended(scene, moment, last, at, before, now)
        self.earlier |= {name: _Earlier(scene, row, moment) for name, row in rows.items()}
        return scene

    def _forget(self, moment: Moment) -> None:
        """Drop what no longer counts, so that a stream without end takes no more and more memory."""
        oldest = moment.time - (FORGOTTEN if self.seconds is None else REMEMBERED * self.seconds)
        self.earlier = {name: last for name, last in self.earlier.items() if last.moment.time >= oldest}
        self.ballots = {name: ballot for name, ballot in self.ballots.items() if ballot.time >= oldest}

    def _groups(self, rows: dict[int, int]) -> Iterator[tuple[Scene, Moment, list[int], list[int]]]:
        """Yield the earlier scenes of objects, with the rows of these objects then and now."""
        groups: dict[int, list[tuple[_Earlier, int]]] = {}
        for name, row in rows.items():
            if (last := self.earlier.get(name)) is not None:
                groups.setdefault(id(last.scene), []).append((last, row))
        for members in groups.values():
            first = members[0][0]
            yield first.scene, first.moment, [last.row for last, _ in members], [row for _, row in members]

    def _blended(
        self, scene: Scene, moment: Moment, last: Scene, at: Moment, before: list[int], now: list[int]
    ) -> Scene:
        """Return a scene smoothed by an earlier one of some of its objects."""
        assert self.seconds is not None
        count = len(scene.objects)
        source, weight = torch.zeros(count, dtype=torch.int64), torch.ones(count)
        source[now] = torch.tensor(before)
        weight[now] = 1 - math.exp((at.time - moment.time) / self.seconds)
        boxes = last.objects.boxes[source]
        blending = Blending(weight, boxes, scene.objects.boxes, _motion(at, moment), _symmetry(scene))
        values = dict(scene.values)
        for key in scene.values:
            if key.of == OBJECTS and key in last:
                earlier = key.field.select(last[key], source)
                values[key] = key.field.blend(earlier, scene[key], _where_both(blending, key, last, scene, source))
        objects = scene.objects
        if objects.scores is not None and last.objects.scores is not None:
            objects = replace(objects, scores=blending.mean(last.objects.scores[source], objects.scores))
        return replace(scene, values=values, streams={**scene.streams, OBJECTS: objects})

    def _elected(self, scene: Scene, rows: dict[int, int], moment: Moment) -> Scene:
        """Return a scene with the labels that have most votes; of equal ones with the current label, if it is one."""
        labels, scores = scene.objects.labels.clone(), scene.objects.scores
        for name, row in rows.items():
            label, votes = int(labels[row]), self._votes(name, moment)
            votes[label] = votes.get(label, 0.0) + (1.0 if scores is None else float(scores[row]))
            self.ballots[name] = _Ballot(votes, moment.time)
            best = max(votes.values())
            labels[row] = label if votes[label] == best else next(other for other in votes if votes[other] == best)
        return replace(scene, streams={**scene.streams, OBJECTS: replace(scene.objects, labels=labels)})

    def _votes(self, name: int, moment: Moment) -> dict[int, float]:
        """Return what the earlier votes on an object count now."""
        ballot = self.ballots.get(name)
        if ballot is None:
            return {}
        kept = 1.0 if self.seconds is None else math.exp((ballot.time - moment.time) / self.seconds)
        return {label: count * kept for label, count in ballot.votes.items()}


def _symmetry(scene: Scene) -> Int[Tensor, " N"]:
    """Return the symmetry of each object, that of its class."""
    things, symmetry = scene.vocabulary.things, scene.vocabulary.symmetry
    counts = [symmetry.get(things[label], 1) for label in scene.objects.labels.tolist()]
    return torch.tensor(counts, dtype=torch.int64)


def _motion(before: Moment, now: Moment) -> Float[Tensor, "4 4"] | None:
    """Return the matrix from the earlier camera frame to the current one, where both poses are known."""
    if before.pose is None or now.pose is None:
        return None
    motion: Float[Tensor, "4 4"] = torch.linalg.solve(now.pose.double(), before.pose.to(now.pose).double())
    return motion.to(now.pose)


def _where_both(
    blending: Blending, key: Key[Any, Any], last: Scene, scene: Scene, source: Int[Tensor, " N"]
) -> Blending:
    """Return the blending in which rows that carry no value, then or now, have no earlier one."""
    both: Bool[Tensor, " N"] = last.rows_with(key)[source] & scene.rows_with(key)
    return replace(blending, weight=torch.where(both, blending.weight, 1.0))
