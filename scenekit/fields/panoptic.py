"""Panoptic segments and their map."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from pydantic import TypeAdapter
from torch import Tensor

from scenekit.fields.base import ImageField, Shape
from scenekit.fields.frame import Columns, Frame, Issue, Swatch, Validated, bitmaps_of, rows_in
from scenekit.fields.maps import label_columns, other_size, shares_of, transform_map
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.masks import Masks
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.vocabulary import Vocabulary, flip_labels, one_sided_names

SEGMENT = TypeAdapter(Segment)
"""Checks the fields of a segment of JSON."""


class PanopticField(ImageField[list[Panoptic], Panoptic]):
    """Segments and their map."""

    lists = ("things", "stuff")

    def transform(self, item: Panoptic, geometry: Geometry, vocabulary: Vocabulary) -> Panoptic:
        ids = transform_map(item.ids, geometry)
        present = set(torch.unique(ids).tolist())
        segments = tuple(segment for segment in item.segments if segment.id in present)
        if geometry.mirrored and segments:
            labels = flip_labels(torch.tensor([segment.label for segment in segments]), "labels", vocabulary)
            segments = tuple(replace(s, label=label) for s, label in zip(segments, labels.tolist(), strict=True))
        return Panoptic(ids, segments)

    def one_sided(self, item: Panoptic, frame: Frame) -> Iterator[str]:
        """Yield class names without a counterpart."""
        labels = torch.tensor([segment.label for segment in item.segments], dtype=torch.int64)
        yield from one_sided_names(labels, "labels", frame.vocabulary)

    def columns(self, item: Panoptic, frame: Frame) -> Columns:
        """Return the segments with their share of the image, the largest first."""
        share = shares_of(item.ids)
        segments = sorted(item.segments, key=lambda segment: -share.get(segment.id, 0.0))
        shown = [(Swatch(frame.vocabulary.labels[s.label], s.label, s.object), share.get(s.id, 0.0)) for s in segments]
        return label_columns(shown, frame.vocabulary)

    def example(self, frame: Frame, shape: Shape = None) -> Panoptic:
        """Return a segment for every object; what is left belongs to the last kind of stuff."""
        last, objects = len(frame.vocabulary.labels) - 1, rows_in(frame)
        ids, segments = torch.ones(frame.size, dtype=torch.int64), []
        if frame.vocabulary.stuff:
            segments.append(Segment(1, last, is_thing=False))
        for row, bitmap in enumerate(bitmaps_of(frame)):
            ids[bitmap] = row + 2
            segments.append(Segment(row + 2, int(objects.labels[row]), is_thing=True, object=row))
        return Panoptic(ids, tuple(segments))

    def misplaced(self, item: Panoptic, frame: Frame) -> str | None:
        return other_size(item.ids, frame.size)

    def encode(self, item: Panoptic, vocabulary: Vocabulary) -> Any:
        if not item.segments:
            return []
        rles = Masks.from_dense(torch.stack([item.ids == segment.id for segment in item.segments])).to_json()
        return [
            {**plain(vars(segment)), "name": vocabulary.labels[segment.label], "mask": rle}
            for segment, rle in zip(item.segments, rles, strict=True)
        ]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Panoptic:
        ids, segments = torch.zeros(size, dtype=torch.int64), []
        for entry in data:
            parts = {name: part for name, part in entry.items() if name not in ("name", "mask")}
            segments.append(SEGMENT.validate_json(json.dumps(parts), strict=True))
            ids[Masks.from_json([entry["mask"]], size).dense[0]] = entry["id"]
        return Panoptic(ids, tuple(segments))

    def remap(self, item: Panoptic, index_map: Int[Tensor, " N"]) -> Panoptic:
        """Return segments that name the new rows; one whose object was dropped stays, its pixels are of that class."""
        rows = index_map.tolist()
        segments = (
            segment if segment.object is None else replace(segment, object=_row_or_none(rows[segment.object]))
            for segment in item.segments
        )
        return Panoptic(item.ids, tuple(segments))

    def relabel(self, item: Panoptic, labels: LabelMap) -> Panoptic:
        """Return segments with the new labels; void where there is none.

        Stuff that becomes a thing is a crowd of such things. Segments that become stuff of one name are one segment.
        """
        names = torch.tensor([segment.label for segment in item.segments], dtype=torch.int64)
        segments = zip(item.segments, labels.apply("labels", names).tolist(), strict=True)
        left = [_relabelled(segment, label, len(labels.new.things)) for segment, label in segments if label >= 0]
        kept = _only(item, left)
        return _with_stuff_united(kept) if labels.merges("labels") else kept

    def validate(self, item: Panoptic, frame: Frame) -> Validated:
        """Drop segments with an unknown label, and the object of those that name a missing one."""
        labels, objects = len(frame.vocabulary.labels), len(frame.boxes)
        unknown = {s.id for s in item.segments if not 0 <= s.label < labels}
        lost = {s.id for s in item.segments if s.object is not None and not 0 <= s.object < objects} - unknown
        if not unknown and not lost:
            return Validated(item)
        issues = []
        for segment in item.segments:
            if segment.id in unknown:
                message = f"the label is {segment.label}; the vocabulary has {labels}"
                issues.append(Issue("segments with an unknown label", message, entry=segment.id))
            elif segment.id in lost:
                message = f"it names object {segment.object}; there are {objects}"
                issues.append(Issue("segments of missing objects", message, entry=segment.id))
        kept = [replace(s, object=None) if s.id in lost else s for s in item.segments if s.id not in unknown]
        return Validated(_only(item, kept), None, issues)

    def warnings(self, item: Panoptic, frame: Frame) -> Iterator[Issue]:
        """Yield segments without a pixel."""
        present = set(torch.unique(item.ids).tolist())
        yield from (Issue("segments without a pixel", entry=s.id) for s in item.segments if s.id not in present)

    def statistics(self, item: Panoptic, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield the number of segments, and the share of the image without one."""
        yield "segments an image", torch.tensor([len(item.segments)])
        yield "share without a segment", (item.ids == 0).float().mean()[None]


def _relabelled(segment: Segment, label: int, things: int) -> Segment:
    """Return a segment with a new label, which is a thing's below the number of `things`."""
    if label >= things:
        return replace(segment, label=label, is_thing=False, object=None, crowd=False)
    return replace(segment, label=label, is_thing=True, crowd=segment.crowd or not segment.is_thing)


def _with_stuff_united(item: Panoptic) -> Panoptic:
    """Return the segments with one for each kind of stuff, the first of its name."""
    first: dict[int, Segment] = {}
    ids, segments = item.ids, []
    for segment in item.segments:
        if segment.is_thing or first.setdefault(segment.label, segment) is segment:
            segments.append(segment)
        else:
            ids = torch.where(ids == segment.id, first[segment.label].id, ids)
    return Panoptic(ids, tuple(segments))


def _row_or_none(row: int) -> int | None:
    return row if row >= 0 else None


def _only(item: Panoptic, segments: list[Segment]) -> Panoptic:
    """Return the segments with their pixels; void where others were."""
    known = torch.tensor([segment.id for segment in segments], dtype=item.ids.dtype)
    return Panoptic(torch.where(torch.isin(item.ids, known), item.ids, 0), tuple(segments))
