"""Relations between objects: scene graphs."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import OBJECTS, RELATIONS
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.relations.config import RelationConfig, configured
from scenekit_plugins.relations.draw import draw_relations
from scenekit_plugins.relations.evaluator import SceneGraphEvaluator
from scenekit_plugins.relations.head import RelationHead


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `relations`."""
    yield TaskSpec(
        name="relations",
        summary="what holds between two objects",
        provides=(RELATIONS,),
        build=RelationHead,
        config=RelationConfig,
        requires=(OBJECTS,),
        learns_from=(RELATIONS, OBJECTS),
        draw=on_canvas(draw_relations),
        draw_apart=True,
        configure=configured,
        evaluator=SceneGraphEvaluator,
    )
