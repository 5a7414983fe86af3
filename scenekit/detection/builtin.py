"""The detector that the core brings, by the same door as everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenekit.detection.config import DetectorConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.evaluation.evaluators import DetectionEvaluator
from scenekit.hooks.records import DetectorSpec
from scenekit.hooks.specs import hookimpl
from scenekit.model.head import Core, Provider
from scenekit.visualization.draw import draw_boxes
from scenekit.visualization.scene_canvas import on_canvas


def build_stages(core: Core, config: DetectorConfig) -> Sequence[Provider]:
    """Trunk, proposals, second stage."""
    return RPNTrunk(core, config), StreamProposals(core, config), TwoStageDetector(core, config)


@hookimpl
def scenekit_detectors() -> Iterable[DetectorSpec]:
    """Faster R-CNN on a feature pyramid."""
    yield DetectorSpec(
        name="rcnn",
        summary="two stages: region proposals, then a box head",
        build=build_stages,
        config=DetectorConfig,
        evaluator=DetectionEvaluator,
        draw=on_canvas(draw_boxes),
    )
