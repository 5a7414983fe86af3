"""Synthetic scenes as a data set of scenekit samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import (
    AMODAL_MASKS,
    ATTRIBUTES,
    BOXES3D,
    CAPTIONS,
    DEPTH,
    KEYPOINTS,
    MASKS,
    MESHES,
    OBJECTS,
    PANOPTIC,
    PHRASE_CAPTIONS,
    PHRASES,
    RELATIONS,
    SEMANTIC,
    VOXELS,
    Key,
)
from scenekit.scene import Objects, Scene
from scenekit.structures import Boxes3D, Camera, Captions, Keypoints, Masks, Meshes, Panoptic, Relations
from scenekit.structures import Segment as PanopticSegment
from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit.structures.voxels import voxelize
from scenekit_datasets.roots import cache_folder
from scenekit_datasets.synthetic import vocabulary
from scenekit_datasets.synthetic.cache import cached, cached_voxels
from scenekit_datasets.synthetic.options import checked_keys, checked_length, checked_seed, checked_size
from scenekit_datasets.synthetic.scene import SyntheticScene, generate
from scenekit_datasets.synthetic.tracer import require_embree

LENGTHS = {"train": 10_000, "val": 500, "test": 500}
"""Default number of scenes per split; only train may be longer."""

COCO_SIGMAS = (
    (0.026,) + (0.025,) * 2 + (0.035,) * 2 + (0.079,) * 2 + (0.072,) * 2 + (0.062,) * 2
    + (0.107,) * 2 + (0.087,) * 2 + (0.089,) * 2
)  # fmt: skip
"""COCO's OKS falloff for its 17 keypoints."""

KEYS: tuple[Key[Any, Any], ...] = (
    SEMANTIC,
    PANOPTIC,
    DEPTH,
    RELATIONS,
    MASKS,
    KEYPOINTS,
    ATTRIBUTES,
    CAPTIONS,
    BOXES3D,
    MESHES,
    VOXELS,
    PHRASE_CAPTIONS,
)
"""Labels of every sample; amodal masks are loaded on request."""

CELLS = 24
"""Cells along each side of the occupancy grids, as Mesh R-CNN has for Pix3D."""


def synthetic_vocabulary() -> Vocabulary:
    """Return the vocabulary of synthetic scenes.

    Returns:
        The vocabulary.
    """
    names = vocabulary.KEYPOINTS
    sides = tuple((name, name.replace("left", "right")) for name in names if name.startswith("left"))
    edges = tuple((names[a], names[b]) for a, b in vocabulary.SKELETON)
    return Vocabulary(
        things=vocabulary.THINGS,
        stuff=vocabulary.STUFF,
        predicates=vocabulary.PREDICATES,
        attributes=vocabulary.ATTRIBUTES,
        skeletons={"person": Skeleton(names, edges, sides, COCO_SIGMAS)},
        mirror_predicates=(("left of", "right of"),),
        mirror_words=vocabulary.MIRRORED_WORDS,
        symmetry=vocabulary.SYMMETRY,
    )


class SyntheticDataset(Dataset[Sample]):
    """Scenes of one split, generated when loaded and stored on disk.

    Raises InputError for invalid options, and when embree is missing.

    Args:
        split: "train", "val" or "test".
        length: Number of scenes; only train may be longer than its default.
        seed: Other numbers give other train scenes.
        size: (height, width) of the images in pixels.
        keys: Names of the labels to load; all, if None, except "amodal_masks".
        cache: Folder for generated scenes; False for none; None for the user's cache folder.
        voxels: Cells along each side of occupancy grids.
        single: Whether each scene has one object alone, as single-object localization needs it.
    """

    def __init__(
        self,
        split: str = "train",
        length: int | None = None,
        seed: int = 0,
        size: Sequence[int] = (240, 320),
        keys: Sequence[str] | None = None,
        cache: str | Path | bool | None = None,
        voxels: int = CELLS,
        single: bool = False,
    ) -> None:
        require_embree()
        self.length = checked_length("scenes", LENGTHS, MOST_SCENES, split, length)
        self.seed = checked_seed(split, seed)
        self.size = checked_size(size)
        self.keys = KEYS if keys is None else checked_keys("scenes", keys, (*KEYS, AMODAL_MASKS))
        if not 1 <= voxels <= 256:
            raise InputError(f"voxels, the cells along each side of a grid, must be from 1 to 256, got {voxels}")
        self.voxels, self.single = voxels, single
        self.root = cache_folder(cache, "synthetic", "synthetic scenes", "they are generated again each time")
        self.split = split
        self.vocabulary = synthetic_vocabulary()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of a split of {self.length}")
        made = self.synthetic(index)
        scene = to_scene(made, self.vocabulary, self.keys, lambda made: self._voxels(made, index))
        supervision = Supervision(
            keys=frozenset(self.keys),
            streams=frozenset({OBJECTS, PHRASES}),
            exhaustive=frozenset({OBJECTS, PHRASES}),
        )
        image = torch.from_numpy(np.ascontiguousarray(made.image.transpose(2, 0, 1)))
        return Sample(image, scene, supervision, index)

    def synthetic(self, index: int) -> SyntheticScene:
        """Return a scene as the generator describes it.

        Args:
            index: Index of the scene.

        Returns:
            The scene.
        """
        amodal = AMODAL_MASKS in self.keys
        if self.root is None:
            return generate(self.seed, index, self.size, amodal, self.single)
        return cached(self.root, self.seed, index, self.size, amodal, self.single)

    def _voxels(self, made: SyntheticScene, index: int) -> Tensor:
        """Return occupancy grids [N V V V], stored beside the scene, as computing them takes longer than loading it."""
        if self.root is None:
            return voxels_of(made, self.voxels)
        return cached_voxels(
            self.root, self.seed, index, self.size, self.voxels, lambda: voxels_of(made, self.voxels), self.single
        )


MOST_SCENES = 10**7
"""How many scenes the train split may have: the order in which they are drawn is kept in memory."""


def to_scene(
    made: SyntheticScene,
    vocabulary: Vocabulary,
    keys: Sequence[Key[Any, Any]] = KEYS,
    voxels: Callable[[SyntheticScene], Tensor] | None = None,
) -> Scene:
    """Convert a generated scene to ground truth.

    Args:
        made: The generated scene.
        vocabulary: Vocabulary of synthetic scenes.
        keys: Labels to load.
        voxels: Function that returns the occupancy grids; they are computed, if None.

    Returns:
        The ground truth.
    """
    instance = torch.from_numpy(made.instance)
    masks = Masks.from_dense(instance[None] == torch.arange(len(made.labels))[:, None, None])
    makers: dict[Key[Any, Any], Callable[[], Any]] = {
        SEMANTIC: lambda: _semantic(made),
        PANOPTIC: lambda: _panoptic(made),
        DEPTH: lambda: depth_of(made),
        RELATIONS: lambda: Relations(*torch.from_numpy(made.relations[:, [0, 2, 1]]).unbind(1)),
        MASKS: lambda: masks,
        AMODAL_MASKS: lambda: _amodal(made),
        KEYPOINTS: lambda: _keypoints(made),
        ATTRIBUTES: lambda: _attributes(made),
        CAPTIONS: lambda: Captions(made.captions),
        BOXES3D: lambda: _boxes3d(made),
        MESHES: lambda: _meshes(made),
        VOXELS: lambda: (voxels or voxels_of)(made),
        PHRASE_CAPTIONS: lambda: Captions(tuple(phrase.captions for phrase in made.phrases)),
    }
    objects = Objects(_float(made.boxes), torch.from_numpy(made.labels), area=masks.area)
    regions = torch.tensor([phrase.box for phrase in made.phrases]).reshape(-1, 4)
    phrases = Objects(regions, torch.zeros(len(regions), dtype=torch.int64))
    return Scene(
        size=(made.image.shape[0], made.image.shape[1]),
        vocabulary=vocabulary,
        streams={OBJECTS: objects, PHRASES: phrases},
        values={key: makers[key]() for key in keys},
        camera=Camera(_float(made.intrinsics)),
    )


def _float(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _semantic(made: SyntheticScene) -> Tensor:
    """Return labels [H W], -1 for pixels without one."""
    semantic = made.semantic.astype(np.int64)
    return torch.from_numpy(np.where(semantic == vocabulary.IGNORE, -1, semantic))


def _panoptic(made: SyntheticScene) -> Panoptic:
    segments = tuple(
        PanopticSegment(s.id, s.category, s.is_thing, object=s.id - 1 if s.is_thing else None) for s in made.segments
    )
    return Panoptic(torch.from_numpy(made.panoptic.astype(np.int64)), segments)


def depth_of(made: SyntheticScene) -> Tensor:
    """Return the depth map of a scene.

    Args:
        made: The generated scene.

    Returns:
        Metres along z [H W], NaN for the sky.
    """
    depth = torch.from_numpy(made.depth.astype(np.float32))
    return torch.where(depth > 0, depth, torch.nan)


def _amodal(made: SyntheticScene) -> Masks:
    assert made.amodal is not None, "the scene was generated without amodal masks"
    return Masks.from_dense(torch.from_numpy(made.amodal))


def _keypoints(made: SyntheticScene) -> Keypoints:
    points = torch.from_numpy(made.keypoints)
    return Keypoints(points[..., :2].contiguous(), points[..., 2].long())


def _attributes(made: SyntheticScene) -> Tensor:
    """Return [N A], 1 where an attribute holds."""
    out = torch.zeros(len(made.attributes), len(vocabulary.ATTRIBUTES))
    for row, held in zip(out, made.attributes, strict=True):
        row[list(held)] = 1.0
    return out


def voxels_of(made: SyntheticScene, side: int = CELLS) -> Tensor:
    """Compute the occupancy of every object's box.

    Args:
        made: The generated scene.
        side: Cells along each side of the grids.

    Returns:
        Bool [N side side side].
    """
    return voxelize(_meshes(made), _boxes3d(made), side)


def _boxes3d(made: SyntheticScene) -> Boxes3D:
    return Boxes3D(*(_float(array) for array in (made.box_centers, made.box_sizes, made.box_rotations)))


def _meshes(made: SyntheticScene) -> Meshes:
    return Meshes.from_lists([_float(m.verts) for m in made.meshes], [torch.from_numpy(m.faces) for m in made.meshes])
