"""Priors of the boxes of each class, computed from the training data.

Letters: N regions, K boxes of one class, C classes, B depth bins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.keys import BOXES3D
from scenekit.scene import Scene
from scenekit.structures import Boxes3D
from scenekit_plugins.boxes3d.coding import RegionPriors, Views, metres_per_depth
from scenekit_plugins.boxes3d.config import Boxes3DConfig, CodeConfig, DepthPrior, Priors, SizePrior, Sizes

LEAST_SPREAD = 0.05
"""Lower limit of a standard deviation as a share of the mean: boxes of a class may vary even if all in the data are
equal.
"""

Rows = Float[Tensor, "K 5"]
"""Width, height, length in metres; scale of the region and depth, in the units of `DepthPrior` (NaN without a camera).
"""


def prepared(config: Boxes3DConfig, scenes: Iterable[Scene]) -> Boxes3DConfig:
    """Return the configuration with priors computed from scenes, of those classes for which it has none.

    Args:
        config: Options of the head.
        scenes: Ground truth of the training data.

    Returns:
        The options with priors.
    """
    bins = config.code.depth_bins if config.code.needs_depths else None
    measured, known = priors_of(scenes, bins), config.priors
    return config.model_copy(update={"priors": measured if known is None else _completed(known, measured)})


def _completed(known: Priors, measured: Priors) -> Priors:
    """Return known priors with the measured ones of further classes."""
    sizes = {name: size for name, size in measured.sizes.items() if name not in known.sizes}
    depths = {name: depth for name, depth in measured.depths.items() if name in sizes}
    return known.model_copy(update={"sizes": {**known.sizes, **sizes}, "depths": {**depths, **known.depths}})


def priors_of(scenes: Iterable[Scene], bins: int | None) -> Priors:
    """Compute mean and standard deviation of sizes by class, and of depths.

    Args:
        scenes: Ground truth.
        bins: Number of depth bins; None for sizes only.

    Returns:
        The priors.
    """
    by_class: dict[str, list[Tensor]] = defaultdict(list)
    for scene in scenes:
        if BOXES3D in scene:
            kept, rows = usable(scene[BOXES3D]) & scene.rows_with(BOXES3D), _rows(scene)
            for name, good, row in zip(scene.names(), kept.tolist(), rows, strict=True):
                if good:
                    by_class[name].append(row)
    classes = {name: torch.stack(rows) for name, rows in sorted(by_class.items())}
    if not classes:
        return Priors()
    everything = torch.cat(list(classes.values()))
    priors = Priors(
        sizes={name: _size_prior(rows) for name, rows in classes.items()}, other_sizes=_size_prior(everything)
    )
    if bins is None:
        return priors
    depths = {name: _depth_prior(rows, bins) for name, rows in classes.items()}
    return priors.model_copy(
        update={
            "depths": {name: prior for name, prior in depths.items() if prior is not None},
            "other_depths": _depth_prior(everything, bins),
        }
    )


def usable(boxes: Boxes3D) -> Bool[Tensor, " N"]:
    """Return which boxes are valid (see `Boxes3D.valid`) and have their center in front of the camera.

    Args:
        boxes: The boxes.

    Returns:
        Whether each is usable.
    """
    return boxes.valid & (boxes.center[:, 2] > 0)


def _rows(scene: Scene) -> Float[Tensor, "N 5"]:
    boxes, sides = scene[BOXES3D], scene.objects.boxes[:, 2:] - scene.objects.boxes[:, :2]
    focal = torch.nan if scene.camera is None else float(scene.camera.matrix[1, 1])
    scale = torch.linalg.vector_norm(sides, dim=1) / scene.size[0]
    return torch.cat((boxes.size, scale[:, None], boxes.center[:, 2:] * scene.size[0] / focal), dim=1)


def _size_prior(rows: Rows) -> SizePrior:
    mean, std = rows[:, :3].mean(dim=0), rows[:, :3].std(dim=0, correction=0)
    return SizePrior(mean=_sizes(mean), std=_sizes(torch.maximum(std, LEAST_SPREAD * mean)))


def _sizes(values: Float[Tensor, "3"]) -> Sizes:
    width, height, length = (round(value, 6) for value in values.tolist())
    return width, height, length


def _depth_prior(rows: Rows, bins: int) -> DepthPrior | None:
    """Compute bins of equally many boxes, by scale; None if fewer boxes than bins have a camera and a region."""
    rows = rows[rows.isfinite().all(dim=1) & (rows[:, 3] > 0)]
    if len(rows) < bins:
        return None
    parts = rows[rows[:, 3].argsort(stable=True)].tensor_split(bins)
    mean = [float(part[:, 4].mean()) for part in parts]
    std = [float(part[:, 4].std(correction=0)) for part in parts]
    return DepthPrior(
        scales=tuple(float(part[:, 3].mean()) for part in parts),
        mean=tuple(mean),
        std=tuple(max(s, LEAST_SPREAD * m) for s, m in zip(std, mean, strict=True)),
    )


class ClassPriors(nn.Module):
    """Priors of the classes of a vocabulary; they belong to the options of the head, not to its weights."""

    size: Float[Tensor, "C 2 3"]
    depth: Float[Tensor, "C 3 B"]

    def __init__(self, classes: Sequence[str], priors: Priors, code: CodeConfig) -> None:
        super().__init__()
        self.code = code
        sizes = [priors.sizes.get(name, priors.other_sizes) for name in classes]
        self.register_buffer("size", torch.tensor([(prior.mean, prior.std) for prior in sizes]), persistent=False)
        depths = [_depths_of(name, priors, code.depth_bins) for name in classes] if code.needs_depths else []
        rows = [(prior.scales, prior.mean, prior.std) for prior in depths]
        self.register_buffer("depth", torch.tensor(rows), persistent=False)

    def forward(self, labels: Int[Tensor, " N"], views: Views) -> RegionPriors:
        """Return the priors of regions of these classes."""
        size = self.size[labels].float()
        if not self.code.needs_depths:
            return RegionPriors(size[:, 0], size[:, 1])
        scales, mean, std = self.depth[labels].float().unbind(dim=1)
        heights = views.heights[:, None]
        counted = views.K[:, 1, 1, None] / heights / metres_per_depth(views, self.code)[:, None]
        return RegionPriors(size[:, 0], size[:, 1], scales * heights, mean * counted, std * counted)


def _depths_of(name: str, priors: Priors, bins: int) -> DepthPrior:
    prior = priors.depths.get(name, priors.other_depths)
    if prior is None or len(prior.scales) != bins:
        known = "none" if prior is None else f"{len(prior.scales)} bins"
        raise InputError(
            f"depths of {name!r} need a prior with {bins} bins, got {known}; train on data with cameras and 3D boxes, "
            "set `priors`, or use `code: {depth: direct, depth_bins: 1}`"
        )
    return prior
