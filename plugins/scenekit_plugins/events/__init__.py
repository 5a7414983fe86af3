"""Events of clips: when something happens, and what, in words (dense video captioning).

Each frame leaves a grid of cells, pooled from the shared pyramid and its pixels by a stage without weights. The head
reads the cells of all frames: slots in steps of time look at them and become events (Hungarian matching, as in DETR and
PDVC: Wang et al., ICCV 2021), and an LSTM describes what they look at, of which each word sees the cells (Show, Attend
and Tell: Xu et al., ICML 2015).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import EVENTS
from scenekit.metrics.dense_captions.language import language_score
from scenekit.model.head import Core, Provider
from scenekit.scene import Scene
from scenekit_plugins.events.cells import EVENT_CELLS, FrameCells
from scenekit_plugins.events.config import EventConfig
from scenekit_plugins.events.draw import draw_events
from scenekit_plugins.events.evaluator import EventEvaluator
from scenekit_plugins.events.head import EventHead
from scenekit_plugins.texts.learning import fitted, with_flips

NO_EVENTS = "the training data has no described events; add clips with events, or leave the task out"


def stages(core: Core, config: EventConfig) -> Sequence[Provider]:
    """Build the stage that pools the cells of each frame.

    Args:
        core: Channels and levels of the pyramid.
        config: Options of the task.

    Returns:
        The stage.
    """
    return (FrameCells(core, config.level, (config.rows, config.columns), config.parts),)


def configured(spec: TaskSpec, config: EventConfig) -> TaskSpec:
    """Return the record of the task with the evaluator of its language score.

    Args:
        spec: The record.
        config: Options of the task.

    Returns:
        The changed record.

    Raises:
        InputError: If the language score is unknown.
    """
    language_score(config.language_score)
    return replace(spec, evaluator=partial(EventEvaluator, language=config.language_score))


def prepared(config: EventConfig, scenes: Iterable[Scene]) -> EventConfig:
    """Return the options with the tokenizer of the training captions; known words keep their numbers.

    Args:
        config: Options of the task.
        scenes: Ground truth of the training data.

    Returns:
        The completed options.

    Raises:
        InputError: If the data has no events, or a pretrained tokenizer cannot be loaded.
    """
    tokenizer = fitted(config.tokenizer, texts_of(scenes), NO_EVENTS)
    return config if tokenizer is config.tokenizer else config.model_copy(update={"tokenizer": tokenizer})


def texts_of(scenes: Iterable[Scene]) -> Iterator[str]:
    """Yield the captions of all events, as they are and flipped.

    Args:
        scenes: Ground truth.

    Returns:
        The texts.
    """
    for scene in scenes:
        yield from with_flips([scene[EVENTS].captions.texts] if EVENTS in scene else (), scene)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `events`."""
    yield TaskSpec(
        name="events",
        summary="what happens in a clip, when, and a text for each event",
        provides=(EVENTS,),
        requires=(EVENT_CELLS,),
        build=EventHead,
        config=EventConfig,
        learns_from=(EVENTS,),
        loss_weights={"score": 4.0, "text": 3.0},
        evaluator=EventEvaluator,
        draw=draw_events,
        hub_tag="video-text-to-text",
        stages=stages,
        configure=configured,
        prepare=prepared,
    )
