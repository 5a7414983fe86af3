"""Objects as oriented boxes in metres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import BOXES3D, MASKS
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.boxes3d.birds_eye import draw_birds_eye
from scenekit_plugins.boxes3d.config import Boxes3DConfig, relabeled
from scenekit_plugins.boxes3d.draw import draw_boxes3d
from scenekit_plugins.boxes3d.evaluator import Boxes3DEvaluator
from scenekit_plugins.boxes3d.head import Boxes3DHead
from scenekit_plugins.boxes3d.priors import prepared
from scenekit_plugins.boxes3d.recording import record_boxes3d
from scenekit_plugins.class_option import applying_to
from scenekit_plugins.depth_samples import DEPTH_INPUT


def _configured(spec: TaskSpec, config: Boxes3DConfig) -> TaskSpec:
    """Return the record as the options make it: for some classes alone, without depth if it is not asked for."""
    spec = applying_to(spec, config.classes)
    return spec if config.refine else replace(spec, inputs={})


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `boxes3d`."""
    yield TaskSpec(
        name="boxes3d",
        summary="oriented boxes in metres, in the camera frame",
        provides=(BOXES3D,),
        build=Boxes3DHead,
        config=Boxes3DConfig,
        learns_from=(BOXES3D,),
        evaluator=Boxes3DEvaluator,
        draw=on_canvas(draw_boxes3d),
        draw_apart=True,
        views={"birds-eye": draw_birds_eye},
        record=record_boxes3d,
        prepare=prepared,
        inputs={DEPTH_INPUT: (MASKS,)},
        configure=_configured,
        relabel=relabeled,
        static=True,
    )
