"""The built-in detectors, registered by the hook that all detectors use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from scenekit.detection.config import DetectorConfig
from scenekit.detection.crops.build import build_rcnn, build_sliding_window
from scenekit.detection.crops.config import RCNNConfig, SlidingWindowDetectorConfig
from scenekit.detection.crops.fitting import fit_rcnn
from scenekit.detection.detector import build_faster_rcnn
from scenekit.detection.detr import stored
from scenekit.detection.detr.config import DetrConfig, relabeled
from scenekit.detection.detr.detector import build_detr
from scenekit.detection.detr.examples import EXAMPLES as DETR_EXAMPLES
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.detection.fast_rcnn import FastRCNNConfig, build_fast_rcnn
from scenekit.detection.grouping import grouped
from scenekit.detection.one_stage.fcos import FCOSConfig, build_fcos
from scenekit.detection.one_stage.retinanet import RetinaNetConfig, build_retinanet
from scenekit.detection.one_stage.ssd import SSDConfig, build_ssd
from scenekit.detection.one_stage.yolo import YoloConfig, build_yolo, prepared
from scenekit.hooks.records import DetectorSpec
from scenekit.hooks.specs import hookimpl
from scenekit.visualization.draw import draw_boxes
from scenekit.visualization.scene_canvas import on_canvas

DETR_TITLES = {
    "rf_detr": "RF-DETR",
    "d_fine": "D-FINE",
    "deimv2": "DEIMv2",
    "rt_detr": "RT-DETR",
    "rt_detr_v2": "RT-DETRv2",
}
_WINDOWS = {"scales": (32.0, 48.0), "ratios": (1.0,), "stride": 0.5}
_CROPS = {
    "trunk": {"name": "mobilenet_v3_small"},
    "crops": {"size": 32, "context": 2, "cells": 1, "fcs": (16,)},
    "detection": {"samples": 16, "detections": 8},
}
_PROPOSALS = {"name": "sliding_window", "sliding_window": _WINDOWS}
_RPN = {"pre_nms_train": 60, "post_nms_train": 40, "pre_nms_test": 40, "post_nms_test": 16, "samples": 32}
_BOX_HEAD = {"fcs": (32,), "samples": 16, "detections": 8}
_DENSE = {"candidates": 40, "detections": 8}
_TOWER = {"tower": {"convs": 1}}


def of_transformers(name: str) -> DetectorSpec:
    """Return the record of a detector of transformers, by its model type."""
    return DetectorSpec(
        f"transformers/{name}",
        f"{DETR_TITLES[name]} of transformers, trained elsewhere (extra `transformers`)",
        partial(build_detr, name),
        DetrConfig,
        prepare=partial(stored.prepared, name),
        example=DETR_EXAMPLES[name],
        relabel=relabeled,
    )


@hookimpl
def scenekit_detectors() -> Iterable[DetectorSpec]:
    """Yield the detectors that classify regions, then the one-stage detectors.

    Yields:
        The detectors.
    """
    for spec in (
        DetectorSpec(
            "faster_rcnn",
            "region proposals, then a box head on pooled features",
            build_faster_rcnn,
            DetectorConfig,
            adapt=grouped,
            example={"rpn": _RPN, "box_head": _BOX_HEAD},
        ),
        DetectorSpec(
            "fast_rcnn",
            "external proposals, then a box head on pooled features",
            build_fast_rcnn,
            FastRCNNConfig,
            example={"proposals": _PROPOSALS, "box_head": _BOX_HEAD},
        ),
        DetectorSpec(
            "rcnn",
            "external proposals, a network on the warped crop of each, then linear SVMs and box regression",
            build_rcnn,
            RCNNConfig,
            fit=fit_rcnn,
            fits_every_class=True,
            example={**_CROPS, "proposals": _PROPOSALS},
        ),
        DetectorSpec(
            "sliding_window",
            "a classifier of the crop of each window",
            build_sliding_window,
            SlidingWindowDetectorConfig,
            example={**_CROPS, "windows": _WINDOWS},
        ),
        DetectorSpec(
            "retinanet",
            "one stage on anchors, with the focal loss",
            build_retinanet,
            RetinaNetConfig,
            example={**_DENSE, **_TOWER},
        ),
        DetectorSpec(
            "fcos", "one stage on locations, without anchors", build_fcos, FCOSConfig, example={**_DENSE, **_TOWER}
        ),
        DetectorSpec("ssd", "one stage on default boxes of several maps", build_ssd, SSDConfig, example=_DENSE),
        DetectorSpec(
            "yolo", "one stage on a grid with base boxes", build_yolo, YoloConfig, prepare=prepared, example=_DENSE
        ),
        *map(of_transformers, DETR_TITLES),
    ):
        yield replace(spec, evaluator=DetectionEvaluator, draw=on_canvas(draw_boxes))
