"""From options to the stages that provide PROPOSALS."""

from __future__ import annotations

from collections.abc import Sequence

from scenekit.detection.config import DetectorConfig, ProposalConfig
from scenekit.detection.proposals.config import ProposalsConfig
from scenekit.detection.proposals.files import FileProposals
from scenekit.detection.proposals.selective_search import SelectiveSearch
from scenekit.detection.proposals.sliding_window import SlidingWindow
from scenekit.detection.proposals.stage import ProposalSource, SourceProposals
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.model.head import Core, Provider


def build_proposals(core: Core, config: ProposalsConfig) -> Sequence[Provider]:
    """Build the stages that put PROPOSALS on the board, for the list that `build` of a DetectorSpec returns.

    The last one is named "proposals". Of the sources, `rpn` alone has weights, losses, and needs FEATURES.

    Args:
        core: Channels, strides and input of the model.
        config: The source and its options.

    Returns:
        One stage; of `rpn` two.

    Raises:
        InputError: What the source needs is not there: a file, or a package.
    """
    if config.name == "rpn":
        options = _rpn_options(config)
        return RPNTrunk(core, options), StreamProposals(core, options)
    return (SourceProposals(_source(core, config), config.limit_train, config.limit_test),)


def proposals_at_test(config: ProposalsConfig) -> int | None:
    """Return how many proposals per image inference has at most.

    Args:
        config: The source and its options.

    Returns:
        The number; None for all that the source has.
    """
    return _rpn_options(config).rpn.post_nms_test if config.name == "rpn" else config.limit_test


def _source(core: Core, config: ProposalsConfig) -> ProposalSource:
    if config.name == "selective_search":
        return SelectiveSearch(config.selective_search, core.input)
    if config.name == "files":
        return FileProposals(config.files)
    return SlidingWindow(config.sliding_window)


def _rpn_options(config: ProposalsConfig) -> DetectorConfig:
    """Return the options of the two-stage detector's first stage, whose own limits the common ones lower."""
    own = {name: getattr(config.rpn, name) for name in ProposalConfig.model_fields}
    for name, limit in (("post_nms_train", config.limit_train), ("post_nms_test", config.limit_test)):
        own[name] = own[name] if limit is None else min(own[name], limit)
    return DetectorConfig(anchors=config.rpn.anchors, rpn=ProposalConfig(**own))
