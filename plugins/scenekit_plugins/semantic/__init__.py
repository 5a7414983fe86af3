"""Semantic segmentation: a label for every pixel, by one of four decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from scenekit.hooks import Coverage, TaskSpec, hookimpl
from scenekit.keys import FEATURES, SEMANTIC
from scenekit.model.head import Core
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.semantic.config import Decoder, SemanticConfig, configured
from scenekit_plugins.semantic.draw import draw_semantic
from scenekit_plugins.semantic.encoder_decoder import EncoderDecoderHead
from scenekit_plugins.semantic.evaluator import SemanticEvaluator
from scenekit_plugins.semantic.full_resolution import FullResolutionHead
from scenekit_plugins.semantic.head import SemanticHead
from scenekit_plugins.semantic.patches import PatchHead
from scenekit_plugins.semantic.pyramid import PyramidHead

DECODERS: Mapping[Decoder, Callable[[Core, SemanticConfig], SemanticHead]] = {
    "pyramid": PyramidHead,
    "patches": PatchHead,
    "full_resolution": FullResolutionHead,
    "encoder_decoder": EncoderDecoderHead,
}


def build(core: Core, config: SemanticConfig) -> SemanticHead:
    """Build the head with the decoder that the options name.

    Args:
        core: What the model has.
        config: Options of the task.

    Returns:
        The head.
    """
    return DECODERS[config.decoder](core, config)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `semantic`."""
    yield TaskSpec(
        name="semantic",
        summary="a label for every pixel, things and stuff",
        provides=(SEMANTIC,),
        build=build,
        config=SemanticConfig,
        requires=(FEATURES,),
        configure=configured,
        learns_from=(SEMANTIC,),
        evaluator=SemanticEvaluator,
        draw=on_canvas(draw_semantic),
        draw_covers=Coverage.IMAGE,
        hub_tag="image-segmentation",
    )
