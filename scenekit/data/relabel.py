"""Labels of one vocabulary in terms of another, by name.

Letters: N objects, A attributes, K keypoints, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.selecting import keep_regions
from scenekit.keys import ATTRIBUTES, KEYPOINTS, OBJECTS, PANOPTIC, RELATIONS, SEMANTIC, Key
from scenekit.structures.fields import IGNORE
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.panoptic import Panoptic
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary


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


def translation(old: Sequence[str], new: Sequence[str]) -> Int[Tensor, " n"]:
    """`[i]`: the place in `new` of the i-th name of `old`, -1 where it is missing."""
    place = {name: index for index, name in enumerate(new)}
    return torch.tensor([place.get(name, -1) for name in old], dtype=torch.int64)


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
    predicate = translation(old.predicates, new.predicates)[relations.predicate]
    kept = predicate >= 0
    score = None if relations.score is None else relations.score[kept]
    return Relations(relations.subject[kept], relations.object[kept], predicate[kept], score)


def _attributes(value: Float[Tensor, "N A"], old: Vocabulary, new: Vocabulary) -> Float[Tensor, "N _"]:
    """Attributes that the annotator does not know are NaN: neither there nor absent."""
    table = translation(new.attributes, old.attributes)
    return torch.where(table >= 0, value[:, table.clamp(min=0)], torch.nan)


def _keypoints(keypoints: Keypoints, old: Vocabulary, new: Vocabulary) -> Keypoints:
    """Points in the order of the new skeleton; those that the old one lacks are absent."""
    if old.skeleton is None or new.skeleton is None or old.skeleton.points == new.skeleton.points:
        return keypoints
    table = translation(new.skeleton.points, old.skeleton.points)
    picked = table.clamp(min=0)
    return Keypoints(keypoints.xy[:, picked], keypoints.visibility[:, picked] * (table >= 0))


_TRANSLATE: Mapping[Key[Any, Any], Callable[[Any, Vocabulary, Vocabulary], Any]] = {
    SEMANTIC: _semantic,
    PANOPTIC: _panoptic,
    RELATIONS: _relations,
    ATTRIBUTES: _attributes,
    KEYPOINTS: _keypoints,
}
"""Keys whose values speak of the vocabulary; all others mean the same everywhere."""
