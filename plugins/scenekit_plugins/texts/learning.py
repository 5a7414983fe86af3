"""Which texts a tokenizer is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scenekit.errors import InputError
from scenekit.scene import Scene
from scenekit_plugins.texts.config import TokenizerConfig
from scenekit_plugins.texts.tokenizer import grown, trained


def with_flips(texts: Iterable[Sequence[Sequence[str]]], scene: Scene) -> Iterator[str]:
    """Yield the texts of a scene, as they are and flipped.

    Args:
        texts: The texts of several values, by row.
        scene: The scene, whose vocabulary knows how to flip them.

    Yields:
        The texts.
    """
    for text in (text for rows in texts for row in rows for text in row):
        yield text
        if (mirrored := scene.vocabulary.mirror_text(text)) != text:
            yield mirrored


def fitted(config: TokenizerConfig, texts: Iterator[str], missing: str) -> TokenizerConfig:
    """Return the options with the tokenizer of texts; known words keep their numbers.

    Args:
        config: Options of the tokenizer.
        texts: The texts.
        missing: The error message where there are none.

    Returns:
        The completed options.

    Raises:
        InputError: If texts are needed and there are none, or a pretrained tokenizer cannot be loaded.
    """
    if config.stored is None:
        stored = trained(config, () if config.name is not None else _some(texts, missing))
    elif config.grow:
        stored = grown(config.stored, config, _some(texts, missing))
    else:
        return config
    return config.model_copy(update={"stored": stored})


def _some(texts: Iterator[str], missing: str) -> Iterator[str]:
    """Yield the same texts; raise InputError if there are none."""
    first = next(texts, None)
    if first is None:
        raise InputError(missing)
    yield first
    yield from texts
