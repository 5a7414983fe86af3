"""Weights of detectron2: Faster, Mask and Keypoint R-CNN and Panoptic FPN on R50, R101 and X101 with a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scenekit.errors import InputError
from scenekit.hooks import WeightSource, hookimpl
from scenekit.io.files import path_named
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import fill
from scenekit_plugins.detectron2_weights.architecture import infer
from scenekit_plugins.detectron2_weights.checkpoint import read_checkpoint
from scenekit_plugins.detectron2_weights.names import renamed

ZOO = "https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md"

OTHER = "it is most likely of another architecture, or a part of it was changed; those of the model zoo are converted"


def convert(name: str, file: Path) -> SceneModel:
    """Convert a checkpoint of detectron2; names and shapes of its parameters determine the network.

    Args:
        name: Must be empty.
        file: Path of the checkpoint.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If there is a name, or the file is not a checkpoint, would run code, or holds another kind of
            network.
    """
    if name:
        raise InputError(f"detectron2/{name}: the network is determined from the file; use detectron2 without a name")
    state = read_checkpoint(file)
    model = build(*infer(state, file))
    fill(model, renamed(state, file), f"{file}: differs from the networks that are converted", likely=lambda: OTHER)
    return model.eval()


def load(name: str) -> SceneModel:
    """Load a checkpoint from disk; nothing is downloaded.

    Args:
        name: Path of the checkpoint.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If there is no such file, or `convert` refuses it.
    """
    file = path_named(name)
    if file.is_file():
        return convert("", file)
    raise InputError(
        f"detectron2/{name}: expected the path of a checkpoint, but there is no such file; "
        f"download one of {ZOO} and run: scenekit convert detectron2 CHECKPOINT -o model.safetensors"
    )


@hookimpl
def scenekit_weights() -> Iterator[WeightSource]:
    """Yield the source `detectron2`."""
    yield WeightSource(
        prefix="detectron2",
        summary="R-CNNs and Panoptic FPN of detectron2's model zoo, from .pkl and .pth files",
        load=load,
        convert=convert,
    )
