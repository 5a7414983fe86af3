"""Fast R-CNN: external proposals, RoI pooling from the shared network, and a second stage, trained end to end.

Girshick, Fast R-CNN, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import model_validator

from scenekit.config import merged
from scenekit.detection.config import RegionConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.proposals import ProposalsConfig, build_proposals, proposals_at_test
from scenekit.detection.proposals.required import proposals_given
from scenekit.model.head import Core, Provider

DEFAULTS = {"pooler": {"kind": "pool"}, "box_head": {"samples": 64, "smooth_l1_beta": 1.0, "nms_threshold": 0.3}}
"""Options that differ from those of `faster_rcnn`: those of the paper."""


class FastRCNNConfig(RegionConfig):
    """Fast R-CNN; by default with the paper's RoI pooling, number of samples, loss of the offsets and NMS."""

    proposals: ProposalsConfig
    """Where the proposals are from."""

    @model_validator(mode="before")
    @classmethod
    def _as_in_the_paper(cls, options: Any) -> Any:
        proposals_given(options)
        return merged(DEFAULTS, options) if isinstance(options, dict) else options


def build_fast_rcnn(core: Core, config: FastRCNNConfig) -> Sequence[Provider]:
    """Build the stages of Fast R-CNN.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        Proposals and second stage.
    """
    detector = TwoStageDetector(core, config)
    detector.proposals_at_test = proposals_at_test(config.proposals)
    return *build_proposals(core, config.proposals), detector
