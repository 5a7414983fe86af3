"""Region streams of tasks: regions of their own, proposed by the shared trunk of the proposal network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenekit.config import Config
from scenekit.detection.config import AnchorConfig, DetectorConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.one_stage.config import WholeImageConfig
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.errors import InputError
from scenekit.keys import Key, Stream
from scenekit.model.head import Core, Provider
from scenekit.structures.regions import Regions


def stream_options(core: Core) -> Config:
    """Return the options of the proposals and the second stage of region streams in a model.

    Args:
        core: Strides and detector of the model.

    Returns:
        Those of a two-stage detector itself; the section `streams` of a detector without proposals, or its default on
        the levels of the pyramid; of other detectors their own options, which `region_stream` refuses.
    """
    if not isinstance(core.detector, WholeImageConfig):
        return core.detector
    sizes = tuple((8.0 * stride,) for stride in core.strides)
    return core.detector.streams or DetectorConfig(anchors=AnchorConfig(sizes=sizes))


def region_stream(
    core: Core, config: Config, stream: Stream, proposals: Key[Regions, Any], classes: Sequence[str] = ("region",)
) -> Sequence[Provider]:
    """Build the stages of a region stream, for `TaskSpec.stages`.

    They are objectness, offsets and NMS of its own on RPN_FEATURES, then a second stage. The stages are named after
    `proposals` and `stream` (dots become underscores), and so are their losses and random seeds: other streams are not
    affected. Images that are not annotated for the stream contribute neither positives nor negatives. Scores are
    probabilities of the second stage; with one class, the probability that a region is one of the stream's.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: `stream_options(core)`, perhaps with other options (`config.model_copy`).
        stream: The stream that the stages provide.
        proposals: Key of the stream's proposals.
        classes: Class names of the stream.

    Returns:
        The two stages, behind the trunk of proposals where the detector has none; streams share that.

    Raises:
        InputError: If the model's detector has no region proposals, and no options for them.
    """
    if isinstance(core.detector, WholeImageConfig) and config is core.detector:
        config = stream_options(core)
    if not isinstance(config, DetectorConfig):
        raise InputError(
            f"the stream {stream.name!r} needs the proposals of a two-stage detector, which this model does not have; "
            f"set model.detector: faster_rcnn, or leave out the task that provides {stream.name!r}"
        )
    trunk = (RPNTrunk(core, config),) if isinstance(core.detector, WholeImageConfig) else ()
    return (
        *trunk,
        StreamProposals(core, config, stream, proposals),
        TwoStageDetector(core, config, stream, proposals, classes),
    )
