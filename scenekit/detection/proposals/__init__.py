"""Sources of class-agnostic candidate boxes (PROPOSALS), which a detector's options choose from by name."""

from scenekit.detection.proposals.build import build_proposals, proposals_at_test
from scenekit.detection.proposals.config import (
    FilesConfig,
    ProposalsConfig,
    RPNConfig,
    SelectiveSearchConfig,
    SlidingWindowConfig,
)
from scenekit.detection.proposals.files import FileProposals
from scenekit.detection.proposals.measure import evaluate_proposals, proposals_of
from scenekit.detection.proposals.selective_search import SelectiveSearch
from scenekit.detection.proposals.sliding_window import SlidingWindow, count_windows, windows
from scenekit.detection.proposals.stage import Candidates, ProposalSource, SourceProposals

__all__ = [
    "Candidates",
    "FileProposals",
    "FilesConfig",
    "ProposalSource",
    "ProposalsConfig",
    "RPNConfig",
    "SelectiveSearch",
    "SelectiveSearchConfig",
    "SlidingWindow",
    "SlidingWindowConfig",
    "SourceProposals",
    "build_proposals",
    "count_windows",
    "evaluate_proposals",
    "proposals_at_test",
    "proposals_of",
    "windows",
]
