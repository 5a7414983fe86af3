"""Whether a flip leaves the labels of a sample right."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import warn_once
from scenekit.keys import OBJECTS
from scenekit.structures.sides import FlippedNames
from scenekit.structures.vocabulary import Vocabulary, one_sided_names

_log = logging.getLogger(__name__)


def one_sided(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield names and words that name a side, and that a flip cannot exchange.

    Args:
        sample: The sample.

    Yields:
        The name of the stream or key, and the name or word.
    """
    scene = sample.scene
    if OBJECTS in scene.streams:
        yield from ((OBJECTS.name, name) for name in one_sided_names(scene.objects.labels, "things", scene.vocabulary))
    for key, value in scene.values.items():
        yield from ((key.name, name) for name in key.field.one_sided(value, scene.frame(key)))


def can_be_flipped(sample: Sample) -> bool:
    """Return whether a sample may be flipped: its data set allows it, and all names with a side have a counterpart.

    The first name without a counterpart is logged once.

    Args:
        sample: The sample.

    Returns:
        False where a flip would make a label wrong.
    """
    if not sample.supervision.mirrorable:
        return False
    key, name = next(one_sided(sample), ("", ""))
    if name:
        warn_once(
            _log,
            f"images whose {key} have {name!r} are not flipped: it names a side, and the vocabulary has nothing that it"
            " becomes; add its counterpart to the names, or the pair of words to mirror_words",
        )
    return not name


def flipped_supervision(supervision: Supervision, vocabulary: Vocabulary) -> Supervision:
    """Return what the labels of the flipped image supervise: where left_shoe was annotated, right_shoe is.

    A class without a counterpart is not covered then: what the flipped image has of it was not annotated.

    Args:
        supervision: The supervision of the image.
        vocabulary: The vocabulary of its scene.

    Returns:
        The supervision with the covered classes of the flipped image.
    """
    things, labels = vocabulary.flipped("things"), vocabulary.flipped("labels")
    return replace(
        supervision,
        classes=_flipped_coverage(supervision.classes, things),
        partial=_flipped(supervision.partial, things),
        map_classes=_flipped_coverage(supervision.map_classes, labels),
    )


def _flipped_coverage(covered: frozenset[str] | None, names: FlippedNames) -> frozenset[str] | None:
    """Return what is covered in the flipped image; None for all names."""
    if covered is None and not names.one_sided:
        return None
    return _flipped(frozenset(names.names) if covered is None else covered, names)


def _flipped(found: frozenset[str], names: FlippedNames) -> frozenset[str]:
    lost = {names.names[place] for place in names.one_sided}
    becomes = {name: names.names[place] for name, place in zip(names.names, names.order, strict=True)}
    return frozenset(becomes.get(name, name) for name in found - lost)
