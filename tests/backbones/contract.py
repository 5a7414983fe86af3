"""What every backbone must keep, whichever library it comes from."""

import torch
from torch import nn
from torchvision.models.convnext import CNBlock
from torchvision.ops import SqueezeExcitation

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


NOT_LINEAR = (nn.BatchNorm2d, nn.LayerNorm, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, SqueezeExcitation)


def averaging(model: nn.Module) -> nn.Module:
    """The network with everything that is not linear taken out and each kernel a box: it only averages pixels."""
    for path, module in list(model.named_modules()):
        if isinstance(module, NOT_LINEAR):
            model.set_submodule(path, nn.Identity())
        elif isinstance(module, nn.MaxPool2d):
            model.set_submodule(path, nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode))
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias) if module.bias is not None else None
        elif isinstance(module, CNBlock):
            nn.init.ones_(module.layer_scale)
    return model
