"""Detectors that look at each region alone: a network on warped crops, R-CNN and sliding-window detection."""

from scenekit.detection.crops.config import CropConfig, CropDetectorConfig, RCNNConfig, SlidingWindowDetectorConfig
from scenekit.detection.crops.network import CropNet, warp
from scenekit.detection.crops.rcnn import RCNN
from scenekit.detection.crops.stage import CropStage

__all__ = [
    "RCNN",
    "CropConfig",
    "CropDetectorConfig",
    "CropNet",
    "CropStage",
    "RCNNConfig",
    "SlidingWindowDetectorConfig",
    "warp",
]
