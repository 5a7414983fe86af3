"""Labels of one vocabulary in terms of another, by name.

Letters: N objects, A attributes or predicates, K keypoints, H W pixels; n names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.selection import keep_regions
from scenekit.errors import InputError, listed, warn_once
from scenekit.fields.semantic import IGNORE
from scenekit.keys import ATTRIBUTES, KEYPOINTS, OBJECTS, PANOPTIC, RELATIONS, SEMANTIC, Key
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.panoptic import Panoptic
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary, translation

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
    values = {key: _translated(key, value, old, vocabulary) for key, value in scene.values.items()}
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
    for kind, spoken_by in _SPOKEN_BY.items():
        if spoken_by & {*claims.keys, *claims.streams} & {*keys}:
            theirs, ours = getattr(old, kind), getattr(vocabulary, kind)
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


def _translated(key: Key[Any, Any], value: Any, old: Vocabulary, new: Vocabulary) -> Any:
    translate = _TRANSLATE.get(key)
    return value if translate is None else translate(value, old, new)


def _semantic(labels: Int[Tensor, "H W"], old: Vocabulary, new: Vocabulary) -> Int[Tensor, "H W"]:
    table = torch.cat((translation(old.labels, new.labels), torch.tensor([IGNORE])))
    return table[torch.where(labels == IGNORE, len(table) - 1, labels)]


def _panoptic(panoptic: Panoptic, old: Vocabulary, new: Vocabulary) -> Panoptic:
    table = translation(old.labels, new.labels).tolist()
    segments = tuple(replace(s, label=table[s.label]) for s in panoptic.segments if table[s.label] >= 0)
    known = torch.tensor([segment.id for segment in segments], dtype=panoptic.ids.dtype)
    return Panoptic(torch.where(torch.isin(panoptic.ids, known), panoptic.ids, 0), segments)


def _relations(relations: Relations, old: Vocabulary, new: Vocabulary) -> Relations:
    """Without those that there is no word for; predicates that only the new words have are improbable.

    Labels that a predictor gave the objects anew stay if there are words for all of them.
    """
    predicate = translation(old.predicates, new.predicates)[relations.predicate]
    left = replace(relations, predicate=predicate)[predicate >= 0]
    if left.probabilities is not None:
        table = translation(new.predicates, old.predicates)
        left = replace(left, probabilities=_columns(left.probabilities, table, 0.0))
    if left.labels is None:
        return left
    labels = translation(old.things, new.things)[left.labels]
    if bool((labels < 0).any()):
        return replace(left, labels=None, label_scores=None)
    return replace(left, labels=labels)


def _attributes(value: Float[Tensor, "N A"], old: Vocabulary, new: Vocabulary) -> Float[Tensor, "N _"]:
    """Attributes that the annotator does not know are NaN: neither there nor absent."""
    return _columns(value, translation(new.attributes, old.attributes), torch.nan)


def _columns(value: Float[Tensor, "N A"], table: Int[Tensor, " n"], blank: float) -> Float[Tensor, "N n"]:
    """The columns of a table of places, `blank` where it has -1."""
    return torch.cat((value, value.new_full((len(value), 1), blank)), dim=1)[:, table]


def _keypoints(keypoints: Keypoints, old: Vocabulary, new: Vocabulary) -> Keypoints:
    """Points in the order of the new skeleton; those that the old one lacks are absent."""
    if old.skeleton is None or new.skeleton is None or old.skeleton.points == new.skeleton.points:
        return keypoints
    table = translation(new.skeleton.points, old.skeleton.points)
    picked = table.clamp(min=0)
    return Keypoints(keypoints.xy[:, picked], keypoints.visibility[:, picked] * (table >= 0))


_SPOKEN_BY: Mapping[str, Set[Key[Any, Any]]] = {
    "things": {OBJECTS},
    "stuff": {SEMANTIC, PANOPTIC},
    "predicates": {RELATIONS},
    "attributes": {ATTRIBUTES},
}
"""The keys whose labels use each kind of word."""

_TRANSLATE: Mapping[Key[Any, Any], Callable[[Any, Vocabulary, Vocabulary], Any]] = {
    SEMANTIC: _semantic,
    PANOPTIC: _panoptic,
    RELATIONS: _relations,
    ATTRIBUTES: _attributes,
    KEYPOINTS: _keypoints,
}
"""Keys whose values speak of the vocabulary; all others mean the same everywhere."""
