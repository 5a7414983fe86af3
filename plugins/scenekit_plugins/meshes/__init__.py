"""Meshes of objects (Gkioxari et al., Mesh R-CNN, ICCV 2019)."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import BOXES3D, MESHES, VOXELS
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.meshes.config import MeshConfig, configured, relabeled
from scenekit_plugins.meshes.draw import draw_meshes
from scenekit_plugins.meshes.evaluator import MeshEvaluator
from scenekit_plugins.meshes.head import MeshHead


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `meshes`."""
    yield TaskSpec(
        name="meshes",
        summary="the shape of each object as a triangle mesh, in metres",
        provides=(MESHES,),
        build=MeshHead,
        config=MeshConfig,
        uses=(BOXES3D,),
        learns_from=(MESHES, VOXELS),
        reads=(BOXES3D,),
        loss_weights={"voxel": 3.0, "depth_voxel": 3.0, "extent": 5.0, "chamfer": 1.0, "normal": 0.1, "edge": 1.0},
        evaluator=MeshEvaluator,
        draw=on_canvas(draw_meshes),
        draw_apart=True,
        configure=configured,
        relabel=relabeled,
    )
