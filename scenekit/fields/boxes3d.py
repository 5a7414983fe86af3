"""Oriented 3D boxes in the camera frame."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from scenekit.fields.base import Columns, Field, Frame, Shape, rows_in, scattered, scores_of, tensor_of
from scenekit.io.files import plain
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.meshes import Meshes
from scenekit.structures.vocabulary import Vocabulary

BOX_NUMBERS = ("x", "y", "z", "width", "height", "length", "roll", "pitch", "yaw", "distance", "score")
"""What the node of a graph says of a 3D box."""


BAR = 0.015
"""Thickness of the bars that stand for a box, in units of its longest side."""


class Box3DField(Field[Boxes3D, Boxes3D]):
    """Camera-space boxes: resizing leaves them, mirroring reflects them."""

    stands_in = True

    def scatter(self, item: Boxes3D, rows: Tensor, count: int) -> Boxes3D:
        parts = (item.center, item.size, item.rotation, item.scores)
        return Boxes3D(*(scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Boxes3D], size: Size) -> Boxes3D:
        return Boxes3D(*(torch.cat([getattr(item, name) for item in items]) for name in ("center", "size", "rotation")))

    def transform(self, item: Boxes3D, geometry: Geometry, vocabulary: Vocabulary) -> Boxes3D:
        return item.mirrored() if geometry.mirrored else item

    def columns(self, item: Boxes3D, frame: Frame) -> Columns:
        """Place, size and distance in metres; nothing of boxes that cannot be, as `Boxes3D.valid` has it."""
        far = item.center.norm(dim=1).tolist()
        rows = zip(item.center.tolist(), item.size.tolist(), far, item.valid.tolist(), strict=True)
        texts = [
            (", ".join(f"{v:.2f}" for v in center), " × ".join(f"{v:.2f}" for v in size), f"{distance:.2f}")
            if valid
            else ("", "", "")
            for center, size, distance, valid in rows
        ]
        titles = ("x, y, z in m", "w × h × l in m", "distance in m")
        return {title: [row[n] for row in texts] for n, title in enumerate(titles)}

    def example(self, frame: Frame, shape: Shape = None) -> Boxes3D:
        """As the default camera sees them: about as far away as the longer side of the image is wide."""
        boxes, (height, width) = rows_in(frame).boxes, frame.size
        middle, depth = (boxes[:, :2] + boxes[:, 2:]) / 2, torch.linspace(2.0, 4.0, len(boxes))[:, None]
        center = (middle - middle.new_tensor([width / 2, height / 2])) / max(frame.size) * depth
        sides, turned = torch.full((len(boxes), 3), 0.5), torch.eye(3).repeat(len(boxes), 1, 1)
        return Boxes3D(torch.cat((center, depth), dim=1), sides, turned)

    def solids(self, item: Boxes3D) -> Meshes:
        """Frames of thin bars along the edges; nothing for boxes that cannot be."""
        parts = (part.detach().cpu().double().numpy() for part in (item.center, item.size, item.rotation))
        frames = []
        for center, (width, height, length), rotation, valid in zip(*parts, item.valid.tolist(), strict=True):
            frame = cuboid_frame(np.array([length, height, width])) if valid else trimesh.Trimesh()
            frames.append((torch.from_numpy(frame.vertices @ rotation.T + center), torch.from_numpy(frame.faces)))
        return Meshes.from_lists([verts for verts, _ in frames], [faces for _, faces in frames])

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


def cuboid_frame(sides: Float[np.ndarray, "3"]) -> trimesh.Trimesh:
    """The twelve edges of a box around the origin as bars inside it."""
    thick = np.minimum(BAR * sides.max(), sides)
    pieces = []
    for axis, first, second in product(range(3), (-1, 1), (-1, 1)):
        place = np.insert([first, second], axis, 0) * (sides - thick) / 2
        extents = np.where(np.arange(3) == axis, sides, thick)
        pieces.append(trimesh.creation.box(extents).apply_translation(place))
    verts = np.concatenate([piece.vertices for piece in pieces])
    faces = [piece.faces + len(piece.vertices) * n for n, piece in enumerate(pieces)]
    return trimesh.Trimesh(verts, np.concatenate(faces), process=False)
