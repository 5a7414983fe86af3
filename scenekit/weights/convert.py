"""Checkpoints of other libraries become models of scenekit; what is inside them is the business of plugins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scenekit.errors import InputError, nearest
from scenekit.hooks import WeightSource, registry
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights.checkpoint import without_pretrained


def convert(source: str, checkpoint: str | Path, labels: Sequence[str] | None = None) -> SceneModel:
    """The model that `checkpoint` holds, ready for inference.

    `source` is "prefix" or "prefix/name" of an installed weight source. `labels` give the classes other names, in the
    order of the file: those of the things, or of things and stuff. Raises InputError for a source or a file that is not
    there, for a file that is damaged or of another network, and for another number of labels.
    """
    prefix, _, name = source.partition("/")
    reader = weight_source(prefix)
    if reader.convert is None:
        raise InputError(f"the weights of {prefix!r} are loaded by name, not converted from files: use {prefix}/NAME")
    path = Path(checkpoint)
    if not path.is_file():
        raise InputError(f"{path}: {'a file is expected, this is a folder' if path.is_dir() else 'no such file'}")
    model = reader.convert(name, path)
    return (model if labels is None else renamed(model, labels)).eval()


def weight_source(prefix: str) -> WeightSource:
    """The installed source of that prefix; InputError with the nearest one where there is none."""
    known = registry().names("weights")
    if prefix not in known:
        raise InputError(f"unknown source of weights {prefix!r}{nearest(prefix, known)}")
    source: WeightSource = registry().get("weights", prefix)
    return source


def renamed(model: SceneModel, labels: Sequence[str]) -> SceneModel:
    """The same model with other names for its classes; skeletons and mirror pairs stay where they were."""
    vocabulary = with_labels(model.vocabulary, labels)
    with_other_names = build(without_pretrained(model.config), vocabulary)
    with_other_names.load_state_dict(model.state_dict())
    return with_other_names


def with_labels(vocabulary: Vocabulary, labels: Sequence[str]) -> Vocabulary:
    """`vocabulary` with other names for its things, or for its things and stuff."""
    things, stuff = vocabulary.things, vocabulary.stuff
    if len(labels) not in (len(things), len(things) + len(stuff)):
        more = f" (or {len(things) + len(stuff)}, with the stuff)" if stuff else ""
        raise InputError(f"the file knows {len(things)} classes: as many labels{more} are expected, got {len(labels)}")
    names = dict(zip(things, labels, strict=False))
    return replace(
        vocabulary,
        things=tuple(labels[: len(things)]),
        stuff=tuple(labels[len(things) :]) or stuff,
        skeletons={names[thing]: skeleton for thing, skeleton in vocabulary.skeletons.items()},
        symmetry={names[thing]: order for thing, order in vocabulary.symmetry.items()},
    )
