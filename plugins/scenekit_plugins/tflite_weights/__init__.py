"""Weights of TFLite files: SSD-MobileNetV2 of TensorFlow's object detection API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scenekit.errors import InputError, nearest
from scenekit.hooks import WeightSource, hookimpl
from scenekit.model.scene_model import SceneModel
from scenekit_plugins.tflite_weights.graph import read_graph
from scenekit_plugins.tflite_weights.ssd_mobilenet_v2 import model_of

NETWORKS = ("ssd_mobilenet_v2",)


def convert(name: str, file: Path) -> SceneModel:
    """Convert a TFLite file of floating-point weights, with any number of classes.

    Args:
        name: Name of the network.
        file: Path of the file.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the name is unknown, the package `tflite` is not installed, or the file is damaged or of another
            network.
    """
    if name not in NETWORKS:
        raise InputError(f"tflite/NAME: unknown network {name!r}{nearest(name, NETWORKS)}")
    return model_of(read_graph(file), file)


def load(name: str) -> SceneModel:
    """Raise an error that says how to convert a file: there is nothing to download.

    Args:
        name: Name of the network.

    Raises:
        InputError: Always.
    """
    raise InputError(
        f"tflite/{name}: weights are in files; run: scenekit convert tflite/{NETWORKS[0]} FILE.tflite "
        "--labels FILE.txt -o model.safetensors"
    )


@hookimpl
def scenekit_weights() -> Iterator[WeightSource]:
    """Yield the source `tflite`."""
    yield WeightSource(
        prefix="tflite",
        summary="SSD-MobileNetV2 of TensorFlow's object detection API, from .tflite files (extra `tflite`)",
        load=load,
        convert=convert,
        names=NETWORKS,
    )
