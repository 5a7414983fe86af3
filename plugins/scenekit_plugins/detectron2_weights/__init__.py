"""Weights of detectron2, and of Mesh R-CNN and Cube R-CNN, which are built on it."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.hooks import WeightSource, hookimpl
from scenekit_plugins.detectron2_weights import architecture, cubercnn, meshrcnn
from scenekit_plugins.detectron2_weights.families import Family
from scenekit_plugins.detectron2_weights.names import KINDS, MODULES

DETECTRON2 = Family(
    prefix="detectron2",
    infer=lambda _, state, file: architecture.infer(state, file),
    modules=MODULES,
    kinds=KINDS,
    zoo="https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md",
)

MESH_RCNN = Family(
    prefix="meshrcnn",
    infer=meshrcnn.infer,
    names=tuple(meshrcnn.VARIANTS),
    modules={**MODULES, **meshrcnn.MODULES},
    kinds="Mesh R-CNN on R50, R101 or X101-FPN",
    zoo="https://github.com/facebookresearch/meshrcnn/blob/main/INSTRUCTIONS_PIX3D.md",
)

CUBE_RCNN = Family(
    prefix="cubercnn",
    infer=lambda _, state, file: cubercnn.infer(state, file),
    modules=cubercnn.MODULES,
    kinds="Cube R-CNN on a ResNet of torchvision with a pyramid",
    zoo="https://github.com/facebookresearch/omni3d/blob/main/MODEL_ZOO.md",
    derived=cubercnn.PRIORS,
)


@hookimpl
def scenekit_weights() -> Iterator[WeightSource]:
    """Yield the sources `detectron2`, `meshrcnn` and `cubercnn`."""
    yield DETECTRON2.source("R-CNNs and Panoptic FPN of detectron2's model zoo, from .pkl and .pth files")
    yield MESH_RCNN.source("Mesh R-CNN on Pix3D and its variants, from .pth files")
    yield CUBE_RCNN.source("Cube R-CNN on Omni3D with a ResNet, from .pth files")
