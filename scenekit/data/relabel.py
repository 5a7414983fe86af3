"""Translating labels from one vocabulary to another, by name."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from scenekit.data.sample import Sample
from scenekit.data.selection import keep_regions
from scenekit.errors import InputError, listed, warn_once
from scenekit.keys import OBJECTS, Key
from scenekit.structures.vocabulary import BUILT_IN_LISTS, Vocabulary, names_if_any, translation

_log = logging.getLogger(__name__)

SHOWN = 5
"""How many names a message spells out."""


def relabeled(sample: Sample, vocabulary: Vocabulary) -> Sample:
    """Translate the ground truth to another vocabulary, by name.

    Args:
        sample: The sample.
        vocabulary: The vocabulary that its integers shall refer to.

    Returns:
        The sample without labels that `vocabulary` does not name.
    """
    old = sample.scene.vocabulary
    if old == vocabulary:
        return sample
    labels = translation(old.things, vocabulary.things)[sample.scene.objects.labels]
    if OBJECTS in sample.scene.streams:
        sample = keep_regions(sample, OBJECTS, labels >= 0)
    scene = sample.scene
    objects = replace(scene.objects, labels=labels[labels >= 0])
    streams = {stream: objects if stream == OBJECTS else regions for stream, regions in scene.streams.items()}
    values = {key: key.field.relabel(value, old, vocabulary) for key, value in scene.values.items()}
    return replace(sample, scene=replace(scene, vocabulary=vocabulary, streams=streams, values=values))


def check_names(
    sample: Sample, vocabulary: Vocabulary, keys: Collection[Key[Any, Any]], *, strict: bool = False
) -> None:
    """Warn of class names that only one of two vocabularies has, once for each difference.

    Only lists of the vocabulary are compared that the supervised ones of `keys` refer to.

    Args:
        sample: A sample of the data set.
        vocabulary: The vocabulary of the model.
        keys: The keys that the model learns from, or that are evaluated.
        strict: Whether to refuse data sets with labels that the model lacks.

    Raises:
        InputError: The model lacks names of the data set, and `strict` is set.
    """
    old, claims = sample.scene.vocabulary, sample.supervision
    if old == vocabulary:
        return
    learned = {*claims.keys, *claims.streams} & {*keys}
    used = {kind for key in learned for kind in (("things",) if key == OBJECTS else key.field.lists)}
    for kind in (*BUILT_IN_LISTS, *sorted({*old.lists, *vocabulary.lists})):
        if kind in used:
            theirs, ours = names_if_any(old, kind), names_if_any(vocabulary, kind)
            if lost := _lacking(theirs, ours):
                _lose(f"the data set has {kind} that the model lacks: {lost}; they are dropped", strict)
            if unlabelled := _lacking(ours, theirs):
                effect = "they count as missed in mean recall" if kind == "predicates" else "they are not measured"
                warn_once(_log, f"the model has {kind} that the data set lacks: {unlabelled}; {effect}")


def _lacking(names: Sequence[str], present: Collection[str]) -> str:
    """Return the missing names, the first of them spelled out; empty where none is missing."""
    others = set(present)
    missing = [name for name in names if name not in others]
    return listed(map(repr, missing), SHOWN)


def _lose(message: str, strict: bool) -> None:
    if strict:
        raise InputError(f"{message}; use a model that has them, or set `strict` to false")
    warn_once(_log, message)
