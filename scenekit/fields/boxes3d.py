"""Oriented 3D boxes in the camera frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.fields.base import Field, Shape
from scenekit.fields.conversion import scattered, scores_of, tensor_of
from scenekit.fields.frame import Blending, Columns, Frame, Issue, Validated, rows_in, without_rows
from scenekit.io.files import plain
from scenekit.ops.boxes import intersection_over_area
from scenekit.ops.boxes3d import project_cuboids
from scenekit.ops.rotations.symmetry import aligned
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.meshes import Meshes
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary

BOX_NUMBERS = ("x", "y", "z", "width", "height", "length", "roll", "pitch", "yaw", "distance", "score")
"""Attributes of a 3D box on the node of a graph."""

LEAST_INSIDE = 0.5
"""The visible part of an object lies within its 3D box: so does at least this share of its 2D box."""


BAR = 0.015
"""Thickness of the bars that stand for a box, in units of its longest side."""


class Box3DField(Field[Boxes3D, Boxes3D]):
    """Boxes in the camera frame: resizing leaves them, flipping reflects them."""

    stands_in = True
    parts = MappingProxyType(
        {
            "center": "center in the camera frame, in metres: x right, y down, z forward [N 3]",
            "size": "width, height and length in metres [N 3]",
            "rotation": "rotation from the axes of the box (forward along its length, down, along its width) to those "
            "of the camera [N 3 3]",
            "scores": "score of the box, 0..1 [N]",
        }
    )

    def scatter(self, item: Boxes3D, rows: Tensor, count: int) -> Boxes3D:
        parts = (item.center, item.size, item.rotation, item.scores)
        return Boxes3D(*(scattered(part, rows, count) for part in parts))

    def collate(self, items: Sequence[Boxes3D], size: Size) -> Boxes3D:
        return Boxes3D(*(torch.cat([getattr(item, name) for item in items]) for name in ("center", "size", "rotation")))

    def transform(self, item: Boxes3D, geometry: Geometry, vocabulary: Vocabulary) -> Boxes3D:
        return item.mirrored() if geometry.mirrored else item

    def columns(self, item: Boxes3D, frame: Frame) -> Columns:
        """Return place, size and distance in metres; empty cells for invalid boxes (`Boxes3D.valid`)."""
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
        """Return boxes as the default camera sees them, about as far away as the longer side of the image is wide."""
        boxes, (height, width) = rows_in(frame).boxes, frame.size
        middle, depth = (boxes[:, :2] + boxes[:, 2:]) / 2, torch.linspace(2.0, 4.0, len(boxes))[:, None]
        center = (middle - middle.new_tensor([width / 2, height / 2])) / max(frame.size) * depth
        sides, turned = torch.full((len(boxes), 3), 0.5), torch.eye(3).repeat(len(boxes), 1, 1)
        return Boxes3D(torch.cat((center, depth), dim=1), sides, turned)

    def solids(self, item: Boxes3D) -> Meshes:
        """Return frames of thin bars along the edges; empty meshes for invalid boxes."""
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
        """Describe boxes by their nine numbers and `distance` from the camera, metres and radians, and `score` if any.

        An invalid box (`Boxes3D.valid`) gets None.
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

    def blend(self, before: Boxes3D, now: Boxes3D, blending: Blending) -> Boxes3D:
        """Return mean distances from the camera, sizes, rotations and scores; directions stay as they are now.

        Sizes and rotations are averaged modulo the symmetry of objects: a box that is described anew, by a quarter turn
        with width and length exchanged, is the same one.

        The direction of an object is as exact as its 2D box and would lag behind it; its distance is what errs. Of an
        object that comes closer the distance lags by its speed times the seconds of smoothing.
        """
        center, rotation = before.center, before.rotation
        if blending.motion is not None:
            turn = blending.motion[:3, :3].to(center)
            center, rotation = center @ turn.T + blending.motion[:3, 3].to(center), turn @ rotation
        size = before.size
        if blending.symmetry is not None:
            rotation, size = _described_alike(rotation, size, now.rotation, blending.symmetry)
        far, is_far = center.norm(dim=1), now.center.norm(dim=1)
        scale = torch.where(blending.weight < 1, blending.mean(far, is_far) / is_far.clamp(min=1e-6), 1.0)
        turned = _nearest_rotations(blending.mean(rotation, now.rotation))
        scores = now.scores
        if scores is not None and before.scores is not None:
            scores = blending.mean(before.scores, scores)
        kept = (blending.weight < 1) & before.valid & now.valid
        mean = Boxes3D(now.center * scale[:, None], blending.mean(size, now.size), turned, scores)
        rows = kept.nonzero()[:, 0]
        parts = ((now.center, mean.center), (now.size, mean.size), (now.rotation, mean.rotation))
        center, size, rotation = (own.index_put((rows,), other[rows]) for own, other in parts)
        return Boxes3D(center, size, rotation, scores)

    def validate(self, item: Boxes3D, frame: Frame) -> Validated:
        """Drop boxes without volume or rotation, and those behind the camera."""
        return without_rows(item, frame, _impossible(item))

    def warnings(self, item: Boxes3D, frame: Frame) -> Iterator[Issue]:
        """Yield boxes without a camera, and those that do not project to where their region is."""
        carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
        if frame.camera is None:
            if bool(carried.any()):
                yield Issue("3D boxes without a camera", "the scene has no camera; expected one to project them")
            return
        projected = project_cuboids(item.corners, frame.camera.matrix, frame.size)
        inside = intersection_over_area(frame.boxes, projected.boxes.to(frame.boxes)).diagonal()
        away = carried & item.valid & ~projected.behind & (inside < LEAST_INSIDE)
        for row in row_numbers(away):
            share = f"{float(inside[row]):.0%} of the 2D box is within the projected 3D box"
            yield Issue("3D boxes away from their 2D box", f"{share}; expected at least {LEAST_INSIDE:.0%}", row=row)

    def statistics(self, item: Boxes3D, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield distances and sizes."""
        boxes = item if frame.valid is None else item[frame.valid]
        yield "distance, m", boxes.center.norm(dim=1)
        yield from zip(("width, m", "height, m", "length, m"), boxes.size.unbind(1), strict=True)


def _impossible(item: Boxes3D) -> Iterator[Issue]:
    for row in row_numbers(~item.valid | (item.center[:, 2] <= 0)):
        if bool(item.valid[row]):
            message = f"its center is {float(item.center[row, 2]):g} m along the optical axis; expected more than 0"
            yield Issue("3D boxes behind the camera", message, row=row)
        else:
            yield Issue("3D boxes without volume or rotation", _invalid(item, row), row=row)


def _invalid(item: Boxes3D, row: int) -> str:
    """Return what is wrong with a box that is not valid."""
    center, size = item.center[row], item.size[row]
    if not bool(center.isfinite().all() & size.isfinite().all()):
        return f"center {_numbers(center)} and size {_numbers(size)} must be finite"
    if not bool((size > 0).all()):
        return f"width, height and length must be above 0, got {_numbers(size)}"
    left_handed = float(torch.linalg.det(item.rotation[row])) < 0
    return f"its rotation is {'left-handed' if left_handed else 'not orthonormal'}; expected camera from object"


def _numbers(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values.tolist()) + "]"


def cuboid_frame(sides: Float[np.ndarray, "3"]) -> trimesh.Trimesh:
    """Build the twelve edges of a box around the origin as bars inside it.

    Args:
        sides: The lengths of the box along x, y and z.

    Returns:
        The bars as one mesh.
    """
    thick = np.minimum(BAR * sides.max(), sides)
    pieces = []
    for axis, first, second in product(range(3), (-1, 1), (-1, 1)):
        place = np.insert([first, second], axis, 0) * (sides - thick) / 2
        extents = np.where(np.arange(3) == axis, sides, thick)
        pieces.append(trimesh.creation.box(extents).apply_translation(place))
    verts = np.concatenate([piece.vertices for piece in pieces])
    faces = [piece.faces + len(piece.vertices) * n for n, piece in enumerate(pieces)]
    return trimesh.Trimesh(verts, np.concatenate(faces), process=False)


def _described_alike(
    rotation: Float[Tensor, "N 3 3"],
    size: Float[Tensor, "N 3"],
    reference: Float[Tensor, "N 3 3"],
    symmetry: Int[Tensor, " N"],
) -> tuple[Float[Tensor, "N 3 3"], Float[Tensor, "N 3"]]:
    """Return the descriptions of the same boxes whose rotations are the nearest to others."""
    for n in set(symmetry.tolist()) - {1}:
        rows = (symmetry == n).nonzero()[:, 0]
        rotations, sizes, references = (part[rows].detach().cpu().numpy() for part in (rotation, size, reference))
        turned, sides = aligned(rotations, sizes, references, n)
        rotation = rotation.index_put((rows,), torch.from_numpy(turned).to(rotation))
        size = size.index_put((rows,), torch.from_numpy(sides).to(size))
    return rotation, size


def _nearest_rotations(matrices: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3 3"]:
    """Return the rotations next to weighted means of rotations: of upright boxes the mean of yaw on the circle."""
    left, _, right = torch.linalg.svd(matrices.nan_to_num(0.0))
    sign = torch.linalg.det(left @ right)
    rotations: Float[Tensor, "N 3 3"] = torch.cat((left[..., :2], left[..., 2:] * sign[:, None, None]), dim=-1) @ right
    return rotations
