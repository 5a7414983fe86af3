"""How alike meshes are, by points sampled on them. Letters: N meshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.metrics.meshes.average_precision import THRESHOLDS, Surface, surface_metrics
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops import sample_points_from_meshes

SAMPLES = 10_000
"""Points on each surface, as in Mesh R-CNN: values of F1 depend on it."""

LONGEST = 10.0
"""Length that the longest edge of the true bounding box is scaled to."""

Scale = Literal["gt-10"] | float | tuple[float, float]


def compare_meshes(
    pred: Meshes,
    gt: Meshes,
    num_samples: int = SAMPLES,
    scale: Scale = "gt-10",
    thresholds: Sequence[float] = THRESHOLDS,
    generator: torch.Generator | None = None,
) -> dict[str, Float[Tensor, " N"]]:
    """Compute the metrics of `scenekit.metrics.meshes.average_precision`, by name, of each pair.

    `gt` may be one mesh for all.

    `scale` is "gt-10" (both meshes by what makes the longest edge of the true bounding box 10), a factor for both, or
    one each for pred and gt. Raises InputError for meshes without a surface, see `has_surface`.
    """
    if len(gt) not in (1, len(pred)):
        raise InputError(f"as many true meshes as predicted ones, or one, expected; got {len(gt)} and {len(pred)}")
    for name, meshes in (("predicted", pred), ("true", gt)):
        if not bool(has_surface(meshes).all()):
            rows = (~has_surface(meshes)).nonzero()[:, 0].tolist()
            raise InputError(f"meshes with faces and finite vertices expected; the {name} ones {rows} have no surface")
    found, true = (surfaces(meshes, num_samples, None, generator) for meshes in (pred, gt))
    factors = _factors(scale, gt)
    if len(gt) == 1:
        true, factors = true * len(pred), factors * len(pred)
    rows = [surface_metrics(a, b, thresholds, both) for a, b, both in zip(found, true, factors, strict=True)]
    return {name: torch.tensor([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def surfaces(meshes: Meshes, samples: int, queries: int | None, generator: torch.Generator | None) -> list[Surface]:
    """Return points on each mesh, of which `queries` (all, if None) are looked up on other ones."""
    if len(meshes) == 0:
        return []
    points, normals = sample_points_from_meshes(meshes, samples, return_normals=True, generator=generator)
    at, facing = (part.detach().double().cpu().numpy() for part in (points, normals))
    return [Surface(p, n, queries) for p, n in zip(at, facing, strict=True)]


def has_surface(meshes: Meshes) -> Bool[Tensor, " N"]:
    """Return which meshes have faces, finite vertices, and an extent."""
    edges = longest_edges(meshes)
    return (meshes.num_faces_per_mesh() > 0) & edges.isfinite() & (edges > 0)


def longest_edges(meshes: Meshes) -> Float[Tensor, " N"]:
    """Return the longest edges of the bounding boxes along the axes."""
    low, high = meshes.get_bounding_boxes().unbind(dim=-1)
    return (high - low).amax(dim=1)


def middle_depths(meshes: Meshes) -> Float[Tensor, " N"]:
    """Return the middle between the least and the greatest depth of each mesh."""
    return meshes.get_bounding_boxes()[:, 2].mean(dim=-1)


def _factors(scale: Scale, gt: Meshes) -> list[tuple[float, float]]:
    if scale == "gt-10":
        return [(factor, factor) for factor in (LONGEST / longest_edges(gt)).tolist()]
    both = scale if isinstance(scale, tuple) else (float(scale), float(scale))
    return [both] * len(gt)
