"""A region stream that a task brings: regions of its own, drawn from the shared trunk of the proposal network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenekit.config import Config
from scenekit.detection.config import DetectorConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.rpn import StreamProposals
from scenekit.errors import InputError
from scenekit.keys import Key, Stream
from scenekit.model.head import Core, Provider
from scenekit.structures.regions import Regions


def region_stream(
    core: Core, config: Config, stream: Stream, proposals: Key[Regions, Any], classes: Sequence[str] = ("region",)
) -> Sequence[Provider]:
    """The stages that give `stream`: objectness, offsets and NMS of its own on RPN_FEATURES, then its second stage.

    For `TaskSpec.stages`; `config` is `core.detector`, perhaps with other numbers (`config.model_copy`). The stages are
    named after `proposals` and `stream` (dots become underscores), and so are their losses and the draws of what they
    learn on: no other stream notices them. Images whose labels say nothing about the stream are neither positives nor
    negatives. Scores are probabilities of the second stage; with one class that a region is what the stream is made of.

    Raises InputError where the model's detector has no region proposals.
    """
    if not isinstance(config, DetectorConfig):
        raise InputError(
            f"the stream {stream.name!r} is drawn from the proposals of a two-stage detector, which this model does "
            f"not have; set model.detector: rcnn, or leave out the task that brings {stream.name!r}"
        )
    return (
        StreamProposals(core, config, stream, proposals),
        TwoStageDetector(core, config, stream, proposals, classes),
    )
