"""What every backbone must keep, whichever library it comes from."""

import torch

from scenekit.backbones import Backbone

STRIDES = [4, 8, 16, 32]


def check_levels(backbone: Backbone, height: int = 64, width: int = 96, device: str = "cpu") -> None:
    """Strides, channels and sizes are as declared; on the meta device only shapes are computed."""
    backbone.eval()
    with torch.inference_mode():
        maps = backbone(torch.rand(2, 3, height, width, device=device))
    assert [level.stride for level in backbone.levels] == STRIDES
    assert len(maps) == len(STRIDES)
    for features, level in zip(maps, backbone.levels, strict=True):
        assert features.shape == (2, level.channels, height // level.stride, width // level.stride)
        assert -8 < level.offset < level.stride  # below 0 only where a plain network is spread to finer cells


def check_learning(backbone: Backbone) -> None:
    """Finite maps, and a gradient for every parameter that learns; no parameter is there for nothing."""
    backbone.train()
    maps = backbone(torch.rand(2, 3, 96, 96))
    assert all(features.isfinite().all() for features in maps)
    sum(features.square().mean() for features in maps).backward()
    learning = [(name, value) for name, value in backbone.named_parameters() if value.requires_grad]
    assert learning and not [name for name, value in learning if value.grad is None]
