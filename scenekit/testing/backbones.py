"""The contract of backbones.

Letters: B images, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.backbones.base import Backbone, Level, Normalization
from scenekit.errors import PluginError
from scenekit.hooks import BackboneSpec
from scenekit.hooks.options import check_options
from scenekit.testing.check import RuleError, SkipError, check, report_of, seeded
from scenekit.testing.compare import difference
from scenekit.testing.report import Report

SIZES = ((64, 96), (96, 64))
"""Heights and widths of the images that a backbone is run on; images are padded to multiples of 32."""


@dataclass(frozen=True, eq=False)
class BackboneBench:
    """The backbone under check, and a function that builds it once more, with fresh weights."""

    backbone: Backbone
    rebuild: Callable[[], Backbone]

    def maps(self, pixels: Float[Tensor, "B 3 H W"], other: Backbone | None = None) -> list[Float[Tensor, "B _ _ _"]]:
        """Run the backbone (or another one) as inference does."""
        with torch.no_grad():
            return list((other or self.backbone).eval()(pixels))


def check_backbone(
    spec: BackboneSpec, *, options: Mapping[str, Any] | None = None, only: Collection[str] | None = None
) -> Report:
    """Check a backbone against the rules that the feature pyramid and training rely on.

    Args:
        spec: Record of the backbone; of a library that of one network (`spec.member(name)`).
        options: For its `build`.
        only: Names of the checks to run; all, if None.

    Returns:
        Every broken rule with the reason and the remedy, what passed and what was skipped. The record of a whole
        library is skipped.

    Raises:
        InputError: For unknown checks.
    """

    def build() -> Backbone:
        backbone: object = spec.build(**check_options(spec.build, options or {}, f"backbone {spec.name!r}"))
        if not isinstance(backbone, Backbone):
            raise PluginError(f"`build` must return a scenekit.backbones.Backbone, got {type(backbone).__name__}")
        return backbone

    def bench() -> BackboneBench:
        if spec.names is not None:
            raise SkipError(f"{spec.name!r} stands for a library; check one of its networks, {spec.name}NAME")
        return BackboneBench(build(), build)

    remedy = "see the error; `build(**options)` must return a Backbone without access to a network"
    return report_of("backbone", spec.name, bench, BACKBONE_CHECKS, only, remedy)


@check(
    "set `levels` in __init__: a Level (channels, stride, offset) for each map, at strides 4, 8, 16 and 32 if it can",
    essential=True,
)
def levels(bench: BackboneBench) -> None:
    """It says of each level, from fine to coarse, how many channels it has and where its cells lie."""
    declared: object = getattr(bench.backbone, "levels", None)
    if not isinstance(declared, tuple) or not all(isinstance(level, Level) for level in declared):
        raise RuleError(f"`levels` must be a tuple of Levels, got {declared!r}")
    strides = tuple(level.stride for level in declared)
    if not strides or min(strides) < 1 or strides != tuple(sorted(strides)):
        raise RuleError(f"the strides are {strides}, expected positive ones from fine to coarse, such as 4, 8, 16, 32")
    for level in declared:
        if level.channels < 1 or not -level.stride < level.offset < level.stride:
            raise RuleError(f"{level} has no channels, or its first cell lies more than a cell off the image")


@check("return one map per level, fine to coarse, each of H / stride x W / stride cells", essential=True)
def maps(bench: BackboneBench) -> None:
    """Maps have the channels and sizes that `levels` say, for images of any size, and are finite."""
    for height, width in SIZES:
        maps = bench.maps(torch.rand(2, 3, height, width))
        if len(maps) != len(bench.backbone.levels):
            raise RuleError(f"{len(maps)} maps for {len(bench.backbone.levels)} levels")
        for level, features in zip(bench.backbone.levels, maps, strict=True):
            expected = (2, level.channels, height // level.stride, width // level.stride)
            if tuple(features.shape) != expected:
                shape = list(features.shape)
                raise RuleError(f"the map of stride {level.stride} has shape {shape}, expected {list(expected)}")
            if not features.isfinite().all():
                raise RuleError(f"the map of stride {level.stride} is not finite")


@check("let no layer look across images in eval mode; batch norm must use its running statistics there")
def images_apart(bench: BackboneBench) -> None:
    """In eval mode an image gives the same maps alone and in a batch, each time."""
    pixels = torch.rand(2, 3, *SIZES[0])
    together, alone = bench.maps(pixels), bench.maps(pixels[:1])
    if differing := difference([features[:1] for features in together], alone, tolerance=1e-3):
        raise RuleError(f"an image gives other maps in a batch than alone (map {differing})")


@check("let every parameter take part in a map, or freeze it (requires_grad=False)")
def gradients(bench: BackboneBench) -> None:
    """Every parameter that is not frozen gets a finite gradient."""
    learning = {name: value for name, value in bench.backbone.named_parameters() if value.requires_grad}
    if not learning:
        raise SkipError("it has no parameters that learn")
    total = torch.stack([each.square().mean() for each in bench.backbone.train()(torch.rand(2, 3, *SIZES[1]))]).sum()
    gradients = torch.autograd.grad(total, list(learning.values()), allow_unused=True)
    if missing := [name for name, gradient in zip(learning, gradients, strict=True) if gradient is None]:
        raise RuleError(f"no gradient reaches {', '.join(missing[:3])} ({len(missing)} parameters)")
    if not all(gradient.isfinite().all() for gradient in gradients if gradient is not None):
        raise RuleError("gradients are not finite")


@check(
    "draw random numbers from torch alone, keep no state but buffers, and change no input; or override `checkpointed`"
)
def checkpointing(bench: BackboneBench) -> None:
    """Gradients and buffers are the same to the bit where activations are computed again in the backward pass."""
    if not any(value.requires_grad for value in bench.backbone.parameters()):
        raise SkipError("it has no parameters that learn")
    state = {name: value.clone() for name, value in bench.backbone.state_dict().items()}
    kept = _learned(bench.backbone)
    bench.backbone.load_state_dict(state)
    with bench.backbone.checkpointed():
        recomputed = _learned(bench.backbone)
    bench.backbone.load_state_dict(state)
    if differing := [name for name, value in kept.items() if not torch.equal(value, recomputed[name])]:
        raise RuleError(f"{differing[0]} differs where activations are computed again ({len(differing)} in all)")


def _learned(backbone: Backbone) -> dict[str, Tensor]:
    """Return the gradients of a backward pass in training mode, and the buffers behind it."""
    learning = {name: value for name, value in backbone.named_parameters() if value.requires_grad}
    with seeded(3):
        maps = backbone.train()(torch.rand(2, 3, *SIZES[1]))
        total = torch.stack([each.square().mean() for each in maps]).sum()
    gradients = torch.autograd.grad(total, list(learning.values()), allow_unused=True)
    found = {name: value for name, value in zip(learning, gradients, strict=True) if value is not None}
    return {**found, **{name: value.clone() for name, value in backbone.named_buffers()}}


@check("register all that the maps depend on: nn.Parameter, register_buffer, or a number from the options")
def state_dict(bench: BackboneBench) -> None:
    """A fresh backbone with the stored weights gives the same maps."""
    with seeded(2):
        again = bench.rebuild()
    again.load_state_dict(bench.backbone.state_dict())
    pixels = torch.rand(1, 3, *SIZES[0])
    if differing := difference(bench.maps(pixels), bench.maps(pixels, again)):
        raise RuleError(f"a fresh backbone with the same state_dict gives something else (map {differing})")


@check("set `normalization` to a scenekit.backbones.base.Normalization, or leave it None")
def normalization(bench: BackboneBench) -> None:
    """What its weights expect of pixels, if it says so, is a mean and a positive deviation per channel."""
    expected: object = bench.backbone.normalization
    if expected is not None and not (isinstance(expected, Normalization) and min(expected.std) > 0):
        raise RuleError(f"`normalization` must be a Normalization with positive std, got {expected!r}")


BACKBONE_CHECKS = (levels, maps, images_apart, gradients, checkpointing, state_dict, normalization)
"""All checks of a backbone, in order."""
