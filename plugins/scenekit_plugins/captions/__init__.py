"""Dense captions: regions worth describing, and a text for each (Johnson et al., DenseCap, CVPR 2016).

The task provides the stream PHRASES, with objectness, boxes and suppression of its own on the shared trunk, and
describes detected objects by the same head.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from scenekit.detection import DetectorConfig, region_stream, stream_options
from scenekit.hooks import TaskSpec, hookimpl
from scenekit.keys import CAPTIONS, PHRASE_CAPTIONS, PHRASE_PROPOSALS, PHRASES
from scenekit.metrics.dense_captions.language import language_score
from scenekit.model.head import Core, Provider
from scenekit.scene import Scene
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.captions.config import CaptionConfig
from scenekit_plugins.captions.draw import draw_captions
from scenekit_plugins.captions.evaluator import CaptionEvaluator
from scenekit_plugins.captions.head import CaptionHead, described_keys
from scenekit_plugins.texts.learning import fitted, with_flips
from scenekit_plugins.texts.pretrained import architecture

NO_CAPTIONS = (
    "captions: the training data has no captions; add data with phrase_captions or captions, or leave the task out"
)


def stages(core: Core, config: CaptionConfig) -> Sequence[Provider]:
    """Build the stages of PHRASES, if phrases are described.

    They have the detector's options, with limits of detections that suit descriptions.

    Args:
        core: Channels, vocabulary and detector of the model.
        config: Options of the task.

    Returns:
        The stages; none without phrases.
    """
    if not config.phrases:
        return ()
    options = stream_options(core)
    if isinstance(options, DetectorConfig):
        own = {
            "detections": config.max_regions,
            "nms_threshold": config.nms_threshold,
            "score_threshold": config.score_threshold,
        }
        options = options.model_copy(update={"box_head": options.box_head.model_copy(update=own)})
    return region_stream(core, options, PHRASES, PHRASE_PROPOSALS)


def configured(spec: TaskSpec, config: CaptionConfig) -> TaskSpec:
    """Return the record of the task for its options, with the keys that are described.

    Args:
        spec: The record.
        config: Options of the task.

    Returns:
        The changed record.

    Raises:
        InputError: If the language score is unknown.
    """
    keys = described_keys(config)
    language_score(config.language_score)
    evaluator = partial(CaptionEvaluator, language=config.language_score)
    return replace(spec, provides=keys, learns_from=keys, max_regions=config.max_regions, evaluator=evaluator)


def prepared(config: CaptionConfig, scenes: Iterable[Scene]) -> CaptionConfig:
    """Return the options with the tokenizer of the training captions, and the architecture of a pretrained decoder.

    Known words keep their numbers.

    Args:
        config: Options of the task.
        scenes: Ground truth of the training data.

    Returns:
        The completed options.

    Raises:
        InputError: If the data has no captions, or a pretrained tokenizer or decoder cannot be loaded.
    """
    tokenizer, transformer = config.tokenizer, config.transformer
    tokenizer = fitted(tokenizer, texts_of(scenes), NO_CAPTIONS)
    if config.decoder == "transformer" and transformer.weights is not None and transformer.network is None:
        transformer = transformer.model_copy(update={"network": architecture(transformer.weights)})
    return config.model_copy(update={"tokenizer": tokenizer, "transformer": transformer})


def texts_of(scenes: Iterable[Scene]) -> Iterator[str]:
    """Yield all captions, as they are and flipped.

    Args:
        scenes: Ground truth.

    Returns:
        The texts.
    """
    for scene in scenes:
        yield from with_flips((scene[key].texts for key in (PHRASE_CAPTIONS, CAPTIONS) if key in scene), scene)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `captions`."""
    yield TaskSpec(
        name="captions",
        summary="regions that are worth describing, and a text for each",
        provides=(PHRASE_CAPTIONS, CAPTIONS),
        build=CaptionHead,
        config=CaptionConfig,
        learns_from=(PHRASE_CAPTIONS, CAPTIONS),
        evaluator=CaptionEvaluator,
        draw=on_canvas(draw_captions),
        draw_apart=True,
        hub_tag="image-to-text",
        stages=stages,
        configure=configured,
        prepare=prepared,
    )
