"""Statistics and issues of the samples of a data set, whatever they are labelled with.

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
"""Places of one kind of issue that are kept; the others are counted."""

UNREADABLE = "samples that cannot be read"


@dataclass
class Range:
    """Count, extremes and sum of numbers."""

    count: int = 0
    """The number of finite numbers."""
    total: float = 0.0
    """Their sum."""
    low: float = float("inf")
    """The least of them."""
    high: float = float("-inf")
    """The largest of them."""

    def add(self, values: Tensor) -> None:
        """Add the numbers that are finite.

        Args:
            values: Numbers of one image.
        """
        values = values[values.isfinite()].double()
        if values.numel():
            self.count += values.numel()
            self.total += float(values.sum())
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def to_json(self) -> dict[str, float | int]:
        """Encode count, extremes and mean as plain JSON.

        Returns:
            The numbers by name; only the count where it is 0.
        """
        if not self.count:
            return {"count": 0}
        return {"count": self.count, "min": self.low, "mean": self.total / self.count, "max": self.high}


@dataclass
class Labels:
    """How often a key is labelled."""

    images: int = 0
    """Images that have the key."""
    supervised: int = 0
    """Images that supervise it."""
    rows: int = 0
    """Rows that carry it."""


@dataclass
class Findings:
    """One kind of issue: how often it occurs, and where first."""

    count: int = 0
    """How often it occurs."""
    places: list[str] = field(default_factory=list)
    """The first places."""

    def add(self, place: str) -> None:
        """Add an occurrence.

        Args:
            place: The image and the place in it.
        """
        self.count += 1
        if len(self.places) < SHOWN:
            self.places.append(place)


@dataclass
class Inspection:
    """Statistics and issues of a data set."""

    length: int
    """The number of samples of the data set."""
    vocabulary: Vocabulary
    """What its labels mean."""
    looked_at: int = 0
    """The number of samples that were inspected."""
    objects: Counter[str] = field(default_factory=Counter)
    """Objects by class name."""
    images_of: Counter[str] = field(default_factory=Counter)
    """Images with objects of a class, by class name."""
    names: dict[str, Counter[str]] = field(default_factory=dict)
    """Occurrences by list of the vocabulary and name."""
    shapes: Counter[str] = field(default_factory=Counter)
    """Images by size, "width × height" in pixels."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Objects by size: small, medium or large."""
    labels: dict[str, Labels] = field(default_factory=dict)
    """Labels by key."""
    ranges: dict[str, Range] = field(default_factory=dict)
    """Ranges by what they measure, with its unit."""
    findings: dict[str, Findings] = field(default_factory=dict)
    """Issues by kind."""
    notes: dict[str, Findings] = field(default_factory=dict)
    """What is valid and merely unusual, by kind."""
    refused: Findings = field(default_factory=Findings)
    """Samples that training with `strict` refuses, each by its first issue."""
    ids: set[int] = field(default_factory=set)
    """Ids of the samples."""

    def add(self, sample: Sample) -> None:
        """Add one sample: its issues, then statistics of its valid values.

        Args:
            sample: The sample.
        """
        for kind, where in issues_of(sample):
            self.find(kind, f"image {sample.id}, {where}" if where else f"image {sample.id}")
        self._note_refusal(sample)
        valid = valid_values(sample)
        self._count(valid)
        for what, values in measures(valid.scene):
            self.ranges.setdefault(what, Range()).add(values)
        for kind, where in notes_of(valid):
            self.notes.setdefault(kind, Findings()).add(f"image {sample.id}, {where}")
        if sample.id in self.ids:
            self.find("ids that several samples have", f"image {sample.id}")
        self.ids.add(sample.id)

    def find(self, kind: str, place: str) -> None:
        """Record an issue.

        Args:
            kind: The kind of issue, a phrase in the plural.
            place: Where it is.
        """
        self.findings.setdefault(kind, Findings()).add(place)

    def to_json(self) -> dict[str, Any]:
        """Encode the inspection as plain JSON, classes in the order of the vocabulary.

        Returns:
            The mapping that `scenekit doctor data --json` prints.
        """
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
            "flip_pairs": {kind: [list(pair) for pair in pairs] for kind, pairs in self.vocabulary.flip_pairs.items()},
            "findings": {kind: dict(vars(entry)) for kind, entry in self.findings.items()},
            "notes": {kind: dict(vars(entry)) for kind, entry in self.notes.items()},
            "refused": dict(vars(self.refused)),
        }

    def _count(self, sample: Sample) -> None:
        scene, claims = sample.scene, sample.supervision
        self.shapes[f"{scene.size[1]} × {scene.size[0]}"] += 1
        things = scene.vocabulary.things
        objects = scene.objects[~(scene.objects.crowd & scene.objects.ignore)]  # without regions that may hold anything
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
    """Inspect samples of a data set, evenly spread.

    Args:
        data: The data set.
        limit: The number of samples; None for all.
        on_sample: Called after each sample with the number of inspected samples and the sample, None where it cannot be
            read.

    Returns:
        Statistics and issues.
    """
    inspection = Inspection(len(data), data.vocabulary)
    for index in spread(len(data), limit):
        inspection.looked_at += 1
        sample = _read(data, index, inspection)
        if sample is not None:
            inspection.add(sample)
        on_sample(inspection.looked_at, sample)
    for name in data.vocabulary.things:
        if not inspection.objects[name]:
            inspection.find("classes without objects", name)
    return inspection


def _read(data: SampleSet, index: int, inspection: Inspection) -> Sample | None:
    try:
        return data[index]
    except Exception as error:  # whatever the code of a data set raises
        reason = error if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        inspection.find(UNREADABLE, f"number {index}: {reason}")
        return None


def spread(length: int, limit: int | None) -> Sequence[int]:
    """Return numbers at even distances.

    Args:
        length: The numbers are below it.
        limit: How many numbers; None for all.

    Returns:
        Ascending numbers.
    """
    if limit is None or limit >= length:
        return range(length)
    return [length * n // limit for n in range(limit)]


def size_name(area: float) -> str:
    """Return COCO's name for the size of an object.

    Args:
        area: The area of the object in pixels.

    Returns:
        "small", "medium" or "large".
    """
    return next(name for name, least in reversed(SIZES.items()) if area >= least or not least)


def measures(scene: Scene) -> Iterator[tuple[str, Tensor]]:
    """Yield the numbers of a scene by what they measure.

    Args:
        scene: The scene, without invalid values.

    Yields:
        What is measured with its unit, and the numbers.
    """
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
