"""Translating labels from one vocabulary to another: by name, or as a label map says."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from typing import Any

from scenekit.data.sample import Sample
from scenekit.errors import InputError, listed, warn_once
from scenekit.keys import OBJECTS, Key
from scenekit.scene import Scene
from scenekit.structures.label_map import LabelMap
from scenekit.structures.vocabulary import BUILT_IN_LISTS, Vocabulary, names_if_any

_log = logging.getLogger(__name__)

SHOWN = 5
"""How many names a message spells out."""


def relabeled(sample: Sample, vocabulary: Vocabulary) -> Sample:
    """Translate the ground truth to another vocabulary, by name.

    Args:
        sample: The sample.
        vocabulary: The vocabulary that its integers shall refer to.

    Returns:
        The sample without labels that `vocabulary` does not name; it covers the things of both vocabularies at most.
    """
    old = sample.scene.vocabulary
    return sample if old == vocabulary else mapped(sample, LabelMap(old, vocabulary))


def mapped(sample: Sample, labels: LabelMap) -> Sample:
    """Translate the ground truth to another vocabulary, in which several names may be one.

    Args:
        sample: The sample.
        labels: What the names of its vocabulary become.

    Returns:
        The sample without labels that become nothing. It covers what the classes become that it covered, without the
        alternatives of its objects, and of what only maps may show; in part, if several things become one of which it
        covered some.
    """
    claims, found = sample.supervision, set(sample.scene.objects.labels.tolist())
    present = {name for label, name in enumerate(labels.old.things) if label in found}
    unseen = labels.old.stuff if OBJECTS in claims.streams else labels.old.labels
    covered = frozenset(name for name in labels.old.things if claims.covers(name))
    classes = _still_covered("things", covered, labels, present)
    partial = labels.classes(claims.partial) | (classes & labels.classes(set(labels.old.things) - covered))
    supervision = replace(
        claims,
        classes=classes - partial,
        partial=partial,
        map_classes=_still_covered("labels", claims.map_classes, labels, present.union(unseen)),
    )
    frames = tuple(mapped(frame, labels) for frame in sample.frames)
    return replace(sample, scene=mapped_scene(sample.scene, labels), supervision=supervision, frames=frames)


def _still_covered(kind: str, covered: frozenset[str] | None, labels: LabelMap, present: Set[str]) -> frozenset[str]:
    """Return what covered names of a list become, without the alternatives of those that an image may show."""
    doubtful = present & labels.alternatives.keys()
    names = labels.old.names(kind) if covered is None else covered
    return labels.classes(names, kind).difference(*(labels.alternatives[name] for name in doubtful))


def mapped_scene(scene: Scene, labels: LabelMap) -> Scene:
    """Translate a scene to another vocabulary, in which several names may be one.

    Args:
        scene: The scene.
        labels: What the names of its vocabulary become.

    Returns:
        The scene without labels that become nothing.
    """
    things = labels.apply("things", scene.objects.labels)
    kept = things >= 0
    if not bool(kept.all()):
        scene = scene.select(OBJECTS, kept)
    objects = replace(scene.objects, labels=things[kept])
    streams = {stream: objects if stream == OBJECTS else regions for stream, regions in scene.streams.items()}
    values = {key: key.field.relabel(value, labels) for key, value in scene.values.items()}
    return replace(scene, vocabulary=labels.new, streams=streams, values=values)


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
