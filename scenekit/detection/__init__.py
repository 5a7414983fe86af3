"""The shared detector: anchors, region proposals per stream, RoIAlign, box head."""

from scenekit.detection.anchors import AnchorGenerator
from scenekit.detection.box_head import BoxHead, BoxPredictor
from scenekit.detection.config import (
    PRESETS,
    AnchorConfig,
    BoxHeadConfig,
    DetectorConfig,
    PoolerConfig,
    ProposalConfig,
)
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.one_stage.priors import kmeans_priors
from scenekit.detection.pooler import RoIPooler, build_pooler
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.detection.streams import region_stream, stream_options

__all__ = [
    "PRESETS",
    "AnchorConfig",
    "AnchorGenerator",
    "BoxHead",
    "BoxHeadConfig",
    "BoxPredictor",
    "DetectorConfig",
    "PoolerConfig",
    "ProposalConfig",
    "RPNTrunk",
    "RoIPooler",
    "StreamProposals",
    "TwoStageDetector",
    "build_pooler",
    "kmeans_priors",
    "region_stream",
    "stream_options",
]
