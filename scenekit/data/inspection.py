"""What a data set holds: counts, sizes, ranges and faults of its samples, whatever they are labelled with.

Letters: N regions of one image, R relations, H W pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from scenekit.data.checks import checked, valid_values
from scenekit.data.datasets import SampleSet
from scenekit.data.issues import issues_of, notes_of
from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import OBJECTS, Key
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary

SIZES = {"small": 0.0, "medium": 32.0**2, "large": 96.0**2}
"""From which area in pixels on an object is of that size (COCO's protocol)."""

SHOWN = 20
"""Places of one kind of fault that are kept; the others are counted."""

UNREADABLE = "samples that cannot be read"


@dataclass
class Range:
    """Count, extremes and sum of numbers."""

    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, values: Tensor) -> None:
        """Take in those that are finite."""
        values = values[values.isfinite()].double()
        if values.numel():
            self.count += values.numel()
            self.total += float(values.sum())
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def to_json(self) -> dict[str, float | int]:
        """Only the count where there was nothing."""
        if not self.count:
            return {"count": 0}
        return {"count": self.count, "min": self.low, "mean": self.total / self.count, "max": self.high}


@dataclass
class Labels:
    """Of one key: images that have it, images that supervise it, rows that carry it."""

    images: int = 0
    supervised: int = 0
    rows: int = 0


@dataclass
class Findings:
    """One kind of fault: how often it was met, and where first."""

    count: int = 0
    places: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        """It was met there."""
        self.count += 1
        if len(self.places) < SHOWN:
            self.places.append(place)


@dataclass
class Inspection:
    """What was found in `looked_at` samples of a data set of `length`.

    `objects` and `images_of` count by thing, `names` by list of the vocabulary and name, `shapes` by size of image and
    `sizes` by size of object; `labels` are by key, `ranges` by what they measure, `findings` by kind of issue; `notes`
    are what is right but may surprise. `refused` are the samples that training refuses with `strict`, each by its first
    issue.
    """

    length: int
    vocabulary: Vocabulary
    looked_at: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    images_of: Counter[str] = field(default_factory=Counter)
    names: dict[str, Counter[str]] = field(default_factory=dict)
    shapes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Labels] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    findings: dict[str, Findings] = field(default_factory=dict)
    notes: dict[str, Findings] = field(default_factory=dict)
    refused: Findings = field(default_factory=Findings)
    ids: set[int] = field(default_factory=set)

    def add(self, sample: Sample) -> None:
        """Take in one sample: its faults, then what there is without faulty values."""
        for kind, where in issues_of(sample):
            self.find(kind, f"image {sample.id}, {where}" if where else f"image {sample.id}")
        self._note_refusal(sample)
        sound = valid_values(sample)
        self._count(sound)
        for what, values in measures(sound.scene):
            self.ranges.setdefault(what, Range()).add(values)
        for kind, where in notes_of(sound):
            self.notes.setdefault(kind, Findings()).add(f"image {sample.id}, {where}")
        if sample.id in self.ids:
            self.find("ids that several samples have", f"image {sample.id}")
        self.ids.add(sample.id)

    def find(self, kind: str, place: str) -> None:
        """Note a fault."""
        self.findings.setdefault(kind, Findings()).add(place)

    def to_json(self) -> dict[str, Any]:
        """Plain values; things in the order of the vocabulary."""
        things = self.vocabulary.things
        return {
            "length": self.length,
            "looked_at": self.looked_at,
            "shapes": dict(self.shapes.most_common()),
            "things": {name: {"objects": self.objects[name], "images": self.images_of[name]} for name in things},
            "names": {kind: dict(counts.most_common()) for kind, counts in self.names.items()},
            "sizes": {name: self.sizes[name] for name in SIZES},
            "labels": {name: dict(vars(labels)) for name, labels in sorted(self.labels.items())},
            "ranges": {what: numbers.to_json() for what, numbers in self.ranges.items()},
            "findings": {kind: dict(vars(found)) for kind, found in self.findings.items()},
            "notes": {kind: dict(vars(found)) for kind, found in self.notes.items()},
            "refused": dict(vars(self.refused)),
        }

    def _count(self, sample: Sample) -> None:
        scene, claims = sample.scene, sample.supervision
        self.shapes[f"{scene.size[1]} × {scene.size[0]}"] += 1
        things = scene.vocabulary.things
        objects = scene.objects[~(scene.objects.crowd & scene.objects.ignore)]  # no regions in which anything may be
        names = [things[label] for label in objects.labels.tolist() if 0 <= label < len(things)]
        self.objects.update(names)
        self.images_of.update(set(names))
        self.sizes.update(map(size_name, objects.area.tolist()))
        for stream, regions in scene.streams.items():
            self._labelled(stream, len(regions), stream in claims.streams)
        for key, value in scene.values.items():
            rows = 0 if key.of is None else int(scene.rows_with(key).sum())
            self._labelled(key, rows, key in claims.keys)
            for kind, name in key.field.occurrences(value, scene.frame(key)):
                self.names.setdefault(kind, Counter())[name] += 1

    def _note_refusal(self, sample: Sample) -> None:
        try:
            checked(sample, strict=True)
        except InputError as error:
            self.refused.add(str(error))

    def _labelled(self, key: Key[Any, Any], rows: int, supervised: bool) -> None:
        labels = self.labels.setdefault(key.name, Labels())
        labels.images += 1
        labels.rows += rows
        labels.supervised += supervised


def inspect(
    data: SampleSet,
    limit: int | None = None,
    on_sample: Callable[[int, Sample | None], None] = lambda done, sample: None,
) -> Inspection:
    """Look at `limit` samples, spread evenly (all, if None).

    `on_sample` is told how many are done, and gets the last one (None where it cannot be read).
    """
    found = Inspection(len(data), data.vocabulary)
    for index in spread(len(data), limit):
        found.looked_at += 1
        sample = _read(data, index, found)
        if sample is not None:
            found.add(sample)
        on_sample(found.looked_at, sample)
    for name in data.vocabulary.things:
        if not found.objects[name]:
            found.find("classes without objects", name)
    return found


def _read(data: SampleSet, index: int, found: Inspection) -> Sample | None:
    try:
        return data[index]
    except Exception as error:  # whatever a data set, of which we know nothing, stumbles over
        reason = error if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        found.find(UNREADABLE, f"number {index}: {reason}")
        return None


def spread(length: int, limit: int | None) -> Sequence[int]:
    """`limit` numbers below `length` at even distances, or all of them."""
    if limit is None or limit >= length:
        return range(length)
    return [length * n // limit for n in range(limit)]


def size_name(area: float) -> str:
    """COCO's name for objects of that area."""
    return next(name for name, least in reversed(SIZES.items()) if area >= least or not least)


def measures(scene: Scene) -> Iterator[tuple[str, Tensor]]:
    """Numbers of a scene by what they measure, with their unit."""
    boxes = scene.objects.boxes
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    yield "image width, px", torch.tensor([scene.size[1]])
    yield "image height, px", torch.tensor([scene.size[0]])
    if OBJECTS in scene.streams:
        yield "objects an image", torch.tensor([len(boxes)])
        yield "box width, px", width
        yield "box height, px", height
        yield "box width : height", width / height
    for key, value in scene.values.items():
        for what, numbers in key.field.statistics(value, scene.frame(key)):
            yield f"{key.name}: {what}", numbers
