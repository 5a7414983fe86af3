"""Mesh R-CNN (Gkioxari et al., 2019): a Mask R-CNN of detectron2 with heads for depth extent, voxels and meshes.

Options that a state dict does not show are those of the configurations for Pix3D in its repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit_plugins import coco
from scenekit_plugins.detectron2_weights import architecture
from scenekit_plugins.detectron2_weights.architecture import ROI, box_head, class_count, pooled_side
from scenekit_plugins.detectron2_weights.names import MOST_CONVS
from scenekit_plugins.detectron2_weights.shapes import Shapes

EXPECTED = "a Mesh R-CNN with a pyramid and a head for depth extents"

CLASSES = ("bed", "bookcase", "chair", "desk", "misc", "sofa", "table", "tool", "wardrobe")
"""Of Pix3D, in the order of Mesh R-CNN."""

DETECTOR: Mapping[str, Any] = {
    "rpn": {"smooth_l1_beta": 1 / 9, "background": 0.5},
    "pooler": {"aligned": False, "sampling_ratio": 2},
}
BOX_HEAD: Mapping[str, Any] = {"smooth_l1_beta": 1.0, "samples": 64}
"""Options of the detector and its box head that differ from detectron2's."""

EXTENT, VOXELS, MESHES = f"{ROI}.z_head", f"{ROI}.voxel_head", f"{ROI}.mesh_head"

NORM_GROUPS = 32
"""Groups of its group norm."""

MOST_STAGES = 8
"""Upper limit of the refinement stages."""


@dataclass(frozen=True)
class Variant:
    """One of the configurations of Mesh R-CNN."""

    refined: bool = True
    """Whether meshes are refined."""
    sphere: int | None = None
    """Subdivisions of the sphere that is the initial mesh; None for voxels."""
    subdivide: bool = False
    """Whether faces are split between stages of the refinement."""

    @property
    def heads(self) -> tuple[bool, bool]:
        """Whether it has a head for voxels, and one for meshes."""
        return self.sphere is None, self.refined


VARIANTS: Mapping[str, Variant] = {
    "meshrcnn_R50_FPN": Variant(),
    "voxelrcnn_R50_FPN": Variant(refined=False),
    "sphereinit_R50_FPN": Variant(sphere=4),
    "pixel2mesh_R50_FPN": Variant(sphere=2, subdivide=True),
}
"""By the names of their configurations."""


def infer(name: str, state: Mapping[str, Tensor], file: Path) -> tuple[ModelConfig, Vocabulary]:
    """Determine configuration and vocabulary of a checkpoint.

    Args:
        name: Name of its configuration (see `VARIANTS`), which may be empty if the parameters show it.
        state: Mesh R-CNN's state dict.
        file: Path of the checkpoint, for error messages.

    Returns:
        Configuration and vocabulary.

    Raises:
        InputError: If the network cannot be converted, or is not of this configuration.
    """
    shapes = Shapes(state, file, EXPECTED)
    variant = _variant(name, shapes)
    options = architecture.options(shapes)
    options["detector_options"] |= {**DETECTOR, "box_head": {**box_head(shapes), **BOX_HEAD}}
    options["tasks"]["meshes"] = _meshes(variant, shapes)
    return ModelConfig.model_validate(options), coco.vocabulary(CLASSES, class_count(shapes), points=None)


def _variant(name: str, shapes: Shapes) -> Variant:
    """Return the configuration of this name, or the only one with these heads if there is no name."""
    heads = f"{VOXELS}.predictor.weight" in shapes, f"{MESHES}.stages.0.bottleneck.weight" in shapes
    alike = [known for known, variant in VARIANTS.items() if variant.heads == heads]
    if not alike:
        raise shapes.refusal(
            "this network has no voxel or mesh head; if it is of detectron2, use the source detectron2"
        )
    if len(alike) > 1 and not name:
        raise shapes.refusal(f"the parameters are those of {' and '.join(alike)}; name the right one: meshrcnn/NAME")
    if name and name not in alike:
        raise shapes.refusal(f"the heads are not those of {name}, but of {' or '.join(alike)}")
    return VARIANTS[name or alike[0]]


def _meshes(variant: Variant, shapes: Shapes) -> dict[str, Any]:
    """Return the options of the task `meshes`."""
    extent = {
        "pooled": pooled_side(shapes, f"{EXTENT}.z_fc1.weight"),
        "fcs": shapes.fcs(f"{EXTENT}.z_fc{{}}.weight"),
        "agnostic": shapes.outputs(f"{EXTENT}.z_pred.weight") != class_count(shapes),
        "beta": 1.0,
    }
    start = _voxels(shapes) if variant.sphere is None else {"sphere": variant.sphere}
    refinement = {**_refinement(shapes), "subdivide": variant.subdivide} if variant.refined else {"stages": 0}
    return {"extent": extent, "refinement": refinement, **start}


def _voxels(shapes: Shapes) -> dict[str, Any]:
    """Return the options of voxels, which all classes share in Mesh R-CNN: channels are the cells along the depth."""
    cells = shapes.outputs(f"{VOXELS}.predictor.weight")
    if cells % 2:
        raise shapes.refusal(f"voxels have twice as many cells a side as their features, but these have {cells}")
    voxels = {
        "pooled": cells // 2,
        **shapes.convs(f"{VOXELS}.voxel_fcn{{}}.weight"),
        "norm_groups": NORM_GROUPS if f"{VOXELS}.voxel_fcn1.norm.weight" in shapes else None,
        "align": "topleft",
        "tidy": False,
    }
    return {"voxels": voxels, "max_verts": (cells + 1) ** 3}  # no limit


def _refinement(shapes: Shapes) -> dict[str, Any]:
    return {
        "stages": shapes.count(f"{MESHES}.stages.{{}}.bottleneck.weight", first=0),
        "convs": shapes.count(f"{MESHES}.stages.0.gconvs.{{}}.w0.weight", first=0),
        "channels": shapes.outputs(f"{MESHES}.stages.0.bottleneck.weight"),
    }


def _modules() -> Iterator[tuple[str, str]]:
    """Yield pairs of Mesh R-CNN's name and ours."""
    ours = "heads.meshes"
    yield f"{EXTENT}.z_pred", f"{ours}.extent.predictor"
    yield f"{VOXELS}.deconv", f"{ours}.voxels.deconv"
    yield f"{VOXELS}.predictor", f"{ours}.voxels.predictor"
    for index in range(MOST_CONVS):
        yield f"{EXTENT}.z_fc{index + 1}", f"{ours}.extent.fcs.{index}.0"
        yield f"{VOXELS}.voxel_fcn{index + 1}", f"{ours}.voxels.convs.{index}.0"
        yield f"{VOXELS}.voxel_fcn{index + 1}.norm", f"{ours}.voxels.convs.{index}.1"
    for index in range(MOST_STAGES):
        theirs, stage = f"{MESHES}.stages.{index}", f"{ours}.refinement.stages.{index}"
        yield f"{theirs}.bottleneck", f"{stage}.bottleneck"
        yield f"{theirs}.verts_offset", f"{stage}.offset"
        for conv in range(MOST_CONVS):
            for part in ("w0", "w1"):
                yield f"{theirs}.gconvs.{conv}.{part}", f"{stage}.gconvs.{conv}.{part}"


MODULES: Mapping[str, str] = dict(_modules())
"""Mesh R-CNN's names and ours of the modules that a Mask R-CNN does not have."""
