"""How the values of a key behave: picked, packed, moved with the picture, written and read.

A `Field` is what a `Key` needs to know about the type behind it. Row tensors and numbers need none of this: the plain
`Field` serves. What belongs to a picture as a whole is in `image_fields`. Letters: N rows of one picture, G rows of a
batch, H W pixels.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scenekit.errors import InputError
from scenekit.io.files import plain
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.vocabulary import Vocabulary

MOST_NUMBERS = 64
"""A tensor with more of them in a row is not described number by number."""

BOX_NUMBERS = ("x", "y", "z", "width", "height", "length", "roll", "pitch", "yaw", "distance", "score")
"""What the node of a graph says of a 3D box."""

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
        return scattered(item, rows, count)

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
        return tensor_of(data, *[0] * (self.dims - 1))

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
        return tensor_of(data, len(vocabulary.attributes))


class MaskField(Field[Tensor, Masks]):
    """Targets: uint8 [G H W] bitmaps in network pixels. On a board: float [N M M] probabilities in the box frame."""

    def scatter(self, item: Masks | Tensor, rows: Tensor, count: int) -> Masks | Tensor:
        if isinstance(item, Tensor):
            blank_between: Tensor = scattered(item, rows, count)
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
        return Keypoints(*(scattered(part, rows, count) for part in parts))

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
            tensor_of([row["xy"] for row in data], points, 2),
            tensor_of([row["visibility"] for row in data], points).long(),
            scores_of([row["scores"] for row in data]),
        )


class CaptionField(Field[Captions, Captions]):
    """Texts; mirroring exchanges the vocabulary's mirror words."""

    def scatter(self, item: Captions, rows: Tensor, count: int) -> Captions:
        texts: list[tuple[str, ...]] = [()] * count
        for row, text in zip(rows.tolist(), item.texts, strict=True):
            texts[row] = text
        return Captions(tuple(texts), *(scattered(part, rows, count) for part in (item.scores, item.log_probs)))

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
        return Captions(
            tuple(tuple(row["texts"]) for row in data), scores_of([row["score"] for row in data]), log_probs
        )


class Box3DField(Field[Boxes3D, Boxes3D]):
    """Camera-space boxes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Boxes3D, rows: Tensor, count: int) -> Boxes3D:
        parts = (item.center, item.size, item.rotation, item.scores)
        return Boxes3D(*(scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Boxes3D], size: Size) -> Boxes3D:
        return Boxes3D(*(torch.cat([getattr(item, name) for item in items]) for name in ("center", "size", "rotation")))

    def transform(self, item: Boxes3D, geometry: Geometry, vocabulary: Vocabulary) -> Boxes3D:
        return item.mirrored() if geometry.mirrored else item

    def encode(self, item: Boxes3D, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = (item.center.tolist(), item.size.tolist(), item.rotation.tolist(), scores)
        names = ("center", "size", "rotation", "score")
        return [dict(zip(names, map(plain, row), strict=True)) for row in zip(*columns, strict=True)]

    def describe(self, item: Boxes3D, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """The nine numbers and the `distance` from the camera, metres and radians, and the `score` if there is one.

        None of boxes that cannot be, as `Boxes3D.valid` has it.
        """
        scores = [] if item.scores is None else [item.scores[:, None]]
        numbers = torch.cat((item.parameters, item.center.norm(dim=1, keepdim=True), *scores), dim=1)
        rows = (dict(zip(BOX_NUMBERS, row, strict=False)) for row in numbers.tolist())
        return [plain(row) if valid else None for row, valid in zip(rows, item.valid.tolist(), strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Boxes3D:
        return Boxes3D(
            tensor_of([row["center"] for row in data], 3),
            tensor_of([row["size"] for row in data], 3),
            tensor_of([row["rotation"] for row in data], 3, 3),
            scores_of([row["score"] for row in data]),
        )


class MeshField(Field[Meshes, Meshes]):
    """Camera-space meshes: resizing leaves them, mirroring reflects them."""

    def scatter(self, item: Meshes, rows: Tensor, count: int) -> Meshes:
        blank = Meshes.from_lists([item.verts[:0]], [item.faces[:0]])
        places = torch.full((count,), len(item), device=rows.device)
        places[rows] = torch.arange(len(item), device=rows.device)
        return Meshes.cat([item, blank])[places]

    def collate(self, items: Sequence[Meshes], size: Size) -> Meshes:
        return Meshes.cat(items)

    def transform(self, item: Meshes, geometry: Geometry, vocabulary: Vocabulary) -> Meshes:
        return item.mirrored() if geometry.mirrored else item

    def describe(self, item: Meshes, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """How large they are; the mesh itself stays in the scene, at the row that is the node's number."""
        return [{"verts": len(item.verts_of(i)), "faces": len(item.faces_of(i))} for i in range(len(item))]

    def encode(self, item: Meshes, vocabulary: Vocabulary) -> Any:
        parts = ((item.verts_of(i).tolist(), item.faces_of(i).tolist()) for i in range(len(item)))
        return [{"verts": plain(verts), "faces": faces} for verts, faces in parts]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Meshes:
        verts = [tensor_of(row["verts"], 3) for row in data]
        return Meshes.from_lists(verts, [torch.tensor(row["faces"], dtype=torch.int64).reshape(-1, 3) for row in data])


class VoxelField(Field[Tensor, Tensor]):
    """Occupancy [N V V V] along width, height and length of each object's own box, bool or a share of each cell.

    Crops and resizes leave it; mirroring reflects the width, as it does for the box.
    """

    def __init__(self) -> None:
        super().__init__(dims=4)

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        filled = [item for item in items if len(item)] or items[:1]
        sides = sorted({item.shape[-1] for item in filled})
        if len(sides) > 1:
            told = " and ".join(map(str, sides))
            raise InputError(f"voxel grids of {told} cells a side in one batch; give all data sets the same `voxels`")
        return torch.cat(list(filled))

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return item.flip(1) if geometry.mirrored else item

    def describe(self, item: Tensor, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Which share of its box each object fills."""
        return [{"shape": list(item.shape[1:]), "filled": share} for share in item.float().mean(dim=(1, 2, 3)).tolist()]

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        """Of bool, eight cells a byte, the first one in the highest bit, in base64; other values number by number."""
        if item.dtype != torch.bool:
            return super().encode(item, vocabulary)
        packed = np.packbits(item.flatten(1).cpu().numpy(), axis=1)
        return [{"side": item.shape[-1], "bits": base64.b64encode(row.tobytes()).decode()} for row in packed]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        if not data or isinstance(data[0], list):
            decoded: Tensor = super().decode(data, size, vocabulary)
            return decoded
        side = int(data[0]["side"])
        packed = np.stack([np.frombuffer(base64.b64decode(row["bits"]), dtype=np.uint8) for row in data])
        cells = np.unpackbits(packed, axis=1, count=side**3).astype(bool)
        return torch.from_numpy(cells.reshape(-1, side, side, side))


def scattered(item: Any, rows: Tensor, count: int) -> Any:
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


def tensor_of(rows: Sequence[Any], *shape: int) -> Tensor:
    """Nested lists as a tensor; `shape` is what a row has when there is none to tell."""
    return torch.tensor(floats(list(rows))) if rows else torch.zeros((0, *shape))


def scores_of(rows: Sequence[Any]) -> Tensor | None:
    """A column of the rows, or None where no row says anything."""
    return None if all(row is None for row in rows) else tensor_of(rows)
