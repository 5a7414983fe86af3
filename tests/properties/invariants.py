"""What holds for every sample and Scene that a reader returns, whatever the file held."""

from __future__ import annotations

import json
import math
from typing import Any

import torch

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.data.sample import Sample


def assert_sound(sample: Sample) -> None:
    """After the checks of training, boxes are finite and not empty, labels are of the vocabulary, and strict
    checks find nothing.
    """
    sample = checked(sample)
    scene = sample.scene
    assert sample.image.shape == (3, *scene.size) and min(scene.size) > 0
    for stream in scene.streams:
        boxes = scene.regions(stream).boxes
        assert torch.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    labels = scene.objects.labels
    assert ((labels >= 0) & (labels < len(scene.vocabulary.things))).all()
    checked(sample, strict=True)


def assert_usable(scene: sk.Scene) -> None:
    """A Scene that was read can be written, read again with the same content, and made a graph."""
    written = scene.to_json()
    again = sk.Scene.from_json(json.loads(json.dumps(written, allow_nan=False)))
    assert again.to_json() == written
    scene.graph()


def assert_finite(scores: Any) -> None:
    """Every number of a score is a finite number, NaN where a class has no ground truth; none is infinite."""
    for value in scores.values() if isinstance(scores, dict) else scores if isinstance(scores, list) else ():
        assert not (isinstance(value, float) and math.isinf(value))
        assert_finite(value)
