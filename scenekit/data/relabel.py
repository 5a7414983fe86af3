"""Labels of one vocabulary in terms of another, by name."""

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
"""How many words a message spells out."""


def relabeled(sample: Sample, vocabulary: Vocabulary) -> Sample:
    """The same ground truth in the words of `vocabulary`; what it has no word for is left out (or IGNORE)."""
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


def check_words(
    sample: Sample, vocabulary: Vocabulary, keys: Collection[Key[Any, Any]], *, strict: bool = False
) -> None:
    """Say which words of the sample's labels `vocabulary` lacks, and the other way round; once for each difference.

    Told are those of what the sample supervises and `keys` name. `strict` raises InputError where labels get lost.
    """
    old, claims = sample.scene.vocabulary, sample.supervision
    if old == vocabulary:
        return
    learned = {*claims.keys, *claims.streams} & {*keys}
    spoken = {kind for key in learned for kind in (("things",) if key == OBJECTS else key.field.lists)}
    for kind in (*BUILT_IN_LISTS, *sorted({*old.lists, *vocabulary.lists})):
        if kind in spoken:
            theirs, ours = names_if_any(old, kind), names_if_any(vocabulary, kind)
            if lost := _lacking(theirs, ours):
                _lose(f"the data set has {kind} that the model does not know: {lost}; they are left out", strict)
            if unlabelled := _lacking(ours, theirs):
                told = "they count as not found in mean recall" if kind == "predicates" else "they are not measured"
                warn_once(_log, f"the model knows {kind} that the data set does not have: {unlabelled}; {told}")


def _lacking(names: Sequence[str], known: Collection[str]) -> str:
    """The names that are not known, the first of them spelled out; empty where all are."""
    there = set(known)
    missing = [name for name in names if name not in there]
    return listed(map(repr, missing), SHOWN)


def _lose(message: str, strict: bool) -> None:
    if strict:
        raise InputError(f"{message}; use a model that knows them, or be less strict")
    warn_once(_log, message)
