"""Augmentation of training samples: image and labels move once, by the composed geometry of all transforms.

A transform is a callable (sample, rng) -> sample; all randomness comes from `rng`. Those that move pixels draw a
`Geometry`; `apply_all` composes what follows one another and moves the sample once.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import TypeAlias, cast

import torch
from torchvision.transforms.v2 import functional as tv

from scenekit.data.flips import can_be_flipped, flipped_supervision
from scenekit.data.sample import Sample
from scenekit.model.modalities import moved_maps
from scenekit.model.preprocess import centre_window, resize, resized
from scenekit.recipe import AugmentConfig, InputConfig
from scenekit.scene import Scene
from scenekit.structures.geometry import Geometry, Size

Transform: TypeAlias = Callable[[Sample, random.Random], Sample]


def rng_for(seed: int, epoch: int, index: int, purpose: str = "augment") -> random.Random:
    """Return a random generator that depends on nothing but its arguments.

    Args:
        seed: That of the run.
        epoch: How many times the sample was drawn before.
        index: The sample's number in its data set.
        purpose: What the numbers are for; another purpose gives other numbers.

    Returns:
        The generator.
    """
    return random.Random(f"{purpose}/{seed}/{epoch}/{index}")


def moved(sample: Sample, geometry: Geometry, resampling: str = "antialiased") -> Sample:
    """Crop, resize and flip a sample, image and labels alike.

    Regions keep their rows also when they leave the image: their boxes are then empty.

    Args:
        sample: Image and ground truth.
        geometry: The change, in pixels of the image.
        resampling: As `InputConfig.resampling`.

    Returns:
        The sample in pixels of the resulting image.
    """
    x0, y0, x1, y1 = geometry.window
    image = resize(sample.image[:, y0:y1, x0:x1], geometry.size, resampling)
    supervision = sample.supervision
    if geometry.mirrored:
        image, supervision = image.flip(-1), flipped_supervision(supervision, sample.scene.vocabulary)
    scene = sample.scene.transformed(geometry)
    changed = sample.origin.geometry.then(geometry)
    inputs = moved_maps(sample.inputs, geometry)
    return Sample(image.contiguous(), scene, supervision, sample.id, changed, inputs, sample.frames, sample.times)


class GeometricTransform(ABC):
    """A transform that moves pixels: it draws how, and `apply_all` moves the sample once for all that follow."""

    @property
    def resampling(self) -> str:
        """How pixels are resampled, as `InputConfig.resampling`."""
        return "antialiased"

    @abstractmethod
    def draw(self, size: Size, rng: random.Random) -> Geometry:
        """Draw the change of one image.

        Args:
            size: (height, width) of the image, in pixels.
            rng: The only source of randomness.

        Returns:
            The change; the identity where the image stays as it is.
        """

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Change one sample."""
        return apply_all([self], sample, rng)


@dataclass(frozen=True)
class Resize(GeometricTransform):
    """Resize to the input size of the network, times a random factor."""

    config: InputConfig
    """How images enter the network."""
    scale: tuple[float, float] = (1.0, 1.0)
    """The range of the factor."""

    @property
    def resampling(self) -> str:
        return self.config.resampling

    def draw(self, size: Size, rng: random.Random) -> Geometry:
        return Geometry.resize(size, resized(size, self.config, rng.uniform(*self.scale)))


@dataclass(frozen=True)
class CentreCrop(GeometricTransform):
    """Crop to the square in the middle."""

    side: int
    """Its side, in pixels."""

    def draw(self, size: Size, rng: random.Random) -> Geometry:
        return Geometry.crop(size, centre_window(size, self.side))


@dataclass(frozen=True)
class RandomFlip(GeometricTransform):
    """Flip left-right with probability `p`; samples that cannot be flipped safely stay as they are."""

    p: float = 0.5
    """The probability of a flip."""

    def draw(self, size: Size, rng: random.Random) -> Geometry:
        return Geometry.flip(size) if rng.random() < self.p else Geometry.identity(size)


@dataclass(frozen=True)
class RandomCrop(GeometricTransform):
    """Crop to a random window.

    Boxes shrink to the visible part of their masks; those of objects that left the image become empty.
    """

    p: float = 1.0
    """The probability of a crop."""
    smallest: float = 0.6
    """The least share of either side that the window has."""

    def draw(self, size: Size, rng: random.Random) -> Geometry:
        if rng.random() >= self.p:
            return Geometry.identity(size)
        height, width = (max(1, round(side * rng.uniform(self.smallest, 1.0))) for side in size)
        y0, x0 = rng.randint(0, size[0] - height), rng.randint(0, size[1] - width)
        return Geometry.crop(size, (x0, y0, x0 + width, y0 + height))


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast and saturation by random factors."""

    strength: float
    """The factors are from 1 - strength to 1 + strength."""

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Change the colors of one sample."""
        image = sample.image
        for adjust in (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation):
            image = adjust(image, rng.uniform(1 - self.strength, 1 + self.strength))
        return replace(sample, image=image)


def augmentations(config: AugmentConfig, input_config: InputConfig) -> list[Transform]:
    """Return the transforms of a training run, in order.

    Args:
        config: How training images vary.
        input_config: How images enter the network; the last size is the network's.

    Returns:
        Crop, resize, flip and color jitter, as far as they are configured.
    """
    steps: list[Transform] = [RandomCrop(config.crop, config.crop_min)] if config.crop else []
    steps.append(Resize(input_config, config.scale))
    if input_config.crop is not None:
        steps.append(CentreCrop(input_config.crop))
    if config.flip:
        steps.append(RandomFlip(config.flip))
    if config.color:
        steps.append(ColorJitter(config.color))
    return steps


def apply_all(transforms: Sequence[Transform], sample: Sample, rng: random.Random) -> Sample:
    """Apply transforms in order; neighbors that move pixels compose into one move.

    Args:
        transforms: What to apply.
        sample: Image and ground truth.
        rng: The only source of randomness.

    Returns:
        The changed sample; `sample` itself where nothing changes. The frames of a clip change alike.
    """
    before, flippable = rng.getstate(), cache(lambda: all(map(can_be_flipped, (sample, *sample.frames))))
    changed, frames = _applied(transforms, sample, rng, flippable), []
    for frame in sample.frames:
        rng.setstate(before)
        frames.append(_applied(transforms, frame, rng, flippable))
    return replace(changed, frames=tuple(frames)) if frames else changed


def _applied(
    transforms: Sequence[Transform], sample: Sample, rng: random.Random, flippable: Callable[[], bool]
) -> Sample:
    for moves_pixels, group in groupby(transforms, lambda transform: isinstance(transform, GeometricTransform)):
        if moves_pixels:
            sample = _moved_once(sample, cast(Iterable[GeometricTransform], group), rng, flippable)
        else:
            for transform in group:
                sample = transform(sample, rng)
    return sample


def _moved_once(
    sample: Sample, transforms: Iterable[GeometricTransform], rng: random.Random, flippable: Callable[[], bool]
) -> Sample:
    geometry, resampling = Geometry.identity(sample.scene.size), "antialiased"
    for transform in transforms:
        step = transform.draw(geometry.size, rng)
        geometry = geometry.then(replace(step, mirrored=step.mirrored and flippable()))
        resampling = resampling if transform.resampling == "antialiased" else transform.resampling
    if geometry.is_identity:
        return sample
    sample = moved(sample, geometry, resampling)
    return replace(sample, scene=_tightened(sample.scene)) if geometry.crops else sample


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
