"""Keypoints of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Field, Shape
from scenekit.fields.bounds import slack
from scenekit.fields.conversion import scattered, scores_of, tensor_of
from scenekit.fields.frame import Blending, Columns, Frame, Issue, Validated, rows_in
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.keypoints import ABSENT, VISIBLE, Keypoints
from scenekit.structures.label_map import LabelMap
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import POINTS, Vocabulary, one_sided_names


class KeypointField(Field[Keypoints, Keypoints]):
    """Points in pixels; a row without points has visibility 0 throughout."""

    parts = MappingProxyType(
        {
            "xy": "x and y of each point of the skeleton, in pixels [N K 2]",
            "visibility": "0 for points that the object does not have, 1 for hidden ones, 2 for visible ones [N K]",
            "scores": "score of each point [N K]",
        }
    )

    def scatter(self, item: Keypoints, rows: Tensor, count: int) -> Keypoints:
        parts = (item.xy, item.visibility, item.scores)
        return Keypoints(*(scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Keypoints], size: Size) -> Keypoints:
        return Keypoints(torch.cat([item.xy for item in items]), torch.cat([item.visibility for item in items]))

    def transform(self, item: Keypoints, geometry: Geometry, vocabulary: Vocabulary) -> Keypoints:
        order = vocabulary.flipped(POINTS).order or range(item.xy.shape[1])
        return item.transformed(geometry, order)

    def one_sided(self, item: Keypoints, frame: Frame) -> Iterator[str]:
        """Yield names of keypoints without a counterpart that an object has."""
        present = torch.tensor(row_numbers((item.visibility != ABSENT).any(dim=0)), dtype=torch.int64)
        yield from one_sided_names(present, POINTS, frame.vocabulary)

    def columns(self, item: Keypoints, frame: Frame) -> Columns:
        """Return `visible / all that are in the image` of each row."""
        visible, present = (item.visibility == VISIBLE).sum(1).tolist(), (item.visibility != ABSENT).sum(1).tolist()
        return {"keypoints visible": [f"{a} / {b}" if b else "" for a, b in zip(visible, present, strict=True)]}

    def example(self, frame: Frame, shape: Shape = None) -> Keypoints:
        """Return visible points along the diagonal of each box."""
        boxes, skeleton = rows_in(frame).boxes, frame.vocabulary.skeleton
        along = torch.linspace(0.2, 0.8, 1 if skeleton is None else len(skeleton.points))
        xy = boxes[:, None, :2] + along[None, :, None] * (boxes[:, None, 2:] - boxes[:, None, :2])
        return Keypoints(xy, torch.full(xy.shape[:2], VISIBLE))

    def misplaced(self, item: Keypoints, frame: Frame) -> str | None:
        """Return the place of points outside the image; one pixel is tolerated."""
        limits = item.xy.new_tensor([frame.size[1] + 1, frame.size[0] + 1])
        outside = ((item.xy < -1) | (item.xy > limits)).any(-1) & (item.visibility > 0)
        return f"lies outside, at {item.xy[outside][0].tolist()}," if bool(outside.any()) else None

    def encode(self, item: Keypoints, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = (item.xy.tolist(), item.visibility.tolist(), scores)
        return [{"xy": plain(xy), "visibility": v, "scores": s} for xy, v, s in zip(*columns, strict=True)]

    def describe(self, item: Keypoints, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return x, y and visibility of the points that are present, by name; None for a row without any."""
        points = range(item.xy.shape[1]) if vocabulary.skeleton is None else vocabulary.skeleton.points
        rows = zip(plain(item.xy.tolist()), item.visibility.tolist(), strict=True)
        named = [{str(p): [*xy, v] for p, xy, v in zip(points, *row, strict=True) if v} for row in rows]
        return [row or None for row in named]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Keypoints:
        points = 0 if data or vocabulary.skeleton is None else len(vocabulary.skeleton.points)
        visibility = torch.tensor([row["visibility"] for row in data], dtype=torch.int64)
        return Keypoints(
            tensor_of([row["xy"] for row in data], points, 2),
            visibility if data else visibility.new_zeros((0, points)),
            scores_of([row["scores"] for row in data]),
        )

    def relabel(self, item: Keypoints, labels: LabelMap) -> Keypoints:
        """Return the points in the order of the new skeleton; points that the old one lacks are absent."""
        if labels.old.skeleton is None or labels.new.skeleton is None:
            return item
        places = labels.sources(POINTS)
        count = len(labels.old.skeleton.points)
        if item.xy.shape[1] != count or places.tolist() == list(range(count)):
            return item
        picked = places.clamp(min=0)
        return Keypoints(item.xy[:, picked], item.visibility[:, picked] * (places >= 0))

    def blend(self, before: Keypoints, now: Keypoints, blending: Blending) -> Keypoints:
        """Return mean places relative to the boxes, so that points do not lag behind their object; mean scores.

        Points that were absent before, or are now, stay as they are now.
        """
        start, sides = blending.before[:, None, :2], (blending.before[:, 2:] - blending.before[:, :2])[:, None]
        shifted = (before.xy - start) / sides.clamp(min=1) * (blending.now[:, 2:] - blending.now[:, :2])[:, None]
        both = (before.visibility > ABSENT) & (now.visibility > ABSENT)
        xy = torch.where(both[..., None], blending.mean(shifted + blending.now[:, None, :2], now.xy), now.xy)
        if before.scores is None or now.scores is None:
            return replace(now, xy=xy)
        return replace(now, xy=xy, scores=blending.mean(before.scores, now.scores))

    def validate(self, item: Keypoints, frame: Frame) -> Validated:
        """Set points that are not finite to absent, and drop a table of another number of points than the skeleton."""
        skeleton, count = frame.vocabulary.skeleton, item.xy.shape[1]
        if skeleton is not None and count != len(skeleton.points):
            message = f"there are {count} points; the vocabulary has {len(skeleton.points)}"
            return Validated(None, None, [Issue("points of another skeleton", message)])
        invalid = (item.visibility != ABSENT) & ~item.xy.isfinite().all(dim=2)
        if frame.valid is not None:
            invalid = invalid & frame.valid[:, None]
        if not bool(invalid.any()):
            return Validated(item)
        lost = invalid.sum(dim=1).tolist()
        issues = [
            Issue("points that are not finite", f"{lost[row]} of {invalid.shape[1]} points are not finite", row=row)
            for row in row_numbers(invalid.any(dim=1))
        ]
        fixed = replace(
            item,
            xy=torch.where(invalid[..., None], 0.0, item.xy),
            visibility=torch.where(invalid, ABSENT, item.visibility),
        )
        return Validated(fixed, None, issues)

    def warnings(self, item: Keypoints, frame: Frame) -> Iterator[Issue]:
        """Yield points outside the box of their region."""
        boxes = frame.boxes
        margin = slack(boxes)[:, None]
        low, high = item.xy - boxes[:, None, :2], item.xy - boxes[:, None, 2:]
        outside = ((low < -margin) | (high > margin)).any(dim=2) & (item.visibility != ABSENT)
        rows = outside.any(dim=1) if frame.valid is None else outside.any(dim=1) & frame.valid
        yield from (Issue("points outside their box", row=row) for row in row_numbers(rows))

    def statistics(self, item: Keypoints, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how many points an object has."""
        points = item if frame.valid is None else item[frame.valid]
        yield "points an object", (points.visibility != ABSENT).sum(1)
