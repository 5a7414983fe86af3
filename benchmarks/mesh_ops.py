"""Time mesh operations in plain torch and in pytorch3d: `OMP_NUM_THREADS=1 python benchmarks/mesh_ops.py`.

Sizes are those of Mesh R-CNN on Pix3D: 4 objects, grids of 24^3 cells, features of 14 x 14 cells with 256 channels,
graph convolutions of 128 channels, 5,000 points per surface. The same calls alternate on one thread, in pytorch3d with
its own meshes; times are CPU time, which other programs do not affect, of the forward and of the backward pass. Every
call gets new meshes with computed edges, except where the edges are measured. Target: at most twice the time of
pytorch3d. pytorch3d must be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch3d.loss
import pytorch3d.ops
import pytorch3d.structures
import pytorch3d.utils
import torch
from measuring import machine
from torch import Tensor

from scenekit.io.files import write_atomically
from scenekit.structures import Meshes
from scenekit_plugins.meshes import ops as ours

OBJECTS, CELLS, POINTS, CHANNELS, HIDDEN = 4, 24, 5000, 256, 128
TARGET = 2.0

theirs = SimpleNamespace(
    **{name: getattr(pytorch3d.ops, name) for name in pytorch3d.ops.__all__},
    **{name: getattr(pytorch3d.loss, name) for name in pytorch3d.loss.__all__},
    ico_sphere=pytorch3d.utils.ico_sphere,
)


@dataclass(frozen=True)
class World:
    """Inputs of the operations: `meshes` of the measured library with computed edges, `bare` without."""

    voxels: Tensor
    meshes: Any
    bare: Any
    feats: Tensor
    hidden: Tensor
    clouds: tuple[Tensor, ...]
    conv: torch.nn.Module


Call = Callable[[Any, World], Any]

CASES: Mapping[str, Call] = {
    "cubify": lambda ops, world: ops.cubify(world.voxels, 0.5),
    "edges_packed": lambda ops, world: world.bare.edges_packed(),
    "vert_align": lambda ops, world: ops.vert_align(
        world.feats, world.meshes, return_packed=True, padding_mode="border"
    ),
    "GraphConv": lambda ops, world: world.conv(world.hidden, world.meshes.edges_packed()),
    "SubdivideMeshes": lambda ops, world: ops.SubdivideMeshes()(world.meshes).verts_packed(),
    "ico_sphere(4)": lambda ops, world: ops.ico_sphere(4),
    "sample_points_from_meshes": lambda ops, world: ops.sample_points_from_meshes(
        world.meshes, POINTS, return_normals=True
    ),
    "chamfer_distance": lambda ops, world: ops.chamfer_distance(*world.clouds[:2]),
    "chamfer_distance with normals": lambda ops, world: ops.chamfer_distance(
        *world.clouds[:2], x_normals=world.clouds[2], y_normals=world.clouds[3]
    ),
    "knn_points K=1": lambda ops, world: ops.knn_points(*world.clouds[:2], K=1).dists,
    "knn_points K=8": lambda ops, world: ops.knn_points(*world.clouds[:2], K=8).dists,
    "mesh_edge_loss": lambda ops, world: ops.mesh_edge_loss(world.meshes),
    "mesh_laplacian_smoothing uniform": lambda ops, world: ops.mesh_laplacian_smoothing(world.meshes, "uniform"),
    "mesh_laplacian_smoothing cot": lambda ops, world: ops.mesh_laplacian_smoothing(world.meshes, "cot"),
    "mesh_laplacian_smoothing cotcurv": lambda ops, world: ops.mesh_laplacian_smoothing(world.meshes, "cotcurv"),
    "mesh_normal_consistency": lambda ops, world: ops.mesh_normal_consistency(world.meshes),
    "mesh_face_areas_normals": lambda ops, world: ops.mesh_face_areas_normals(
        world.meshes.verts_packed(), world.meshes.faces_packed()
    ),
    "verts_normals_packed": lambda ops, world: world.meshes.verts_normals_packed(),
}


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(CASES), help="names of operations")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "mesh_ops.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make = world_factory()
    rows = {}
    for name in arguments.only:
        rows[name] = measured(CASES[name], make, arguments.repeats)
        print(name, rows[name], flush=True)
    ratios = [row[kind] for row in rows.values() for kind in ("forward_ratio", "gradient_ratio") if kind in row]
    result: dict[str, Any] = {
        **machine(torch.device("cpu")),
        "pytorch3d": pytorch3d.__version__,
        "load_average": round(os.getloadavg()[0], 1),
        "vertices": len(make(ours).meshes.verts),
        "largest_ratio": max(ratios),
        "target": TARGET,
        "milliseconds": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())


def world_factory() -> Callable[[Any], World]:
    """Return a function that creates new meshes and leaf tensors for either library, with equal values."""
    voxels = blobs()
    shape = ours.cubify(voxels, 0.5)
    verts, faces = shape.verts_list(), shape.faces_list()
    feats = torch.randn(OBJECTS, CHANNELS, 14, 14)
    hidden = torch.randn(len(shape.verts), HIDDEN)
    clouds = tuple(torch.nn.functional.normalize(torch.randn(OBJECTS, POINTS, 3), dim=-1) for _ in range(4))
    convs = {True: ours.GraphConv(HIDDEN, HIDDEN), False: pytorch3d.ops.GraphConv(HIDDEN, HIDDEN)}
    convs[False].load_state_dict(convs[True].state_dict())

    def make(ops: Any) -> World:
        build = Meshes.from_lists if ops is ours else pytorch3d.structures.Meshes
        meshes, bare = (build([leaf(part) for part in verts], faces) for _ in range(2))
        meshes.edges_packed()
        return World(voxels, meshes, bare, leaf(feats), leaf(hidden), tuple(map(leaf, clouds)), convs[ops is ours])

    return make


def blobs() -> Tensor:
    """Return grids [N D H W] of ellipsoids with a dent; about a tenth of the cells is occupied."""
    axis = torch.linspace(-1, 1, CELLS)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    sizes = 0.4 + 0.4 * torch.rand(OBJECTS, 3, 1, 1, 1)
    inside = (x / sizes[:, 0]) ** 2 + (y / sizes[:, 1]) ** 2 + (z / sizes[:, 2]) ** 2 < 1
    return (inside & ((x - 0.3) ** 2 + y**2 > 0.05)).float()


def leaf(value: Tensor) -> Tensor:
    """Return a copy that requires gradients."""
    return value.detach().clone().requires_grad_()


def measured(call: Call, make: Callable[[Any], World], repeats: int) -> dict[str, float]:
    """Return medians in milliseconds of alternating runs, after a warm-up, and their ratios."""
    times: dict[str, list[float]] = {}
    for repeat in range(repeats + 1):
        for side, ops in (("ours", ours), ("pytorch3d", theirs)):
            world = make(ops)
            began = time.process_time()
            found = call(ops, world)
            done = time.process_time()
            spent = {"forward": done - began}
            terms = [term for term in tensors(found) if term.requires_grad]
            if terms and call not in (CASES["cubify"], CASES["edges_packed"], CASES["ico_sphere(4)"]):
                total = torch.stack([term.sum() for term in terms]).sum()
                began = time.process_time()
                total.backward()
                spent["gradient"] = time.process_time() - began
            for kind, seconds in spent.items() if repeat else ():
                times.setdefault(f"{kind}_{side}", []).append(seconds)
    return with_ratios({name: round(1000 * statistics.median(seconds), 3) for name, seconds in times.items()})


def with_ratios(medians: dict[str, float]) -> dict[str, float]:
    """Add the ratios of our times to pytorch3d's."""
    row: dict[str, float] = {}
    for kind in ("forward", "gradient"):
        if f"{kind}_ours" in medians:
            mine, other = medians[f"{kind}_ours"], medians[f"{kind}_pytorch3d"]
            row |= {f"{kind}_ours": mine, f"{kind}_pytorch3d": other, f"{kind}_ratio": round(mine / other, 2)}
    return row


def tensors(found: Any) -> list[Tensor]:
    """Return the tensors in the result of an operation."""
    if isinstance(found, Tensor):
        return [found]
    return [term for part in found for term in tensors(part)] if isinstance(found, tuple) else []


if __name__ == "__main__":
    main()
