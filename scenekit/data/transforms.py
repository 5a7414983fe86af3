"""Changes of a training sample: pixels by torchvision, labels by the geometry of the change.

Each transform is a small callable (sample, rng) -> sample; all randomness comes from `rng`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torchvision.transforms.v2 import functional as tv

from scenekit.data.sample import Sample
from scenekit.data.selection import without_empty
from scenekit.model.preprocess import resize, resized
from scenekit.recipe import AugmentConfig, InputConfig
from scenekit.scene import Scene
from scenekit.structures.geometry import Geometry, Size

Transform: TypeAlias = Callable[[Sample, random.Random], Sample]


def rng_for(seed: int, epoch: int, index: int, purpose: str = "augment") -> random.Random:
    """A source of randomness that depends on nothing but its arguments."""
    return random.Random(f"{purpose}/{seed}/{epoch}/{index}")


def moved(sample: Sample, geometry: Geometry, antialias: bool = True) -> Sample:
    """The sample after a crop, resize and mirroring: image and labels alike."""
    x0, y0, x1, y1 = geometry.window
    image = resize(sample.image[:, y0:y1, x0:x1], geometry.size, antialias)
    if geometry.mirrored:
        image = image.flip(-1)
    return replace(sample, image=image.contiguous(), scene=sample.scene.transformed(geometry))


@dataclass(frozen=True)
class Resize:
    """To the size that the network gets, times a random factor of the range `scale`."""

    config: InputConfig
    scale: tuple[float, float] = (1.0, 1.0)

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Resize one sample."""
        source = sample.scene.size
        geometry = Geometry.resize(source, resized(source, self.config, rng.uniform(*self.scale)))
        return moved(sample, geometry, antialias=self.config.resampling == "antialiased")


@dataclass(frozen=True)
class RandomFlip:
    """Left and right change places with probability `p`, unless that would make a label wrong."""

    p: float = 0.5

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Mirror one sample, or not."""
        chosen = rng.random() < self.p
        return moved(sample, Geometry.flip(sample.scene.size)) if chosen and sample.supervision.mirrorable else sample


@dataclass(frozen=True)
class RandomCrop:
    """With probability `p` cut out a window of at least `smallest` of either side.

    Boxes shrink to what their masks still show; objects that left the image are dropped.
    """

    p: float = 1.0
    smallest: float = 0.6

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Cut one sample, or not."""
        if rng.random() >= self.p:
            return sample
        size = sample.scene.size
        sample = moved(sample, Geometry.crop(size, self._window(size, rng)))
        sample = replace(sample, scene=_tightened(sample.scene))
        for stream in sample.scene.streams:
            sample = without_empty(sample, stream)
        return sample

    def _window(self, size: Size, rng: random.Random) -> tuple[int, int, int, int]:
        height, width = (max(1, round(side * rng.uniform(self.smallest, 1.0))) for side in size)
        y0, x0 = rng.randint(0, size[0] - height), rng.randint(0, size[1] - width)
        return x0, y0, x0 + width, y0 + height


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast and saturation change by factors from 1 - strength to 1 + strength."""

    strength: float

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Recolor one sample."""
        image = sample.image
        for adjust in (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation):
            image = adjust(image, rng.uniform(1 - self.strength, 1 + self.strength))
        return replace(sample, image=image)


def augmentations(config: AugmentConfig, input_config: InputConfig) -> list[Transform]:
    """The transforms of a training run, in order; the last size is the network's."""
    steps: list[Transform] = [RandomCrop(config.crop, config.crop_min)] if config.crop else []
    steps.append(Resize(input_config, config.scale))
    if config.flip:
        steps.append(RandomFlip(config.flip))
    if config.color:
        steps.append(ColorJitter(config.color))
    return steps


def apply_all(transforms: Sequence[Transform], sample: Sample, rng: random.Random) -> Sample:
    """One transform after the other."""
    for transform in transforms:
        sample = transform(sample, rng)
    return sample


def _tightened(scene: Scene) -> Scene:
    """Return boxes drawn around what is left of the values that bound their regions; empty where nothing is."""
    streams = dict(scene.streams)
    for key, value in scene.values.items():
        if key.of in streams and key.field.bounds_regions:
            carried, regions = scene.rows_with(key), streams[key.of]
            boxes, area = key.field.extent(value)
            boxes = torch.where(carried[:, None], boxes, regions.boxes)
            streams[key.of] = replace(regions, boxes=boxes, area=torch.where(carried, area, regions.area))
    return replace(scene, streams=streams)
