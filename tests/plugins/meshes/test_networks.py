"""The networks against Mesh R-CNN's, with its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from scenekit.structures import Meshes
from scenekit_plugins.meshes.head import decode_extents, own_class
from scenekit_plugins.meshes.networks import ExtentNetwork, Refinement, VoxelNetwork
from tests.plugins.kit import finite_gradients, regions
from tests.plugins.meshes.names import EXTENT, REFINEMENT, VOXELS, Names, ours, theirs
from tests.plugins.meshes.reference import case, meshes_of, numbers, ruled

NAME = "meshrcnn_heads_small"


def parameters(which: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("param."): value for name, value in which.items() if name.startswith("param.")}


def arguments(which: str) -> dict[str, Any]:
    arguments: dict[str, Any] = numbers(NAME)["meta"]["cases"][which]["args"]
    return arguments


def cases(kind: str) -> list[str]:
    return [name for name in numbers(NAME)["meta"]["cases"] if name.startswith(f"{kind}|")]


def filled(network: nn.Module, prefix: str, names: Names) -> nn.Module:
    """The network with the weights that the rule gives theirs of the same place."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict({name: ruled(prefix + theirs(name, names), shape) for name, shape in shapes.items()})
    return network


@pytest.mark.parametrize("which", cases("voxel"))
def test_voxels_are_those_of_mesh_rcnn(which: str) -> None:
    known, args = case(NAME, which), arguments(which)
    classes = 1 if args["CLS_AGNOSTIC"] else args["NUM_CLASSES"]
    groups = 32 if args["NORM"] else None
    channels = known["x"].shape[1]
    network = VoxelNetwork(channels, args["CONV_DIM"], args["NUM_CONV"], args["NUM_DEPTH"], classes, groups)
    network.load_state_dict({ours(name, VOXELS): value for name, value in parameters(known).items()})
    for label in range(classes):
        logits = network(known["x"], torch.full((len(known["x"]),), label))
        torch.testing.assert_close(logits, known["out"][:, label], rtol=1e-5, atol=1e-5)
    if "pred_classes" in known:
        own = network(known["x"], known["pred_classes"]).sigmoid()
        torch.testing.assert_close(own[:, None], known["inference_probs"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", cases("z"))
def test_depth_extents_are_those_of_mesh_rcnn(which: str) -> None:
    """Theirs were decoded from three times the output, so as to reach the largest one."""
    known, args = case(NAME, which), arguments(which)
    network = ExtentNetwork(known["x"][0].numel(), (args["FC_DIM"],) * args["NUM_FC"], known["out"].shape[1])
    network.load_state_dict({ours(name, EXTENT): value for name, value in parameters(known).items()})
    logs = network(known["x"])
    torch.testing.assert_close(logs, known["out"], rtol=1e-5, atol=1e-5)
    objects = regions([[0.0, 0, 1, 1]] * len(logs), known["pred_classes"].tolist())
    extents = decode_extents(3 * own_class(logs, objects))
    torch.testing.assert_close(extents[:, None], known["inference_dz"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", cases("mesh"))
def test_refined_meshes_are_those_of_mesh_rcnn(which: str) -> None:
    known, args = case(NAME, which), arguments(which)
    sizes = args["GRAPH_CONV_DIM"], args["NUM_STAGES"], args["NUM_GRAPH_CONVS"]
    network = Refinement(known["x"].shape[1], *sizes, subdivide="Subd" in which)
    network.load_state_dict({ours(name, REFINEMENT): value for name, value in parameters(known).items()})
    stages = network(known["x"], meshes_of(known, "init_"))
    assert len(stages) == args["NUM_STAGES"]
    for number, stage in enumerate(stages):
        wanted = meshes_of(known, f"stage{number}_")
        torch.testing.assert_close(stage.verts, wanted.verts, rtol=1e-5, atol=1e-5)
        assert torch.equal(stage.faces, wanted.faces) and torch.equal(stage.verts_offset, wanted.verts_offset)


def test_full_sizes_are_those_of_mesh_rcnn() -> None:
    whole = {which: case("meshrcnn_heads_full", which) for which in ("voxel", "z", "mesh")}
    voxels = filled(VoxelNetwork(256, 256, 4, 24, 1, None), "roi_heads.voxel_head.", VOXELS)
    logits = voxels(ruled("input.voxel", (2, 256, 12, 12), 1.0), torch.tensor([0, 3]))
    torch.testing.assert_close(logits[:, None], whole["voxel"]["out"], rtol=1e-5, atol=1e-5)
    extent = filled(ExtentNetwork(256 * 49, (1024, 1024), 9), "roi_heads.z_head.", EXTENT)
    logs = extent(ruled("input.z", (4, 256, 7, 7), 1.0))
    torch.testing.assert_close(logs, whole["z"]["out"], rtol=1e-5, atol=1e-5)
    refinement = filled(Refinement(256, 128, 3, 3, subdivide=False), "roi_heads.mesh_head.", REFINEMENT)
    stages = refinement(ruled("input.mesh", (2, 256, 14, 14), 1.0), meshes_of(whole["mesh"], "init_"))
    for number, stage in enumerate(stages):
        torch.testing.assert_close(stage.verts, whole["mesh"][f"stage{number}_verts"], rtol=1e-5, atol=1e-5)


def test_networks_stand_no_regions_and_learn_without() -> None:
    nothing = Meshes.from_lists([], [])
    refinement, features = Refinement(4, 8, 2, 2, subdivide=True), torch.zeros(0, 4, 6, 6)
    verts = sum(stage.verts.sum() for stage in refinement(features, nothing))
    assert isinstance(verts, Tensor) and finite_gradients(verts, refinement)
    voxels, extent = VoxelNetwork(4, 8, 2, 12, 1, 4), ExtentNetwork(4 * 36, (8,), 3)
    grids = voxels(features, torch.zeros(0, dtype=torch.int64))
    assert grids.shape == (0, 12, 12, 12) and extent(features).shape == (0, 3)
    assert finite_gradients(grids.sum(), voxels) and finite_gradients(extent(features).sum(), extent)


def test_a_fresh_refinement_leaves_meshes_where_they_are() -> None:
    start = meshes_of(case(NAME, "mesh|MeshRCNNGraphConvHead|ico"), "init_")
    stages = Refinement(6, 8, 2, 2, subdivide=False)(torch.randn(3, 6, 5, 5), start)
    assert all(torch.equal(stage.verts, start.verts) for stage in stages)


class Sorts(TorchDispatchMode):
    """Counts sorts."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket is torch.ops.aten.sort
        return func(*args, **(kwargs or {}))


def test_the_edges_of_meshes_are_sorted_once_for_all_convolutions_and_their_gradients() -> None:
    known = case(NAME, "mesh|MeshRCNNGraphConvHead|ico")
    refinement = Refinement(6, 8, stages=3, convs=2, subdivide=False)
    with Sorts() as sorts:
        sum(stage.verts.sum() for stage in refinement(known["x"], meshes_of(known, "init_"))).backward()  # type: ignore[union-attr]
    assert sorts.count == 1
