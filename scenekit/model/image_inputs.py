"""Pairing images with their external regions and cameras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from scenekit.errors import InputError
from scenekit.scene import Scene


def with_errors(images: Iterable[Any]) -> Iterator[Any]:
    """Yield images, and the InputError in the place of one that cannot be had, as far as the iterable goes on after it.

    A generator ends with its first error; an iterator whose `__next__` raises one, such as a video with a damaged
    frame, may go on.
    """
    images = iter(images)
    while True:
        try:
            image = next(images)
        except StopIteration:
            return
        except InputError as error:
            image = error
        yield image


def with_regions(images: Iterable[Any], given: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each image with its external regions; InputError where their numbers differ."""
    if given is None:
        yield from ((image, None) for image in images)
        return
    if isinstance(given, Scene | Mapping):
        raise InputError("given: one entry an image is expected for several images, got a single one")
    missing = object()
    for image, one in zip_longest(images, given, fillvalue=missing):
        if image is missing or one is missing:
            fewer, more = ("images", "entries") if image is missing else ("entries", "images")
            raise InputError(f"given: one entry an image is expected, but there are fewer {fewer} than {more}")
        yield image, one


def with_cameras(pairs: Iterable[tuple[Any, Any]], cameras: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each image with its external regions and camera; InputError where their numbers differ."""
    if _is_one_camera(cameras):
        yield from ((*pair, cameras) for pair in pairs)
        return
    missing = object()
    for pair, camera in zip_longest(pairs, cameras, fillvalue=missing):
        if not isinstance(pair, tuple) or camera is missing:
            fewer, more = ("cameras", "images") if camera is missing else ("images", "cameras")
            raise InputError(
                f"camera: one for all or one an image is expected, but there are fewer {fewer} than {more}"
            )
        yield *pair, camera


def _is_one_camera(cameras: Any) -> bool:
    """Return whether this is one camera for all images, or None; what is not a sequence of cameras counts as one."""
    if isinstance(cameras, list | tuple):
        return len(cameras) > 0 and np.ndim(cameras[0]) == 1  # the first row of a matrix
    return getattr(cameras, "ndim", None) == 2 or not isinstance(cameras, Iterable)
