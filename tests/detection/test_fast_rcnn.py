"""Fast R-CNN and Faster R-CNN on one map: they build, learn, and say what is missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.recipe import ModelConfig

from .. import tiny

SINGLE = {"kind": "single", "levels": [16]}
WINDOWS = {"name": "sliding_window", "sliding_window": {"scales": [16, 32], "ratios": [1.0, 2.0], "stride": 0.5}}

ANCHORS = {"sizes": [[16], [24], [32], [48], [64]]}


def model(detector: str, options: dict[str, Any], pyramid: Any = SINGLE, tasks: tuple[str, ...] = ()) -> Any:
    content = tiny.config(tasks).model_dump(mode="json", exclude_unset=True)
    content |= {"detector": detector, "detector_options": options, "pyramid": pyramid}
    torch.manual_seed(0)
    return sk.build(ModelConfig.model_validate(content), tiny.VOCABULARY)


def fast(**options: Any) -> Any:
    return {"proposals": WINDOWS, "box_head": {"fcs": [32], "samples": 32}, **options}


def test_fast_rcnn_learns_from_windows() -> None:
    learner = model("fast_rcnn", fast(), tasks=("masks",)).eval()
    assert learner.pooler.config.kind == "pool" and set(learner.stages) == {"backbone", "proposals", "detection"}
    batch = tiny.batch(learner, [tiny.sample(number) for number in range(2)])
    optimizer = torch.optim.AdamW(learner.parameters(), lr=2e-3)
    history = []
    for _ in range(24):
        losses = learner(*batch).losses
        assert not any("objectness" in name for name in losses)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total.detach()))
    assert history[-1] < 0.6 * history[0]


@pytest.mark.parametrize(
    ("source", "limit"), [(WINDOWS, 20), ({"name": "rpn", "rpn": {"post_nms_test": 12}}, 12), (WINDOWS, None)]
)
def test_detections_in_training_are_those_of_the_proposals_of_inference(source: Any, limit: int | None) -> None:
    proposals = {**source, "limit_train": 40, "limit_test": 20 if limit is not None else None}
    proposals["rpn"] = {**source.get("rpn", {}), "anchors": ANCHORS}
    small = {"trunk": {"name": "mobilenet_v3_small"}, "crops": {"cells": 1, "fcs": [8]}}
    for name, options in (("fast_rcnn", {"box_head": {"fcs": [8]}}), ("rcnn", small)):
        built = model(name, {"proposals": proposals, **options}, {"channels": 16})
        assert built.stages["detection"].proposals_at_test == limit


def test_faster_rcnn_on_one_map_has_nine_anchors_per_cell() -> None:
    built = model("faster_rcnn", {"preset": "single_map", "rpn": {"channels": 32}, "box_head": {"fcs": [32]}})
    proposals = built.stages["proposals"]
    assert proposals.objectness.out_channels == 9 and proposals.deltas.out_channels == 36
    assert proposals.config.post_nms_test == 300 and built.pooler.config.kind == "pool"
    losses = built(*tiny.batch(built, [tiny.sample()])).losses
    assert all(bool(loss.isfinite()) for loss in losses.values()) and len(losses) == 4
    scene = built.eval().predict(torch.zeros(3, 64, 96, dtype=torch.uint8), threshold=0.0)
    assert len(scene.objects) <= 100


def test_anchors_for_a_pyramid_do_not_fit_one_map() -> None:
    with pytest.raises(InputError, match=r"anchors.sizes has 5 levels, expected 1 .* or set preset: single_map"):
        model("faster_rcnn", {})


@pytest.mark.parametrize("detector", ["fast_rcnn", "faster_rcnn"])
def test_without_shared_features_there_is_nothing_to_pool(detector: str) -> None:
    options = {"proposals": WINDOWS} if detector == "fast_rcnn" else {}
    with pytest.raises(InputError, match=r"set model\.pyramid, or choose model\.detector: rcnn"):
        model(detector, options, pyramid=None)


def test_a_detector_without_proposals_is_an_error_before_the_run() -> None:
    with pytest.raises(InputError, match="detector 'fast_rcnn': this detector has no proposals of its own"):
        model("fast_rcnn", {})
    with pytest.raises(InputError, match="detector 'rcnn': this detector has no proposals of its own"):
        model("rcnn", {"svm": {"c": 0.1}})


def test_soft_nms_keeps_overlapping_objects_with_lower_scores() -> None:
    hard, soft = (
        model(
            "fast_rcnn", fast(box_head={"fcs": [32], "suppression": kind, "score_threshold": 0.01, "detections": 200})
        )
        for kind in ("nms", "soft_nms")
    )
    batch, _ = tiny.batch(hard, [tiny.sample()])
    with torch.no_grad():
        first, second = (net.eval()(batch).board[sk.OBJECTS] for net in (hard, soft))
    assert len(second) > len(first) > 0
    assert (second.scores.diff() <= 0).all() and float(second.scores.max()) == float(first.scores.max())
