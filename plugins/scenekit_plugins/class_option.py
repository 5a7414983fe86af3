"""Tasks whose options name the things that they apply to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from scenekit.errors import InputError, nearest
from scenekit.hooks import TaskSpec
from scenekit.structures import Vocabulary


def applying_to(spec: TaskSpec, classes: Sequence[str] | None) -> TaskSpec:
    """Return the record of a task that applies to some things alone.

    Args:
        spec: The record.
        classes: Names of the things; None to leave the record as it is.

    Returns:
        The changed record.
    """
    return spec if classes is None else replace(spec, applies_to=partial(labels_of, classes, spec.name))


def labels_of(classes: Sequence[str], task: str, vocabulary: Vocabulary) -> tuple[int, ...]:
    """Return the labels of things.

    Args:
        classes: Names of the things.
        task: Name of the task, for messages.
        vocabulary: The vocabulary.

    Returns:
        Their labels.

    Raises:
        InputError: If the vocabulary has no such thing.
    """
    for name in classes:
        if name not in vocabulary.things:
            raise InputError(f"{task}.classes: the vocabulary has no thing {name!r}{nearest(name, vocabulary.things)}")
    return tuple(vocabulary.things.index(name) for name in classes)
