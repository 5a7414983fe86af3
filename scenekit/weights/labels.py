"""Further classes for a model whose box head classifies by the embeddings of class names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch.nn import functional as F

from scenekit.config import merged
from scenekit.errors import InputError, listed
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import without_pretrained
from scenekit.weights.transfer import transfer

TEXT = "stages.detection.predictor.text"
"""The embeddings of the class names, among the parameters and buffers of a model."""

ALIKE = 0.999
"""Cosine from which on two embeddings of a name count as those of the same encoder."""

_log = logging.getLogger(__name__)


def add_labels(model: SceneModel, names: Sequence[str], text: str) -> SceneModel:
    """Return a model that also detects further classes, by their names alone.

    ```python
    model = sk.add_labels(sk.load("runs/open/model"), ["zebra", "kite"], text="google/siglip2-base-patch16-224")
    ```

    All weights stay as they are; detections of a new class are as good as the embeddings of class names generalize.
    Parts of other heads that belong to a class, such as the mask of each, are random for a new one, and a warning names
    them.

    Args:
        model: A model trained with the option `box_head.text` of its detector.
        names: The new classes, or the name of one.
        text: The text encoder with which it was trained: a folder, or a name on the Hugging Face hub.

    Returns:
        The model, on the same device, in evaluation mode.

    Raises:
        InputError: If the model has a weight per class, has a class of a name already, or was trained with another text
            encoder.
    """
    names = (names,) if isinstance(names, str) else names
    if TEXT not in model.state_dict():
        raise InputError(
            "only a box head that classifies by the embeddings of class names can detect further classes; train with "
            "model.detector_options.box_head.text"
        )
    if known := [name for name in names if name in model.vocabulary.labels]:
        raise InputError(f"the model has the class {listed(known, 3)} already; leave it out")
    vocabulary = replace(model.vocabulary, things=(*model.vocabulary.things, *names))
    options = merged(model.config.detector_options, {"box_head": {"text": {"weights": text}}})
    config = without_pretrained(model.config).model_copy(update={"detector_options": options})
    larger = build(config, vocabulary)
    _check_encoder(model, larger, text)
    fresh = [name for name, part in transfer(model, larger).partly.items() if name != TEXT and part.fresh]
    if fresh:
        _log.warning("random for %s: %s; train them, or leave their tasks out", listed(names, 3), listed(fresh, 3))
    return larger.to(model.device).eval()


def _check_encoder(model: SceneModel, larger: SceneModel, text: str) -> None:
    """Check that the encoder gives the known classes the embeddings that the model has."""
    ours: Any = model.state_dict()[TEXT]
    theirs = larger.state_dict()[TEXT][: len(ours)].to(ours)
    if bool((F.cosine_similarity(ours, theirs, dim=1) < ALIKE).any()):
        raise InputError(
            f"the text encoder {text!r} gives the classes of the model other embeddings than it was trained with; name "
            "the encoder of its recipe"
        )
