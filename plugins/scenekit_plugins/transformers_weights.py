"""Models of transformers' detectors, of which the trunk is the encoder of the detector itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scenekit.backbones.detr import FAMILIES
from scenekit.detection.detr.config import DetrConfig
from scenekit.detection.detr.stored import stored_options
from scenekit.errors import InputError
from scenekit.hooks import WeightSource, hookimpl
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary

CONFIG = "config.json"


def load(name: str) -> SceneModel:
    """Load a detector as a model: its encoder is the backbone, its classes are the vocabulary.

    Args:
        name: Folder that `save_pretrained` wrote, or name on the Hugging Face hub.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If there is no such detector, or it is none of those that scenekit knows.
    """
    kind, options = stored_options(name)
    return build(config_of(kind, options), Vocabulary(things=classes_of(options))).eval()


def config_of(kind: str, options: DetrConfig) -> ModelConfig:
    """Return the configuration of a model with one network: images enter as the detector needs them.

    Args:
        kind: Model type of the detector.
        options: Its options.

    Returns:
        The configuration.
    """
    assert options.size is not None
    set_options = options.model_dump(mode="json", exclude_unset=True)
    return ModelConfig.model_validate(
        {
            "input": {
                "fixed_size": options.size,
                "min_size": min(options.size),
                "max_size": max(options.size),
                "divisor": 1,
                "mean": options.mean,
                "std": options.std,
                "resampling": FAMILIES[kind].resampling,
            },
            "backbone": {
                "name": f"transformers/{kind}",
                "weights": options.weights,
                "options": {"config": options.config, "trainable_stages": 0},
            },
            "pyramid": None,
            "detector": f"transformers/{kind}",
            "detector_options": {**set_options, "source": "backbone"},
        }
    )


def classes_of(options: DetrConfig) -> tuple[str, ...]:
    """Return the class names of a detector; names that stand for several outputs, such as "N/A", are no classes."""
    counts = Counter(options.labels)
    return tuple(label for label, count in counts.items() if count == 1)


def convert(name: str, file: Path) -> SceneModel:
    """Load a detector from a file in a folder that `save_pretrained` wrote.

    Args:
        name: Model type, or empty: the folder says it.
        file: The weights, `model.safetensors`.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If there is no configuration beside the file.
    """
    if not (file.parent / CONFIG).is_file():
        raise InputError(f"{file}: expected {CONFIG} of transformers beside it, in a folder that save_pretrained wrote")
    model = load(str(file.parent))
    if name and model.config.detector != f"transformers/{name}":
        raise InputError(f"{file}: of {model.config.detector}, not of transformers/{name}")
    return model


@hookimpl
def scenekit_weights() -> Iterator[WeightSource]:
    """Yield the source `transformers`."""
    yield WeightSource(
        prefix="transformers",
        summary="detectors of transformers by hub name or folder, as transformers/NAME (extra `transformers`): "
        "RF-DETR, D-FINE, DEIMv2, RT-DETR, RT-DETRv2",
        load=load,
        convert=convert,
    )
