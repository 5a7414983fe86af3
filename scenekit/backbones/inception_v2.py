"""Inception V2, with batch norm behind each convolution (Ioffe and Szegedy, Batch Normalization, 2015, figure 5).

Neither torchvision nor timm has it, and its authors published no weights. Each window is padded by half of its size.
Letters: B images, C channels, H W input pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones.base import Backbone, Level
from scenekit.backbones.norm import apply_norm, check_options, freeze
from scenekit.backbones.state import load_state, read_state
from scenekit.errors import InputError

STEM_MULTIPLIER = 8
"""Filters per input channel of the first convolution, which is separable."""


class Convolution(nn.Sequential):
    """A convolution with batch norm and ReLU.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Size of the window.
        stride: Stride.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.ReLU(inplace=True),
        )


class Inception(nn.Module):
    """Parallel branches, whose channels are concatenated.

    Args:
        inputs: Input channels.
        one: Channels of the 1x1 branch; 0 for none.
        three: Channels of the 3x3 branch: reduced, output.
        double: Channels of the branch of two 3x3 convolutions: reduced, output.
        pool: Kind of the pooling of the last branch.
        projection: Channels of the 1x1 convolution behind the pooling; 0 for none.
        stride: Stride of the last layer of each branch.
    """

    def __init__(
        self,
        inputs: int,
        one: int,
        three: tuple[int, int],
        double: tuple[int, int],
        pool: Literal["average", "max"],
        projection: int,
        stride: int = 1,
    ) -> None:
        super().__init__()
        pooling = nn.AvgPool2d if pool == "average" else nn.MaxPool2d
        branches: list[nn.Module] = [
            nn.Sequential(Convolution(inputs, three[0], 1), Convolution(*three, 3, stride)),
            nn.Sequential(
                Convolution(inputs, double[0], 1), Convolution(*double, 3), Convolution(double[1], double[1], 3, stride)
            ),
            nn.Sequential(pooling(3, stride, 1), *([Convolution(inputs, projection, 1)] if projection else [])),
        ]
        self.branches = nn.ModuleList([*([Convolution(inputs, one, 1)] if one else []), *branches])
        self.channels = one + three[1] + double[1] + (projection or inputs)

    def forward(self, features: Float[Tensor, "B _ h w"]) -> Float[Tensor, "B C _ _"]:
        """Compute the branches.

        Args:
            features: Features.

        Returns:
            Their channels, concatenated.
        """
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def _first_stage() -> nn.Sequential:
    """Return the convolutions between the two poolings of the stem."""
    return nn.Sequential(Convolution(64, 64, 1), Convolution(64, 192, 3))


def _stem() -> nn.Sequential:
    """Return the separable 7x7 convolution and the first pooling."""
    depthwise = nn.Conv2d(3, 3 * STEM_MULTIPLIER, 7, stride=2, padding=3, groups=3, bias=False)
    return nn.Sequential(depthwise, Convolution(3 * STEM_MULTIPLIER, 64, 1), nn.MaxPool2d(3, 2, 1))


class InceptionV2(Backbone):
    """The network without its classifier. Its levels end before each halving of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _stem()
        self.stage1 = _first_stage()
        self.stage2 = nn.Sequential(
            nn.MaxPool2d(3, 2, 1),
            Inception(192, 64, (64, 64), (64, 96), "average", 32),
            Inception(256, 64, (64, 96), (64, 96), "average", 64),
        )
        # The figure has 128 channels behind the pooling of the last two; its sums (576, then 1024) need 96.
        self.stage3 = nn.Sequential(
            Inception(320, 0, (128, 160), (64, 96), "max", 0, stride=2),
            Inception(576, 224, (64, 96), (96, 128), "average", 128),
            Inception(576, 192, (96, 128), (96, 128), "average", 128),
            Inception(576, 160, (128, 160), (128, 160), "average", 96),
            Inception(576, 96, (128, 192), (160, 192), "average", 96),
        )
        self.stage4 = nn.Sequential(
            Inception(576, 0, (128, 192), (192, 256), "max", 0, stride=2),
            Inception(1024, 352, (192, 320), (160, 224), "average", 128),
            Inception(1024, 352, (192, 320), (192, 224), "max", 128),
        )
        self.levels = tuple(Level(channels, 4 * 2**index, 0.5) for index, channels in enumerate((192, 320, 576, 1024)))

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the feature maps.

        Args:
            pixels: Normalized images.

        Returns:
            One map for each of `levels`.
        """
        maps = [self.stage1(self.stem(pixels))]
        for stage in (self.stage2, self.stage3, self.stage4):
            maps.append(stage(maps[-1]))
        return tuple(maps)


PARTS = ("stem", "stage1", "stage2", "stage3", "stage4")
"""The parts of the network, fine to coarse."""


def build_inception_v2(
    *, weights: str | Path | None = None, norm: str = "batch", trainable_stages: int | None = None
) -> InceptionV2:
    """Build Inception V2 as a backbone.

    Args:
        weights: Path of a state dict of this network, or None for random weights; none are published.
        norm: Replacement of batch norm: "batch" keeps it, "frozen" makes its statistics constant, "group" (random
            weights only) needs none.
        trainable_stages: How many of the five parts (stem, strides 4, 8, 16, 32) are trained, counted from the coarse
            end; None: all. The others keep their weights and batch statistics.

    Returns:
        The backbone.

    Raises:
        InputError: If an option is invalid or the weights do not fit.
    """
    check_options(norm, weights, trainable_stages, len(PARTS))
    model = InceptionV2()
    if weights is not None:
        path = Path(weights)
        if not path.suffix and not path.exists():
            raise InputError(f"backbone weights: no {str(weights)!r}; for inception_v2 none are published, name a file")
        load_state(model, read_state(path, model.state_dict()), PARTS, fit=f"{path} does not fit inception_v2")
    apply_norm(model, norm)
    if trainable_stages is not None:
        freeze(model, PARTS[: len(PARTS) - trainable_stages])
    return model
