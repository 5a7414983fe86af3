"""Depth that an image comes with: aligned maps, or the points of a scanner."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.hooks import ModalitySpec, hookimpl
from scenekit.keys import DEPTH
from scenekit_plugins.depth.maps import DepthOptions, read_depth, resized_depth
from scenekit_plugins.depth.points import PointOptions, read_points

INPUT = "depth"
"""The name of depth in `ImageBatch.inputs`."""


@hookimpl
def scenekit_modalities() -> Iterator[ModalitySpec]:
    """Yield the modalities `depth` and `points`; both become maps of metres."""
    yield ModalitySpec(
        name=INPUT,
        summary="metres along the optical axis [H W] aligned with the image, 0 or NaN for none; or a file of them",
        read=read_depth,
        config=DepthOptions,
        transform=resized_depth,
        key=DEPTH,
    )
    yield ModalitySpec(
        name="points",
        summary="points of a scanner [P 3+] in metres, projected to depth by the camera of the image",
        read=read_points,
        config=PointOptions,
        becomes=INPUT,
    )
