"""Backbones: one contract (`Backbone`, `Level`), adapters that fulfil it, and the feature pyramid on top."""

from scenekit.backbones.base import Backbone, Level
from scenekit.backbones.fpn import FPN, BackboneWithFPN
from scenekit.backbones.torchvision import TorchvisionBackbone, build_backbone

__all__ = [
    "FPN",
    "Backbone",
    "BackboneWithFPN",
    "Level",
    "TorchvisionBackbone",
    "build_backbone",
]
