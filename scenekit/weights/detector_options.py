"""The same model with other options of its detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenekit.config import Config, merged, validated
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import fill, without_pretrained
from scenekit.weights.exported import keep_networks

ACROSS_CLASSES = "across_classes"


def with_detector_options(model: SceneModel, options: Mapping[str, Any]) -> SceneModel:
    """Return the same model with other options of the detector, such as thresholds.

    Args:
        model: The model.
        options: The options to change, with sections as mappings.

    Returns:
        The model, on the same device, in evaluation mode.

    Raises:
        InputError: If an option is unknown or invalid, or changes the shape of parameters.
    """
    changed = merged(model.config.detector_options, options)
    config = without_pretrained(model.config).model_copy(update={"detector_options": changed})
    other = build(config, model.vocabulary)
    fill(other, model.state_dict(), "detector options that change parameters need another model")
    keep_networks(model, other)
    return other.to(model.device).eval()


def suppresses_across_classes(model: SceneModel) -> bool:
    """Return whether the detector of a model can suppress detections of the same thing as two classes.

    Args:
        model: The model.

    Returns:
        Whether it has the option `across_classes`, at its top level or in a section.
    """
    return _sections_of(model, ACROSS_CLASSES) is not None


def with_suppression(model: SceneModel, iou: float) -> SceneModel:
    """Return the same model with suppression of detections of the same thing as two classes.

    Args:
        model: The model.
        iou: The option `across_classes` of its detector, wherever that has it.

    Returns:
        The model, on the same device, in evaluation mode.

    Raises:
        InputError: If the model has no detector, or one without this option.
    """
    sections = _sections_of(model, ACROSS_CLASSES)
    if sections is None:
        owner = f"detector {model.config.detector!r}" if model.config.detector else "a model without a detector"
        raise InputError(f"{owner} has no option {ACROSS_CLASSES}, so that it cannot suppress across classes")
    options: dict[str, Any] = {ACROSS_CLASSES: iou}
    for section in reversed(sections):
        options = {section: options}
    return with_detector_options(model, options)


def _sections_of(model: SceneModel, option: str) -> tuple[str, ...] | None:
    """Return the sections of the detector's options that lead to an option, the fewest there are."""
    kind = registry().get("detector", model.config.detector).config
    level: dict[tuple[str, ...], Config] = {(): validated(kind, model.config.detector_options, "the detector")}
    while level:
        for path, section in level.items():
            if option in type(section).model_fields:
                return path
        level = {
            (*path, name): value
            for path, section in level.items()
            for name, value in section
            if isinstance(value, Config)
        }
    return None
