"""The built-in detector, registered by the hook that all detectors use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenekit.detection.config import DetectorConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.hooks.records import DetectorSpec
from scenekit.hooks.specs import hookimpl
from scenekit.model.head import Core, Provider
from scenekit.visualization.draw import draw_boxes
from scenekit.visualization.scene_canvas import on_canvas


def build_stages(core: Core, config: DetectorConfig) -> Sequence[Provider]:
    """Build the stages of the two-stage detector.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        Trunk, proposals and second stage.
    """
    return RPNTrunk(core, config), StreamProposals(core, config), TwoStageDetector(core, config)


@hookimpl
def scenekit_detectors() -> Iterable[DetectorSpec]:
    """Yield Faster R-CNN on a feature pyramid.

    Yields:
        The detector.
    """
    yield DetectorSpec(
        name="faster_rcnn",
        summary="two stages: region proposals, then a box head",
        build=build_stages,
        config=DetectorConfig,
        evaluator=DetectionEvaluator,
        draw=on_canvas(draw_boxes),
    )
