"""How the values of a key behave: picked, packed, moved with the picture, written and read.

A `Field` is what a `Key` needs to know about the type behind it. Row tensors and numbers need none of this: the plain
`Field` serves. Letters: N rows of one picture, G rows of a batch, B pictures, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms.v2 import functional as tv

from scenekit.files import plain
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary

IGNORE = -1
"""Label of a pixel that says nothing."""

MOST_NUMBERS = 64
"""A tensor with more of them in a row is not described number by number."""

Batch = TypeVar("Batch")
Item = TypeVar("Item")


class Field(Generic[Batch, Item]):
    """A tensor whose first dimension are the rows of a stream; the base of all other kinds.

    `dims` is the number of its dimensions, so that JSON without a single row is read in the right form.
    """

    names_objects: bool = False
    """Whether values of a picture name rows of its objects: those of the regions that OBJECTS on the board are taken
    from, those of its objects in a Scene. `image` then gets the rows of the objects that are left, in order."""

    def __init__(self, dims: int = 1) -> None:
        self.dims = dims

    def select(self, value: Any, rows: Tensor) -> Any:
        """Some rows of an item or of a packed batch."""
        return value[rows]

    def scatter(self, item: Any, rows: Tensor, count: int) -> Any:
        """An item of `count` rows that has `item` at `rows` and nothing (NaN, 0, empty) elsewhere."""
        return _scattered(item, rows, count)

    def collate(self, items: Sequence[Any], size: Size) -> Any:
        """Pack the items of a batch whose padded pictures are `size` pixels."""
        return torch.cat(list(items))

    def image(self, value: Any, index: int, rows: Tensor) -> Any:
        """The part of a batch that belongs to one picture: its `rows` of the packed values."""
        return self.select(value, rows)

    def transform(self, item: Any, geometry: Geometry, vocabulary: Vocabulary) -> Any:
        """Follow the picture through a crop, resize and mirroring."""
        return item

    def encode(self, item: Any, vocabulary: Vocabulary) -> Any:
        """Plain JSON values: one entry a row, `null` for what is not finite."""
        return [plain(row) for row in item.detach().cpu().tolist()]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Any:
        """Read what `encode` wrote for a picture of `size`."""
        return _tensor(data, *[0] * (self.dims - 1))

    def describe(self, item: Any, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """What the nodes of a scene's graph say: an entry of plain JSON per row, None where there is nothing to say.

        What `encode` writes, unless told otherwise; the shape alone of large tensors. Probabilities below `threshold`
        may be left out.
        """
        if isinstance(item, Tensor) and item[:1].numel() > MOST_NUMBERS:
            return [{"shape": list(item.shape[1:])} for _ in item]
        return list(self.encode(item, vocabulary))


class AttributeField(Field[Tensor, Tensor]):
    """A number per attribute of the vocabulary [N A]."""

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Those that are likely, by name."""
        rows = (zip(vocabulary.attributes, row, strict=True) for row in item.tolist())
        return [{name: p for name, p in row if p >= threshold} for row in rows]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        return _tensor(data, len(vocabulary.attributes))


class MaskField(Field[Tensor, Masks]):
    """Targets: uint8 [G H W] bitmaps in network pixels. On a board: float [N M M] probabilities in the box frame."""

    def scatter(self, item: Masks | Tensor, rows: Tensor, count: int) -> Masks | Tensor:
        if isinstance(item, Tensor):
            blank_between: Tensor = _scattered(item, rows, count)
            return blank_between
        full = list(Masks.empty(count, item.size).rles)
        for row, rle in zip(rows.tolist(), item.rles, strict=True):
            full[row] = rle
        return Masks(tuple(full), item.size)

    def collate(self, items: Sequence[Masks], size: Size) -> Tensor:
        packed = torch.zeros((sum(map(len, items)), *size), dtype=torch.uint8)
        start = 0
        for item in items:
            packed[start : start + len(item), : item.size[0], : item.size[1]] = item.dense
            start += len(item)
        return packed

    def transform(self, item: Masks, geometry: Geometry, vocabulary: Vocabulary) -> Masks:
        return item.transformed(geometry)

    def encode(self, item: Masks, vocabulary: Vocabulary) -> Any:
        return item.to_json()

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Masks:
        return Masks.from_json(data, size)

    def describe(self, item: Masks, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """How many pixels there are."""
        return [{"area": area} for area in item.area.tolist()]


class KeypointField(Field[Keypoints, Keypoints]):
    """Points in pixels; a row without points has visibility 0 throughout."""

    def scatter(self, item: Keypoints, rows: Tensor, count: int) -> Keypoints:
        parts = (item.xy, item.visibility, item.scores)
        return Keypoints(*(_scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Keypoints], size: Size) -> Keypoints:
        return Keypoints(torch.cat([item.xy for item in items]), torch.cat([item.visibility for item in items]))

    def transform(self, item: Keypoints, geometry: Geometry, vocabulary: Vocabulary) -> Keypoints:
        skeleton = vocabulary.skeleton
        mirror = range(item.xy.shape[1]) if skeleton is None else skeleton.mirror_order
        return item.transformed(geometry, mirror)

    def encode(self, item: Keypoints, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = (item.xy.tolist(), item.visibility.tolist(), scores)
        return [{"xy": plain(xy), "visibility": v, "scores": s} for xy, v, s in zip(*columns, strict=True)]

    def describe(self, item: Keypoints, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """x, y and visibility of the points that are there, by name; None where none is."""
        points = range(item.xy.shape[1]) if vocabulary.skeleton is None else vocabulary.skeleton.points
        rows = zip(plain(item.xy.tolist()), item.visibility.tolist(), strict=True)
        named = [{str(p): [*xy, v] for p, xy, v in zip(points, *row, strict=True) if v} for row in rows]
        return [row or None for row in named]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Keypoints:
        points = 0 if data or vocabulary.skeleton is None else len(vocabulary.skeleton.points)
        return Keypoints(
            _tensor([row["xy"] for row in data], points, 2),
            _tensor([row["visibility"] for row in data], points).long(),
            _scores([row["scores"] for row in data]),
        )


class CaptionField(Field[Captions, Captions]):
    """Texts; mirroring exchanges the vocabulary's mirror words."""

    def scatter(self, item: Captions, rows: Tensor, count: int) -> Captions:
        texts: list[tuple[str, ...]] = [()] * count
        for row, text in zip(rows.tolist(), item.texts, strict=True):
            texts[row] = text
        return Captions(tuple(texts), *(_scattered(part, rows, count) for part in (item.scores, item.log_probs)))

    def collate(self, items: Sequence[Captions], size: Size) -> Captions:
        return Captions(tuple(text for item in items for text in item.texts))

    def transform(self, item: Captions, geometry: Geometry, vocabulary: Vocabulary) -> Captions:
        if not geometry.mirrored:
            return item
        return replace(item, texts=tuple(tuple(map(vocabulary.mirror_text, texts)) for texts in item.texts))

    def encode(self, item: Captions, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        rows: list[dict[str, Any]] = [{"texts": list(t), "score": s} for t, s in zip(item.texts, scores, strict=True)]
        if item.log_probs is not None:
            for row, values in zip(rows, item.log_probs, strict=True):
                row["log_probs"] = values[~values.isnan()].tolist()
        return rows

    def describe(self, item: Captions, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """The texts, and how sure they are where they are predictions."""
        scores: list[Any] = [{}] * len(item)
        if item.scores is not None:
            scores = [{"score": score} for score in plain(item.scores.tolist())]
        return [{"texts": list(texts), **score} for texts, score in zip(item.texts, scores, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Captions:
        log_probs = None
        if any("log_probs" in row for row in data):
            rows = [torch.tensor(row.get("log_probs", []), dtype=torch.float32) for row in data]
            log_probs = pad_sequence(rows, batch_first=True, padding_value=torch.nan)
        return Captions(tuple(tuple(row["texts"]) for row in data), _scores([row["score"] for row in data]), log_probs)


class Box3DField(Field[Boxes3D, Boxes3D]):
    """Camera-space boxes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Boxes3D, rows: Tensor, count: int) -> Boxes3D:
        parts = (item.center, item.size, item.rotation, item.scores)
        return Boxes3D(*(_scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Boxes3D], size: Size) -> Boxes3D:
        return Boxes3D(*(torch.cat([getattr(item, name) for item in items]) for name in ("center", "size", "rotation")))

    def transform(self, item: Boxes3D, geometry: Geometry, vocabulary: Vocabulary) -> Boxes3D:
        return item.mirrored() if geometry.mirrored else item

    def encode(self, item: Boxes3D, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = (item.center.tolist(), item.size.tolist(), item.rotation.tolist(), scores)
        names = ("center", "size", "rotation", "score")
        return [dict(zip(names, map(plain, row), strict=True)) for row in zip(*columns, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Boxes3D:
        return Boxes3D(
            _tensor([row["center"] for row in data], 3),
            _tensor([row["size"] for row in data], 3),
            _tensor([row["rotation"] for row in data], 3, 3),
            _scores([row["score"] for row in data]),
        )


class MeshField(Field[Meshes, Meshes]):
    """Camera-space meshes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Meshes, rows: Tensor, count: int) -> Meshes:
        place = {row: i for i, row in enumerate(rows.tolist())}
        verts = [item.verts_of(place[i]) if i in place else item.verts[:0] for i in range(count)]
        faces = [item.faces_of(place[i]) if i in place else item.faces[:0] for i in range(count)]
        return Meshes.from_lists(verts, faces)

    def collate(self, items: Sequence[Meshes], size: Size) -> Meshes:
        verts = [item.verts_of(i) for item in items for i in range(len(item))]
        return Meshes.from_lists(verts, [item.faces_of(i) for item in items for i in range(len(item))])

    def transform(self, item: Meshes, geometry: Geometry, vocabulary: Vocabulary) -> Meshes:
        return item.mirrored() if geometry.mirrored else item

    def describe(self, item: Meshes, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """How large they are; the mesh itself stays in the scene, at the row that is the node's number."""
        return [{"verts": len(item.verts_of(i)), "faces": len(item.faces_of(i))} for i in range(len(item))]

    def encode(self, item: Meshes, vocabulary: Vocabulary) -> Any:
        parts = ((item.verts_of(i).tolist(), item.faces_of(i).tolist()) for i in range(len(item)))
        return [{"verts": plain(verts), "faces": faces} for verts, faces in parts]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Meshes:
        verts = [_tensor(row["verts"], 3) for row in data]
        return Meshes.from_lists(verts, [torch.tensor(row["faces"], dtype=torch.int64).reshape(-1, 3) for row in data])


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
            subject, target, predicate, _scores([row["score"] for row in rows]), _scores(probabilities)
        )
        if objects is None:
            return relations
        labels = torch.tensor([row["label"] for row in objects], dtype=torch.int64)
        return replace(relations, labels=labels, label_scores=_scores([row["score"] for row in objects]))


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


def _scattered(item: Any, rows: Tensor, count: int) -> Any:
    """`count` rows that hold those of `item` at `rows` and NaN (or 0) elsewhere; None stays None."""
    if item is None:
        return None
    full = item.new_full((count, *item.shape[1:]), torch.nan if item.is_floating_point() else 0)
    full[rows] = item
    return full


def floats(value: Any) -> Any:
    """The inverse of `files.plain`: nested lists with NaN for None."""
    if isinstance(value, list):
        return [floats(entry) for entry in value]
    return torch.nan if value is None else value


def _tensor(rows: Sequence[Any], *shape: int) -> Tensor:
    """Nested lists as a tensor; `shape` is what a row has when there is none to tell."""
    return torch.tensor(floats(list(rows))) if rows else torch.zeros((0, *shape))


def _scores(rows: Sequence[Any]) -> Tensor | None:
    """A column of the rows, or None where no row says anything."""
    return None if all(row is None for row in rows) else _tensor(rows)
