"""The built-in detectors, registered by the hook that all detectors use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenekit.detection.config import DetectorConfig
from scenekit.detection.detector import TwoStageDetector
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.detection.one_stage.fcos import FCOSConfig, build_fcos
from scenekit.detection.one_stage.retinanet import RetinaNetConfig, build_retinanet
from scenekit.detection.one_stage.ssd import SSDConfig, build_ssd
from scenekit.detection.one_stage.yolo import YoloConfig, build_yolo, prepared
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
    """Yield Faster R-CNN and the one-stage detectors.

    Yields:
        The detectors.
    """
    for name, summary, build, config in (
        ("faster_rcnn", "two stages: region proposals, then a box head", build_stages, DetectorConfig),
        ("retinanet", "one stage on anchors, with the focal loss", build_retinanet, RetinaNetConfig),
        ("fcos", "one stage on locations, without anchors", build_fcos, FCOSConfig),
        ("ssd", "one stage on default boxes of several maps", build_ssd, SSDConfig),
        ("yolo", "one stage on a grid with base boxes", build_yolo, YoloConfig),
    ):
        yield DetectorSpec(
            name=name,
            summary=summary,
            build=build,
            config=config,
            evaluator=DetectionEvaluator,
            draw=on_canvas(draw_boxes),
            prepare=prepared if config is YoloConfig else None,
        )
