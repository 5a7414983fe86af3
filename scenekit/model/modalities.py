"""What images come with beside their pixels: read by the modalities that plugins bring, moved and packed with them.

Letters: B images, C channels, H W pixels.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.config import Config, validated
from scenekit.errors import InputError, PluginError, nearest, warn_once
from scenekit.fields.maps import pad_maps, transform_map
from scenekit.hooks import InputImage, ModalitySpec, naming_plugin, registry
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.moments import VideoFrame

_log = logging.getLogger(__name__)

Maps = Mapping[str, Float[Tensor, "_ _ _"]]
"""Maps of one image by modality, NaN where there is nothing."""

NO_MAPS: Maps = MappingProxyType({})

VALUE = "value"
"""The entry of a mapping that holds the value itself, beside entries with its options."""


@dataclass(frozen=True, eq=False)
class ReadMap:
    """A map that a modality has read already, in place of a value."""

    map: Float[Tensor, "C H W"]
    """In pixels of the image."""


@dataclass(frozen=True)
class InputValues:
    """What a call says of further inputs: values by modality, one for all images or one each, and their options."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By the name of the modality."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the name of the modality, options by name."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any], known: Iterable[str] = ()) -> InputValues:
        """Sort arguments into values and options of modalities: `depth` and `depth_scale`.

        Args:
            arguments: By name; those that are None do not count.
            known: Names of the caller's other arguments, for messages.

        Returns:
            Values and options.

        Raises:
            InputError: No modality is, or has an option that is, called so; the message suggests the nearest one.
        """
        places: dict[str, tuple[str, str | None]] = {name: (name, None) for name in modalities()}
        places |= {f"{name}_{option}": (name, option) for name, option in _all_options()}
        values: dict[str, Any] = {}
        options: dict[str, dict[str, Any]] = {}
        for argument, value in arguments.items():
            if argument not in places:
                raise InputError(
                    f"{argument!r} is neither an argument nor a modality{nearest(argument, [*places, *known])}"
                )
            name, option = places[argument]
            if value is not None and option is None:
                values[name] = value
            elif value is not None and option is not None:
                options.setdefault(name, {})[option] = value
        for name, own in options.items():
            _options(modalities()[name], own)
        return cls(values, options)

    def check_options(self, images: Iterable[Any]) -> None:
        """Check that every option has an input that it belongs to.

        Args:
            images: Images, of which a VideoFrame may bring the input.

        Raises:
            InputError: Neither the call nor an image has the input of an option.
        """
        if (error := self._without_input(images)) is not None:
            raise error

    def checked(self, images: Iterable[Any], each: Iterator[Any]) -> Iterator[Any]:
        """Check that options have an input: of a sequence before its images, otherwise image by image.

        Args:
            images: A sequence, or an iterator.
            each: Its images, or errors in their place.

        Yields:
            The images; of an iterator an error in place of one that is no VideoFrame and has not the input of an
            option. Frames of a stream may come without it.

        Raises:
            InputError: No image of a sequence has the input of an option.
        """
        if isinstance(images, Sequence):
            self.check_options(images)
            yield from each
            return
        for image in each:
            error = None if isinstance(image, InputError) else self._without_input([image])
            if error is not None and isinstance(image, VideoFrame):
                warn_once(_log, f"a frame has {error}")
                error = None
            yield image if error is None else error

    def _without_input(self, images: Iterable[Any]) -> InputError | None:
        for name in [name for name in self.options if name not in self.values]:
            if not _some_frame_has(name, images):
                option = f"{name}_{next(iter(self.options[name]))}"
                return InputError(
                    f"{option} without {name}: pass {name} too, as an argument or in the inputs of a VideoFrame, or"
                    f" leave {option} out"
                )
        return None

    def read(self, values: Mapping[str, Any], image: InputImage) -> Maps:
        """Read the values that one image comes with.

        Args:
            values: By modality: the value, or a mapping of it as "value" with options of its own.
            image: The image.

        Returns:
            Maps in pixels of the image; none for a modality without anything in the image.

        Raises:
            InputError: There is no such modality, or a value cannot be one of the image.
        """
        if unknown := [name for name in values if name not in modalities()]:
            raise InputError(f"{image.name}: unknown modality {unknown[0]!r}{nearest(unknown[0], [*modalities()])}")
        maps: dict[str, Tensor] = {}
        for name, spec in modalities().items():
            if values.get(name) is not None:
                own = self._read(spec, values[name], image)
                before = maps.get(spec.input)
                maps[spec.input] = own if before is None else before.where(~before.isnan(), own)
        return {name: value for name, value in maps.items() if not bool(value.isnan().all())}

    def read_for(self, names: Collection[str], values: Mapping[str, Any], image: InputImage) -> Maps:
        """Read what an image comes with for a model; what none of its tasks reads is only checked.

        Args:
            names: Modalities that tasks of the model read.
            values: As in `read`.
            image: The image.

        Returns:
            Maps of these modalities, in pixels of the image.

        Raises:
            InputError: There is no such modality, or a value or the camera cannot be one of the image.
        """
        if not values:
            return NO_MAPS
        if image.camera is not None:
            image.camera.check(image.size)
        maps = self.read(values, image)
        if unused := [name for name in maps if name not in names]:
            warn_once(_log, f"no task of this model reads {' and '.join(unused)}: predictions are those without it")
        return {name: value for name, value in maps.items() if name in names}

    def _read(self, spec: ModalitySpec, value: Any, image: InputImage) -> Float[Tensor, "C H W"]:
        if isinstance(value, ReadMap):
            return value.map
        options = dict(self.options.get(spec.name, {}))
        if isinstance(value, Mapping):
            if VALUE not in value:
                raise InputError(f"{spec.name}: a mapping needs the entry {VALUE!r}, got {sorted(map(str, value))}")
            options |= {name: part for name, part in value.items() if name != VALUE}
            value = value[VALUE]
        with naming_plugin(spec):
            made: object = spec.read(value, _options(spec, options), image)
            channels = modalities()[spec.input].channels
            if not isinstance(made, Tensor) or tuple(made.shape) != (channels, *image.size):
                shape = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
                raise PluginError(
                    f"`read` of modality {spec.name!r} must return a map {[channels, *image.size]}, got {shape}"
                )
        return made.float()


def modalities() -> dict[str, ModalitySpec]:
    """Return the installed modalities by name: first those whose maps are their own, then what becomes one of them.

    Returns:
        The records.

    Raises:
        PluginError: One becomes a modality that is not installed.
    """
    found = registry()
    every: list[ModalitySpec] = [found.get("modality", name) for name in found.names("modality")]
    ordered = {spec.name: spec for spec in sorted(every, key=lambda spec: spec.becomes is not None)}
    for spec in every:
        if spec.becomes is not None and spec.becomes not in ordered:
            raise PluginError(f"modality {spec.name!r} becomes {spec.becomes!r}, which is not installed")
    return ordered


def with_inputs(parts: Iterable[tuple[Any, ...]], values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Pair images with their values of modalities.

    Args:
        parts: What else belongs to each image.
        values: By modality, a value for all images, or one each.

    Yields:
        The parts of each image, followed by its values by modality.

    Raises:
        InputError: Their numbers differ.
    """
    single = {name: value for name, value in values.items() if is_one_value(value)}
    each = {name: value for name, value in values.items() if name not in single}
    if not each:
        yield from ((*part, single) for part in parts)
        return
    missing = object()
    for part, *own in zip_longest(parts, *each.values(), fillvalue=missing):
        if part is missing or any(value is missing for value in own):
            short = next((name for name, value in zip(each, own, strict=True) if value is missing), None)
            fewer, more = ("images", "values") if short is None else ("values", "images")
            name = next(iter(each)) if short is None else short
            raise InputError(
                f"{name}: one for all or one an image is expected, but there are fewer {fewer} than {more}"
            )
        yield *part, {**single, **dict(zip(each, own, strict=True))}


def is_one_value(value: Any) -> bool:
    """Return whether this is the value of one image, or one for all, and not a value for each image.

    Args:
        value: What a call says of a modality.

    Returns:
        False for lists and iterators, and for arrays with three dimensions or more.
    """
    if isinstance(value, np.ndarray | Tensor):
        return value.ndim < 3
    single = isinstance(value, str | bytes | os.PathLike | Mapping) or hasattr(value, "read") or hasattr(value, "size")
    return single or not isinstance(value, Iterable)


def moved_maps(maps: Maps, geometry: Geometry) -> Maps:
    """Crop, resize and flip maps with their image.

    Args:
        maps: Maps of one image.
        geometry: The change, in pixels of the image.

    Returns:
        The maps of the resulting image.
    """
    return {name: _moved(name, value, geometry) for name, value in maps.items()}


def _moved(name: str, value: Float[Tensor, "C _ _"], geometry: Geometry) -> Float[Tensor, "C _ _"]:
    spec = modalities().get(name)
    if geometry.is_identity:
        return value
    if spec is None or spec.transform is None:
        return torch.stack([transform_map(layer, geometry) for layer in value])
    with naming_plugin(spec):
        return spec.transform(value, geometry)


def pack_maps(maps: Sequence[Maps], size: Size, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Pack the maps of a batch; NaN where an image has none, and in the padding.

    Args:
        maps: Maps of each image, of its size.
        size: (height, width) of the padded images, in pixels.
        names: The modalities to pack; by default those that some image has.

    Returns:
        By name [B C H W]; none of a modality that no image has.
    """
    there = dict.fromkeys(name for own in maps for name in own)
    return {name: _packed([own.get(name) for own in maps], size) for name in there if names is None or name in names}


def _packed(maps: Sequence[Float[Tensor, "C _ _"] | None], size: Size) -> Float[Tensor, "B C H W"]:
    channels = next(len(value) for value in maps if value is not None)
    nothing = torch.full((channels, 1, 1), torch.nan)
    filled = [nothing if value is None else value for value in maps]
    return torch.stack(
        [pad_maps([value[channel] for value in filled], size, torch.nan) for channel in range(channels)], 1
    )


def _some_frame_has(name: str, images: Iterable[Any]) -> bool:
    try:
        return any(isinstance(image, VideoFrame) and image.inputs.get(name) is not None for image in images)
    except InputError:  # what cannot be had has its turn later
        return True


def _options(spec: ModalitySpec, values: Mapping[str, Any]) -> Config:
    return validated(spec.config, values, spec.name)


def _all_options() -> Iterator[tuple[str, str]]:
    for name, spec in modalities().items():
        yield from ((name, option) for option in spec.config.model_fields)
