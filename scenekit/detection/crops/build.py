"""From options to the stages of the detectors on warped crops."""

from __future__ import annotations

from collections.abc import Sequence

from scenekit.detection.crops.config import RCNNConfig, SlidingWindowDetectorConfig
from scenekit.detection.crops.rcnn import RCNN
from scenekit.detection.crops.stage import CropStage
from scenekit.detection.proposals import ProposalsConfig, build_proposals
from scenekit.model.head import Core, Provider


def build_rcnn(core: Core, config: RCNNConfig) -> Sequence[Provider]:
    """Build the stages of R-CNN.

    Args:
        core: Input and vocabulary of the model.
        config: Options of the detector.

    Returns:
        Proposals and second stage.
    """
    return *build_proposals(core, config.proposals), RCNN(core, config)


def build_sliding_window(core: Core, config: SlidingWindowDetectorConfig) -> Sequence[Provider]:
    """Build the stages of detection by sliding windows.

    Args:
        core: Input and vocabulary of the model.
        config: Options of the detector.

    Returns:
        Windows and their classifier.
    """
    windows = ProposalsConfig(
        name="sliding_window", sliding_window=config.windows, limit_train=config.limit, limit_test=config.limit
    )
    return *build_proposals(core, windows), CropStage(core, config)
