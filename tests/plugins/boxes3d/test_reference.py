"""Network, decoding and losses of 3D boxes held against Cube R-CNN's own numbers, gradients included.

Letters: N regions, C classes, B depth bins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from scenekit.ops.rotations import matrix_to_rotation_6d
from scenekit_plugins.boxes3d.coding import Cubes, RegionPriors, Views, decode_cubes, rotation_of
from scenekit_plugins.boxes3d.config import Boxes3DConfig, CodeConfig, LossConfig, PoseNumbers
from scenekit_plugins.boxes3d.losses import cube_losses
from scenekit_plugins.boxes3d.network import ClassNumbers, CubeNetwork, Numbers

FOLDER = Path(__file__).parents[2] / "reference" / "mesh3d"
HEADS, DECODED, LOSSES = (np.load(FOLDER / f"omni3d_{name}.npz") for name in ("cube_head", "decode", "losses"))
HEAD_CASES = sorted({name.rsplit("/", 1)[0] for name in HEADS.files if "/" in name})

PEER_LAYERS = {
    "deltas": ("bbox_3D_center_deltas", "XY"),
    "size": ("bbox_3D_dims", "dims"),
    "pose": ("bbox_3D_pose", "pose"),
    "depth": ("bbox_3D_center_depth", "Z"),
    "uncertainty": ("bbox_3D_uncertainty", "conf"),
}
"""Of each kind of numbers the peer's layer, and the ending of the peer's own tower."""


def tensors(file: Any, case: str, *names: str) -> list[Tensor]:
    return [torch.from_numpy(file[f"{case}/{name}"]) for name in names]


def peer_state(case: str, shared: bool) -> dict[str, Tensor]:
    """The peer's weights under our names."""
    weights = {}
    for kind, (layer, tower) in PEER_LAYERS.items():
        ours, theirs = ("shared", "feature_generator") if shared else (kind, f"feature_generator_{tower}")
        pairs = {f"predictors.{kind}": layer, f"towers.{ours}.0": f"{theirs}.fc1", f"towers.{ours}.2": f"{theirs}.fc2"}
        for name, peer in pairs.items():
            for part in ("weight", "bias"):
                weights[f"{name}.{part}"] = torch.from_numpy(HEADS[f"{case}/param.{peer}.{part}"])
    return weights


@pytest.mark.parametrize("case", HEAD_CASES)
def test_network_gives_the_numbers_of_cube_r_cnn(case: str) -> None:
    pose, shared, bins = case.split("|")
    config = Boxes3DConfig.model_validate(
        {
            "fcs": (12, 12),
            "towers": "shared" if shared == "shared_fc=True" else "separate",
            "code": {"pose": pose, "depth_bins": int(bins.removeprefix("bins="))},
        }
    )
    x, deltas, z, dims, rotation, uncertainty = tensors(HEADS, case, "x", "deltas", "z", "dims", "pose", "uncert")
    network = CubeNetwork(x.shape[1], ("a", "b", "c"), config)
    network.load_state_dict(peer_state(case, config.towers == "shared"))
    found: ClassNumbers = network(x)
    depth = z.squeeze(-1).reshape(found.depth.shape)
    ours = (found.deltas, found.depth, found.size, rotation_of(found.pose, cast(PoseNumbers, pose)), found.uncertainty)
    for mine, theirs in zip(ours, (deltas, depth, dims, rotation, uncertainty), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def views_of(file: Any) -> Views:
    """Regions and cameras of both images; K of the original image becomes that of the network's."""
    boxes, cameras, heights = [], [], []
    for case in ("image0", "image1"):
        box, K, ratio, size = tensors(file, case, "boxes", "K", "ratio", "network_hw")
        boxes.append(box)
        cameras.append((K / torch.stack((ratio, ratio, torch.tensor(1.0)))[:, None]).expand(len(box), 3, 3))
        heights.append(size[0].float().expand(len(box)))
    return Views(torch.cat(boxes), torch.cat(cameras), torch.cat(heights))


def priors_of(file: Any, labels: Tensor, bins: bool = False) -> RegionPriors:
    (sizes,) = tensors(file, "common", "priors_dims")
    if not bins:
        return RegionPriors(sizes[labels, 0], sizes[labels, 1])
    scales, depths = tensors(file, "common", "priors_bin_scales", "priors_bin_z")
    depths = depths[labels]
    return RegionPriors(sizes[labels, 0], sizes[labels, 1], scales[labels], depths[..., 0], depths[..., 1])


MODES: dict[str, dict[str, Any]] = {
    "released": {},
    "no_virtual": {"virtual_focal": None},
    "egocentric": {"frame": "egocentric"},
    "no_prior": {"size": "plain"},
    "prior_sigmoid": {"size": "sigmoid"},
    "z_sigmoid": {"depth": "sigmoid"},
    "z_log": {"depth": "log"},
    "z_clusters": {"depth": "clusters", "depth_bins": 4},
    "direct_bins": {"depth_bins": 4},
    "focal_700": {"virtual_focal": 700.0},
    "no_conf": {},
}


@pytest.mark.parametrize("mode", MODES)
def test_boxes_are_decoded_as_cube_r_cnn_does(mode: str) -> None:
    config = CodeConfig.model_validate(MODES[mode])
    (labels,) = tensors(DECODED, "common", "classes")
    deltas, z, dims, pose, uncertainty = tensors(DECODED, "head", "deltas", "z", "dims", "pose", "uncert")
    if f"{mode}/z_raw" in DECODED.files:
        (z,) = tensors(DECODED, mode, "z_raw")
    depth = tensors(DECODED, "head", "z4")[0][..., 0] if config.depth_bins > 1 else z.transpose(1, 2)
    numbers = ClassNumbers(deltas, depth, dims, matrix_to_rotation_6d(pose), uncertainty).of(labels)
    views = views_of(DECODED)
    cubes = decode_cubes(numbers, views, priors_of(DECODED, labels, config.depth_bins > 1), config)
    center, size, rotation, corners = tensors(DECODED, mode, "center_cam", "dims", "pose", "corners")
    for mine, theirs in zip((cubes.center, cubes.size, cubes.rotation), (center, size, rotation), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(cubes.corners, corners, rtol=1e-5, atol=1e-4)
    ratios = torch.cat([tensors(DECODED, f"image{i}", "ratio")[0].expand(n) for i, n in ((0, 5), (1, 4))])
    pixels = tensors(DECODED, mode, "center_2D")[0]
    torch.testing.assert_close(cubes.pixels * ratios[:, None], pixels, rtol=1e-5, atol=1e-3)


LOSS_CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, float]]] = {
    "released": ({}, {}, {}),
    "l1_pose": ({}, {"corners": "own"}, {}),
    "no_conf": ({}, {}, {}),
    "inverse_z": ({}, {"inverse_depth": True}, {}),
    "no_joint": ({}, {"joint": False}, {}),
    "weighted": ({}, {}, {"xy": 2.0, "z": 0.5, "pose": 7.0, "dims": 20.0}),
    "entangled_log": ({"size": "plain", "depth": "log"}, {"disentangled": False}, {}),
    "entangled_direct": ({"size": "plain"}, {"disentangled": False}, {}),
}
"""By the peer's case: what the numbers mean, the losses, and their weights."""


def head_outputs(code: CodeConfig) -> dict[str, Tensor]:
    """The peer's head outputs as leaves. Where depths are logs, those of the stored ones went into the peer."""
    names = ("deltas", "z", "dims", "pose", "uncert")
    outputs = dict(zip(names, tensors(LOSSES, "head", *names), strict=True))
    if code.depth == "log":
        outputs["z"] = outputs["z"].log()
    return {name: value.requires_grad_() for name, value in outputs.items()}


def found_cubes(outputs: dict[str, Tensor], labels: Tensor, code: CodeConfig) -> tuple[Cubes, Numbers]:
    views = views_of(LOSSES)
    depth = outputs["z"].transpose(1, 2)
    numbers = ClassNumbers(
        outputs["deltas"], depth, outputs["dims"], outputs["pose"].flatten(-2), outputs["uncert"]
    ).of(labels)
    return decode_cubes(numbers, views, priors_of(LOSSES, labels), code), numbers


@pytest.mark.parametrize("case", LOSS_CASES)
def test_losses_and_gradients_are_those_of_cube_r_cnn(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_matrix(pose: Tensor, kind: str) -> Tensor:  # the gradients on record are those of matrices
        return pose.reshape(*pose.shape[:-1], 3, 3)

    monkeypatch.setattr("scenekit_plugins.boxes3d.coding.rotation_of", as_matrix)
    code, config, weights = LOSS_CASES[case]
    code_config = CodeConfig.model_validate(code)
    (labels,) = tensors(LOSSES, "common", "classes")
    true_numbers, true_rotation = tensors(LOSSES, "common", "gt_boxes3D", "gt_poses")
    views, outputs = views_of(LOSSES), head_outputs(code_config)
    found, numbers = found_cubes(outputs, labels, code_config)
    truth = Cubes(true_numbers[:, :2], true_numbers[:, 2], true_numbers[:, 3:], true_rotation, views.K)
    ours = cube_losses(
        found,
        truth,
        views.sides,
        None if case == "no_conf" else numbers.uncertainty,
        LossConfig.model_validate({"corners": "nearest", **config}),
        code_config.depth,
    )
    total = torch.zeros(())
    for name, value in ours.items():
        theirs = LOSSES[f"{case}/{'uncert' if name == 'uncertainty' else f'loss_{name}'}"]
        scale = (0.5 if case == "weighted" and name != "uncertainty" else 1.0) * weights.get(name, 1.0)
        torch.testing.assert_close(value * scale, torch.from_numpy(theirs), rtol=2e-5, atol=1e-6)
        total = total + value * scale
    total.backward()
    for name, leaf in outputs.items():
        if f"{case}/grad_{name}" in LOSSES.files:
            theirs = torch.from_numpy(LOSSES[f"{case}/grad_{name}"])
            torch.testing.assert_close(leaf.grad, theirs, rtol=2e-5, atol=1e-6)
