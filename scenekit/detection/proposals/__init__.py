"""Sources of class-agnostic candidate boxes (PROPOSALS), which a detector's options choose from by name."""

from scenekit.detection.proposals.build import build_proposals
from scenekit.detection.proposals.config import ProposalsConfig, RPNConfig, SlidingWindowConfig
from scenekit.detection.proposals.sliding_window import SlidingWindow, count_windows, windows
from scenekit.detection.proposals.stage import Candidates, ProposalSource, SourceProposals

__all__ = [
    "Candidates",
    "ProposalSource",
    "ProposalsConfig",
    "RPNConfig",
    "SlidingWindow",
    "SlidingWindowConfig",
    "SourceProposals",
    "build_proposals",
    "count_windows",
    "windows",
]
