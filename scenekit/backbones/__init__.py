"""Backbones: one interface (`Backbone`, `Level`), adapters for other libraries, and the feature pyramid network."""

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
