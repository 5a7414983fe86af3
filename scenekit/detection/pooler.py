"""RoI features of boxes over a feature pyramid.

Letters: N regions, C channels, S side of pooled features, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torchvision
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_pool

from scenekit.detection.config import PoolerConfig, RegionConfig
from scenekit.errors import InputError
from scenekit.model.head import Core
from scenekit.ops.roi_align import roi_align
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.regions import Regions


class RoIPooler:
    """RoIAlign (He et al., Mask R-CNN, 2017) on the level that suits each box (Lin et al., FPN, 2017, eq. 1).

    With `kind: pool` it is RoI pooling (Girshick, Fast R-CNN, 2015, section 2.1).

    Args:
        config: Options of pooling; the defaults if None.
    """

    def __init__(self, config: PoolerConfig | None = None) -> None:
        self.config = config or PoolerConfig()

    def __call__(self, features: FeaturePyramid, regions: Regions, size: int) -> Float[Tensor, "N C S S"]:
        """Pool every region at `size` x `size`; rows keep their order."""
        by_pixel = features.maps[0].device.type == "cpu" and not torch.is_grad_enabled()  # as RoIAlign reads them there
        maps = (features.channels_last if by_pixel else features.maps)[: self.config.levels]
        rois = torch.cat((regions.image_index[:, None].to(regions.boxes.dtype), regions.boxes), dim=1)
        levels = self.level_of(regions.boxes, features.strides[: len(maps)])
        # Coordinates in half precision would be off by pixels, and the operators want one type for both.
        precise = torch.promote_types(maps[0].dtype, rois.dtype)
        maps, rois, strides = tuple(part.to(precise) for part in maps), rois.to(precise), features.strides
        return self._pool(maps, strides[: len(maps)], rois, levels, size).to(features.maps[0].dtype)

    def fixed(self) -> RoIPooler:
        """Return the pooler for passes with fixed shapes.

        Returns:
            A pooler of the same features.
        """
        return StackedPooler(self.config)

    def level_of(self, boxes: Float[Tensor, "N 4"], strides: Sequence[int]) -> Int[Tensor, " N"]:
        """Assign each box to the level from which it is pooled.

        Args:
            boxes: Boxes in network pixels.
            strides: Strides of the levels, ascending.

        Returns:
            The index of each box's level.
        """
        config = self.config
        scale = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt() / config.canonical_size
        if config.epsilon_inside_log:
            octave = (scale + config.level_epsilon).log2()
        else:
            octave = scale.log2() + config.level_epsilon
        octaves = boxes.new_tensor([math.log2(stride) for stride in strides])
        level = (config.canonical_level + octave).floor().clamp(octaves[0], octaves[-1])
        # Of levels that share a stride the first is chosen.
        return (octaves < level[:, None]).sum(dim=1)

    def _pool(
        self,
        maps: Sequence[Float[Tensor, "B C _ _"]],
        strides: Sequence[int],
        rois: Float[Tensor, "N 5"],
        levels: Int[Tensor, " N"],
        size: int,
    ) -> Float[Tensor, "N C S S"]:
        if self.config.kind == "align":
            return roi_align(maps, strides, rois, levels, size, self.config.sampling_ratio, self.config.aligned)
        pooled = maps[0].new_empty((len(rois), maps[0].shape[1], size, size))
        for level, (features, stride) in enumerate(zip(maps, strides, strict=True)):
            rows = (levels == level).nonzero()[:, 0]
            pooled[rows] = roi_pool(features, rois[rows], output_size=size, spatial_scale=1 / stride)
        return pooled


class StackedPooler(RoIPooler):
    """The same pooling with shapes that do not depend on the boxes: levels are padded to one size and stacked.

    Each box then is one of the image of its level, in units of its cells. Levels are padded with their edge, which
    RoIAlign repeats beyond the border.
    """

    def __call__(self, features: FeaturePyramid, regions: Regions, size: int) -> Float[Tensor, "N C S S"]:
        """Pool every region of one image at `size` x `size`."""
        maps = features.maps[: self.config.levels]
        height, width = (max(side) for side in zip(*(level.shape[2:] for level in maps), strict=True))
        stack = torch.cat(
            [F.pad(level, (0, width - level.shape[3], 0, height - level.shape[2]), mode="replicate") for level in maps]
        )
        strides = features.strides[: len(maps)]
        levels = self.level_of(regions.boxes, strides)
        scales = regions.boxes.new_tensor([1 / stride for stride in strides])[levels]
        rois = torch.cat((levels[:, None].to(regions.boxes.dtype), regions.boxes * scales[:, None]), dim=1)
        if self.config.kind == "pool":
            pooled: Tensor = roi_pool(stack, rois, output_size=size, spatial_scale=1.0)
        else:
            ratio, aligned = self.config.sampling_ratio, self.config.aligned
            pooled = torchvision.ops.roi_align(stack, rois, size, 1.0, ratio, aligned)
        return pooled


def build_pooler(config: RegionConfig) -> RoIPooler:
    """Build the pooler of a model with this detector.

    Args:
        config: Options of the detector.

    Returns:
        The pooler that the board uses.
    """
    return RoIPooler(config.pooler)


def check_pyramid(core: Core) -> None:
    """Check that a model has shared features.

    Args:
        core: Channels and strides of the model.

    Raises:
        InputError: It has none.
    """
    if not core.strides:
        raise InputError(
            "this detector reads the shared features, which the model does not have; set model.pyramid, or choose "
            "model.detector: rcnn or sliding_window, which look at crops of the image"
        )
