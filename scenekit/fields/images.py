"""How the values of keys behave that belong to a picture as a whole: maps, segments, relations.

Letters: B pictures, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.fields.rows import Batch, Field, Item, floats, scores_of
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.masks import Masks
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary

IGNORE = -1
"""Label of a pixel that says nothing."""


class ImageField(Field[Batch, Item]):
    """A value of a whole picture; a batch is a list unless a subclass packs it."""

    def collate(self, items: Sequence[Any], size: Size) -> Any:
        return list(items)

    def image(self, value: Any, index: int, rows: Tensor) -> Any:
        return value[index]

    def absent(self, size: Size) -> Any:
        """What stands for a picture without this label in a packed batch."""
        return None

    def encode(self, item: Any, vocabulary: Vocabulary) -> Any:
        return plain(item.tolist() if isinstance(item, Tensor) else item)

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Any:
        return torch.tensor(floats(data)) if isinstance(data, list) else data


class SemanticField(ImageField[Tensor, Tensor]):
    """Labels [H W] int64, `IGNORE` where nothing is known; packed as [B H W]."""

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        return pad_maps(items, size, IGNORE)

    def absent(self, size: Size) -> Tensor:
        return torch.full(size, IGNORE)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return transform_map(item, geometry)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        present = [label for label in torch.unique(item).tolist() if label != IGNORE]
        masks = Masks.from_dense(torch.stack([item == label for label in present])) if present else None
        rles = [] if masks is None else masks.to_json()
        labels = vocabulary.labels
        return [{"label": n, "name": labels[n], "mask": rle} for n, rle in zip(present, rles, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        labels = torch.full(size, IGNORE)
        for entry in data:
            labels[Masks.from_json([entry["mask"]], size).dense[0]] = entry["label"]
        return labels


class DepthField(ImageField[Tensor, Tensor]):
    """Metres along the optical axis [H W], NaN where unknown; packed as [B H W]."""

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        return pad_maps(items, size, torch.nan)

    def absent(self, size: Size) -> Tensor:
        return torch.full(size, torch.nan)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return transform_map(item, geometry)


class PanopticField(ImageField[list[Panoptic], Panoptic]):
    """Segments and their map."""

    def transform(self, item: Panoptic, geometry: Geometry, vocabulary: Vocabulary) -> Panoptic:
        ids = transform_map(item.ids, geometry)
        present = set(torch.unique(ids).tolist())
        return Panoptic(ids, tuple(segment for segment in item.segments if segment.id in present))

    def encode(self, item: Panoptic, vocabulary: Vocabulary) -> Any:
        if not item.segments:
            return []
        rles = Masks.from_dense(torch.stack([item.ids == segment.id for segment in item.segments])).to_json()
        return [
            {**vars(segment), "name": vocabulary.labels[segment.label], "mask": rle}
            for segment, rle in zip(item.segments, rles, strict=True)
        ]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Panoptic:
        ids, segments = torch.zeros(size, dtype=torch.int64), []
        for entry in data:
            segments.append(Segment(**{k: v for k, v in entry.items() if k not in ("name", "mask")}))
            ids[Masks.from_json([entry["mask"]], size).dense[0]] = entry["id"]
        return Panoptic(ids, tuple(segments))


class RelationField(ImageField[list[Relations], Relations]):
    """Relations of a picture; mirroring exchanges the vocabulary's mirror predicates."""

    names_objects = True

    def image(self, value: list[Relations], index: int, rows: Tensor) -> Relations:
        """Those between objects that are left, which get the places of a Scene."""
        relations = value[index]
        named = [relations.subject, relations.object, rows]
        count = max((int(column.max()) + 1 for column in named if len(column)), default=0)
        count = count if relations.labels is None else len(relations.labels)
        places = torch.full((count,), -1, dtype=torch.int64, device=rows.device)
        places[rows] = torch.arange(len(rows), device=rows.device)
        return relations.moved(places)

    def transform(self, item: Relations, geometry: Geometry, vocabulary: Vocabulary) -> Relations:
        if not geometry.mirrored:
            return item
        order = torch.tensor(vocabulary.predicate_mirror_order, dtype=torch.int64, device=item.predicate.device)
        probabilities = None if item.probabilities is None else item.probabilities[:, order]
        return replace(item, predicate=order[item.predicate], probabilities=probabilities)

    def encode(self, item: Relations, vocabulary: Vocabulary) -> Any:
        """One entry a relation; where objects are labelled anew, an object with `relations` and `objects`."""
        relations = self._encode_rows(item, vocabulary)
        if item.labels is None:
            return relations
        scores: list[Any] = [None] * len(item.labels) if item.label_scores is None else item.label_scores.tolist()
        objects = [
            {"label": label, "name": vocabulary.things[label], "score": plain(score)}
            for label, score in zip(item.labels.tolist(), scores, strict=True)
        ]
        return {"relations": relations, "objects": objects}

    def _encode_rows(self, item: Relations, vocabulary: Vocabulary) -> list[dict[str, Any]]:
        scores: list[Any] = [None] * len(item) if item.score is None else plain(item.score.tolist())
        columns = (item.subject.tolist(), item.object.tolist(), item.predicate.tolist(), scores)
        names = vocabulary.predicates
        entries = [
            {"subject": s, "object": o, "predicate": p, "name": names[p], "score": score}
            for s, o, p, score in zip(*columns, strict=True)
        ]
        if item.probabilities is None:
            return entries
        probabilities = plain(item.probabilities.tolist())
        return [{**entry, "probabilities": row} for entry, row in zip(entries, probabilities, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Relations:
        rows, objects = (data["relations"], data["objects"]) if isinstance(data, dict) else (data, None)
        subject, target, predicate = (
            torch.tensor([row[name] for row in rows], dtype=torch.int64) for name in ("subject", "object", "predicate")
        )
        probabilities = [row.get("probabilities") for row in rows]
        relations = Relations(
            subject, target, predicate, scores_of([row["score"] for row in rows]), scores_of(probabilities)
        )
        if objects is None:
            return relations
        labels = torch.tensor([row["label"] for row in objects], dtype=torch.int64)
        return replace(relations, labels=labels, label_scores=scores_of([row["score"] for row in objects]))


def pad_maps(maps: Sequence[Tensor], size: Size, value: int | float) -> Tensor:
    """Stack [h w] maps into [B H W], filled up with `value` at the right and bottom."""
    packed = maps[0].new_full((len(maps), *size), value)
    for row, item in zip(packed, maps, strict=True):
        row[: item.shape[0], : item.shape[1]] = item
    return packed


def transform_map(item: Tensor, geometry: Geometry) -> Tensor:
    """A map of labels or measures follows the picture (nearest neighbour, so that no new values appear)."""
    x0, y0, x1, y1 = geometry.window
    cut = item[y0:y1, x0:x1]
    if tuple(cut.shape) != geometry.size:
        nearest_exact = tv.InterpolationMode.NEAREST_EXACT
        cut = tv.resize(cut[None].double(), list(geometry.size), interpolation=nearest_exact)[0].to(item.dtype)
    return cut.flip(-1) if geometry.mirrored else cut
