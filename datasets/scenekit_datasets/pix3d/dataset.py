"""Pix3D's folder as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, nearest
from scenekit.io.images import read_image
from scenekit.keys import BOXES3D, MASKS, MESHES, OBJECTS, VOXELS, Key
from scenekit.scene import Objects, Scene
from scenekit.structures import Camera, Masks
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.pix3d.index import FLAGS, Entry, Index
from scenekit_datasets.pix3d.models import in_camera, load_model
from scenekit_datasets.roots import Exif, Faulty, image_of_size, report

KEYS: tuple[Key[Any, Any], ...] = (MASKS, BOXES3D, MESHES, VOXELS)
"""Labels beside the object's box."""

SHAPES = frozenset({BOXES3D, MESHES, VOXELS})
"""Labels that need the model."""


class Pix3D(FileDataset):
    """Images with one annotated object each; other objects in them are not annotated.

    Args:
        index: Index of the images.
        categories: Categories to learn; all that occur, if None.
        leave_out: Flags of images to skip.
        keys: Labels to load beside objects.
        side: Cells along each side of occupancy grids.
        metric: Whether 3D boxes count as annotated, with lengths in metres.
        faulty: Whether to refuse faulty entries or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        index: Index,
        *,
        categories: Sequence[str] | None = None,
        leave_out: Collection[str] = (),
        keys: Collection[Key[Any, Any]] = KEYS,
        side: int = 24,
        metric: bool = False,
        faulty: Faulty = "refuse",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        if not 1 <= side <= 256:
            raise InputError(f"voxels, the cells along each side of a grid, must be from 1 to 256, got {side}")
        self.things = _categories(index, categories)
        self.vocabulary = Vocabulary(self.things)
        flags = _flags(leave_out)
        self.entries = [e for e in index.entries if e.category in self.things and not e.flags & flags]
        if not self.entries:
            raise InputError(f"no image of {index.path} is left; check the options categories and leave_out")
        self.keys, self.side, self.metric = frozenset(keys), side, metric

    def __len__(self) -> int:
        return len(self.entries)

    def _sample(self, index: int) -> Sample:
        entry = self.entries[index]
        image = image_of_size(entry.image, entry.size, f"image {entry.name}", self.exif)
        scene = self._scene(entry)
        claims = Supervision(frozenset(scene.values), exhaustive=frozenset())
        return Sample(image, scene, claims, entry.place)

    def _scene(self, entry: Entry) -> Scene:
        height, width = entry.size
        matrix = torch.tensor([[entry.focal, 0.0, width / 2], [0.0, entry.focal, height / 2], [0.0, 0.0, 1.0]])
        masks = read_mask(entry)
        objects = Objects(torch.tensor([entry.box]), torch.tensor([self.things.index(entry.category)]), area=masks.area)
        shape = {**self._shape(entry), MASKS: masks}
        values = {key: shape[key] for key in KEYS if key in self.keys and key in shape}
        return Scene(
            size=entry.size,
            vocabulary=self.vocabulary,
            streams={OBJECTS: objects},
            values=values,
            valid={} if self.metric or BOXES3D not in values else {BOXES3D: torch.tensor([False])},
            camera=Camera(matrix),
            path=str(entry.image),
        )

    def _shape(self, entry: Entry) -> dict[Key[Any, Any], Any]:
        """Return labels of the shape; none where they are not requested, or damaged and skipped."""
        if not self.keys & SHAPES:
            return {}
        try:
            model = load_model(entry.model, entry.voxels, self.side)
        except InputError as error:
            report([str(error)], self.faulty)
            return {}
        meshes, boxes3d = in_camera(model, entry.rotation, entry.translation)
        return {BOXES3D: boxes3d, MESHES: meshes, VOXELS: model.voxels}


def read_mask(entry: Entry) -> Masks:
    """Read the mask of the object: grey values above 127.

    Args:
        entry: The image.

    Returns:
        One mask.

    Raises:
        InputError: If it is damaged or has another size than the image.
    """
    grey: Tensor = read_image(entry.mask)[0]
    if tuple(grey.shape) != entry.size:
        raise InputError(f"{entry.mask}: expected a mask of {list(entry.size)} pixels, got {list(grey.shape)}")
    return Masks.from_dense(grey[None] > 127)


def _categories(index: Index, wanted: Sequence[str] | None) -> tuple[str, ...]:
    known = index.categories
    if isinstance(wanted, str) or (wanted is not None and not wanted):
        raise InputError(f"categories must be names such as [bed, chair], got {wanted!r}")
    for name in wanted or ():
        if name not in known:
            raise InputError(f"no image of {index.path} has the category {name!r}{nearest(name, known)}")
    return tuple(dict.fromkeys(known if wanted is None else wanted))


def _flags(names: Collection[str]) -> frozenset[str]:
    for name in [names] if isinstance(names, str) else names:
        if name not in FLAGS:
            raise InputError(f"leave_out names {name!r}{nearest(name, FLAGS)}")
    return frozenset([names] if isinstance(names, str) else names)
