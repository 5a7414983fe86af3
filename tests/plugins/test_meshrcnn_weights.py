"""Which checkpoints of Mesh R-CNN are converted, and that its numbers stay the same.

The state dicts are those of Mesh R-CNN's own configurations for Pix3D, on the meta device where only shapes count.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit.detection import DetectorConfig, RoIPooler
from scenekit.errors import InputError
from scenekit.keys import FEATURES, OBJECTS
from scenekit.model.board import Board
from scenekit.model.build import build
from scenekit.model.head import Core
from scenekit.model.scene_model import SceneModel
from scenekit.structures import FeaturePyramid, ImageBatch
from scenekit.weights.checkpoint import fill
from scenekit_plugins.detectron2_weights import MESH_RCNN
from scenekit_plugins.detectron2_weights.meshrcnn import CLASSES, VARIANTS, infer
from scenekit_plugins.detectron2_weights.names import renamed
from scenekit_plugins.masks import MaskConfig, MaskHead
from scenekit_plugins.meshes.config import MeshConfig
from scenekit_plugins.meshes.head import MeshHead
from tests.plugins.kit import regions
from tests.plugins.meshes.reference import FOLDER, case, numbers, ruled

FILE = Path("model_final.pth")
State = dict[str, Tensor]


@cache
def shapes(variant: str) -> dict[str, list[int]]:
    """Names and shapes of a state dict of Mesh R-CNN."""
    models: dict[str, dict[str, list[int]]] = json.loads((FOLDER / "meshrcnn_state_dict.json").read_text())["models"]
    return models[variant]


def state_of(variant: str = "meshrcnn_R50_FPN") -> State:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes(variant).items()}


def model_of(state: State, name: str = "") -> SceneModel:
    """The network with the checkpoint in it, strictly: every entry used, every parameter filled."""
    with torch.device("meta"):
        model = build(*infer(name, state, FILE))
    fill(model, renamed(state, FILE, MESH_RCNN.modules), "does not fit")
    return model


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("meshrcnn_R50_FPN", {"sphere": None, "stages": 3, "subdivide": False}),
        ("voxelrcnn_R50_FPN", {"sphere": None, "stages": 0, "subdivide": False}),
        ("sphereinit_R50_FPN", {"sphere": 4, "stages": 3, "subdivide": False}),
        ("pixel2mesh_R50_FPN", {"sphere": 2, "stages": 3, "subdivide": True}),
    ],
)
def test_every_configuration_is_converted_whole(variant: str, options: dict[str, Any]) -> None:
    model = model_of(state_of(variant), variant)
    assert model.tasks == ("masks", "meshes") and model.vocabulary.things == CLASSES
    config = MeshConfig.model_validate(model.config.tasks["meshes"])
    refinement = config.refinement
    assert {"sphere": config.sphere, "stages": refinement.stages, "subdivide": refinement.subdivide} == options


def test_the_network_is_that_of_its_configuration() -> None:
    """The numbers of MESH-RCNN-FPN.yaml and meshrcnn_R50_FPN.yaml."""
    config = infer("", state_of(), FILE)[0]
    meshes = MeshConfig.model_validate(config.tasks["meshes"])
    voxels, extent, refinement = meshes.voxels, meshes.extent, meshes.refinement
    assert (voxels.pooled, voxels.convs, voxels.channels, voxels.norm_groups) == (12, 4, 256, None)
    assert (voxels.agnostic, voxels.threshold, voxels.align, voxels.tidy) == (True, 0.2, "topleft", False)
    assert (extent.pooled, extent.fcs, extent.agnostic, extent.beta) == (7, (1024, 1024), False, 1.0)
    assert (refinement.pooled, refinement.convs, refinement.channels) == (14, 3, 128)
    assert meshes.max_verts >= 25**3 and meshes.max_coordinate == 5.0  # all corners of 24 cells a side
    detector = DetectorConfig.model_validate(config.detector_options)
    assert (detector.pooler.aligned, detector.pooler.sampling_ratio, detector.pooler.levels) == (False, 2, 4)
    assert (detector.box_head.score_threshold, detector.box_head.samples) == (0.05, 64)
    assert config.input.bgr and [255 * value for value in config.input.std] == pytest.approx([1, 1, 1])


def test_norm_and_shared_extents_follow_from_the_shapes() -> None:
    state = state_of()
    for number in (1, 2, 3, 4):
        del state[f"roi_heads.voxel_head.voxel_fcn{number}.bias"]
        for leaf in ("weight", "bias"):
            state[f"roi_heads.voxel_head.voxel_fcn{number}.norm.{leaf}"] = torch.empty(256, device="meta")
    for leaf, shape in (("weight", (1, 1024)), ("bias", (1,))):
        state[f"roi_heads.z_head.z_pred.{leaf}"] = torch.empty(shape, device="meta")
    config = MeshConfig.model_validate(model_of(state).config.tasks["meshes"])
    assert (config.voxels.norm_groups, config.extent.agnostic) == (32, True)


def test_heads_give_the_numbers_of_mesh_rcnn() -> None:
    """Its poolers, heads and vertices end to end, from weights under its own names."""
    known, meta = case("meshrcnn_heads_full", "end2end"), numbers("meshrcnn_heads_full")["meta"]
    heads = {name: shape for name, shape in shapes("meshrcnn_R50_FPN").items() if name.startswith("roi_heads.")}
    state = {name: ruled(name, tuple(shape)) for name, shape in heads.items() if ".box_" not in name}
    state["roi_heads.voxel_head.predictor.bias"] += meta["cases"]["end2end"]["args"]["voxel_bias_shift"]
    config, vocabulary = infer("", state_of(), FILE)
    values = renamed(state, FILE, MESH_RCNN.modules)
    core = Core(256, (4, 8, 16, 32), vocabulary)
    masks = MaskHead(core, MaskConfig.model_validate(config.tasks["masks"]))
    meshes = MeshHead(core, MeshConfig.model_validate(config.tasks["meshes"]))
    for name, head in (("masks", masks), ("meshes", meshes)):
        prefix = f"heads.{name}."
        head.load_state_dict({key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)})

    board = Board(
        ImageBatch(torch.zeros(1, 3, 128, 160), ((128, 160),), ((128, 160),)),
        RoIPooler(DetectorConfig.model_validate(config.detector_options).pooler),
    )
    maps = [ruled(f"input.p{level}", (1, 256, 128 >> level, 160 >> level), 1.0) for level in range(2, 6)]
    board.put(FEATURES, FeaturePyramid(tuple(maps), (4, 8, 16, 32)))
    board.put(OBJECTS, objects := regions(known["boxes"].tolist(), known["classes"].tolist()))
    view = board.view("head", (FEATURES, OBJECTS), {OBJECTS: objects})
    with torch.no_grad():
        raw, probabilities = meshes(view), masks.decode(masks(view), view)
    assert raw.voxels is not None
    torch.testing.assert_close(probabilities[:, None], known["pred_mask_probs"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(raw.extents.exp()[:, None], known["pred_dz"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(raw.voxels.sigmoid()[:, None], known["pred_voxels"], rtol=1e-5, atol=1e-5)
    assert torch.equal(raw.meshes.faces, known["faces"].long())
    torch.testing.assert_close(raw.meshes.verts, known["verts"], rtol=0, atol=1e-4)


def without(state: State, part: str) -> State:
    return {name: value for name, value in state.items() if part not in name}


@pytest.mark.parametrize(
    ("state", "name", "told"),
    [
        (without(state_of(), "z_head"), "", "has no roi_heads.z_head.z_fc1.weight"),
        (without(state_of("voxelrcnn_R50_FPN"), "voxel_head"), "", "use the source detectron2"),
        (state_of("pixel2mesh_R50_FPN"), "", "sphereinit_R50_FPN and pixel2mesh_R50_FPN; name the right one"),
        (state_of(), "voxelrcnn_R50_FPN", "not those of voxelrcnn_R50_FPN, but of meshrcnn_R50_FPN"),
        ({**state_of(), "roi_heads.voxel_head.predictor.weight": torch.empty(7, 256, 1, 1)}, "", "these have 7"),
        ({**state_of(), "roi_heads.keypoint_head.strange.weight": torch.empty(1)}, "", "keypoint_head.strange"),
    ],
    ids=["no extents", "no shapes", "ambiguous", "another name", "odd cells", "unknown entry"],
)
def test_other_networks_are_refused(state: State, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        model_of(state, name)


def test_an_unknown_configuration_is_refused_before_the_file_is_read() -> None:
    with pytest.raises(InputError, match=r"unknown configuration 'mesh_R50'; did you mean 'meshrcnn_R50_FPN'"):
        MESH_RCNN.convert("mesh_R50", FILE)
    assert MESH_RCNN.names == tuple(VARIANTS)
