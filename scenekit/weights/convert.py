"""Conversion of other libraries' checkpoints by the installed weight sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from scenekit.backbones.state import read_state
from scenekit.config import Config, validated
from scenekit.errors import InputError, nearest
from scenekit.hooks import DetectorSpec, TaskSpec, WeightSource, naming_plugin, registry
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures.image_classes import IMAGE_CLASSES
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights.checkpoint import without_pretrained

BACKGROUND_LABEL = "???"
"""What stands for background in the label files of TensorFlow, in the first line."""


def convert(
    source: str, checkpoint: str | Path, labels: Sequence[str] | None = None, entry: str | None = None
) -> SceneModel:
    """Convert a checkpoint of another library.

    ```python
    model = scenekit.weights.convert("detectron2/mask_rcnn_R_50_FPN_3x", "model_final.pkl")
    ```

    Args:
        source: "prefix" or "prefix/name" of an installed weight source.
        checkpoint: Path of the checkpoint.
        labels: Other class names, in the order of the file: those of the things, or of things and stuff, or of images
            where the network classifies these alone. A first one of "???" is background, as in TensorFlow's label
            files.
        entry: Name under which a PyTorch file has the weights, such as "model_ema"; None for the average where there
            is one, and else for the weights.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the source, the file or the entry does not exist, the file is damaged or of another network, or
            the number of labels differs.
    """
    prefix, _, name = source.partition("/")
    reader = weight_source(prefix)
    if reader.convert is None:
        raise InputError(f"the weights of {prefix!r} are loaded by name, not converted from files; use {prefix}/NAME")
    path = Path(checkpoint)
    if not path.is_file():
        raise InputError(f"{path}: {'expected a file, got a folder' if path.is_dir() else 'no such file'}")
    with naming_plugin(reader), _alone(path, entry) as file:
        model = reader.convert(name, file)
    return (model if labels is None else renamed(model, labels)).eval()


@contextmanager
def _alone(path: Path, entry: str | None) -> Iterator[Path]:
    """Store the weights under a name in a temporary file of their own, which a source of any plugin can read."""
    if entry is None:
        yield path
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        torch.save(read_state(path, entry=entry), file)
        try:
            yield file
        except InputError as error:
            raise InputError(str(error).replace(str(file), f"{path} ({entry})")) from error


def weight_source(prefix: str) -> WeightSource:
    """Return an installed weight source.

    Args:
        prefix: Name of the source.

    Returns:
        The source.

    Raises:
        InputError: If no such source is installed; the message names the nearest one.
    """
    known = registry().names("weights")
    if prefix not in known:
        raise InputError(f"unknown source of weights {prefix!r}{nearest(prefix, known)}")
    source: WeightSource = registry().get("weights", prefix)
    return source


def renamed(model: SceneModel, labels: Sequence[str]) -> SceneModel:
    """Return the same model with other class names.

    Args:
        model: The model.
        labels: As for `with_labels`, in the order of the model.

    Returns:
        The model; skeletons, flip pairs, and options of detector and tasks that name classes are kept.

    Raises:
        InputError: If the number of labels differs.
    """
    vocabulary = with_labels(model.vocabulary, labels)
    names = dict(zip(model.vocabulary.labels, vocabulary.labels, strict=True))
    with_other_names = build(_relabeled(without_pretrained(model.config), names), vocabulary)
    with_other_names.load_state_dict(model.state_dict())
    return with_other_names


def _relabeled(config: ModelConfig, names: Mapping[str, str]) -> ModelConfig:
    """Return a configuration whose detector and tasks have other class names in their options."""
    tasks = {
        name: _with_names(registry().get("task", name), options, names, f"task {name!r}")
        for name, options in config.tasks.items()
    }
    if config.detector is None:
        return config.model_copy(update={"tasks": tasks})
    detector = registry().get("detector", config.detector)
    options = _with_names(detector, config.detector_options, names, "model.detector_options")
    return config.model_copy(update={"tasks": tasks, "detector_options": options})


def _with_names(
    spec: TaskSpec | DetectorSpec, options: Mapping[str, Any], names: Mapping[str, str], place: str
) -> dict[str, Any]:
    if spec.relabel is None:
        return dict(options)
    relabeled: Config = spec.relabel(validated(spec.config, options, place), names)
    return relabeled.model_dump(mode="json", exclude_unset=True)


def with_labels(vocabulary: Vocabulary, labels: Sequence[str]) -> Vocabulary:
    """Return a vocabulary with other class names.

    Args:
        vocabulary: The vocabulary.
        labels: Names of the things, or of things and stuff, in the vocabulary's order, behind background where that
            is named; of a vocabulary that has only classes of images, their names.

    Returns:
        The renamed vocabulary.

    Raises:
        InputError: If the number of labels differs.
    """
    if not vocabulary.labels and IMAGE_CLASSES in vocabulary.lists:
        return _with_image_classes(vocabulary, labels)
    things, stuff = vocabulary.things, vocabulary.stuff
    if [*labels[:1]] == [BACKGROUND_LABEL]:
        labels = labels[1:]
    if len(labels) not in (len(things), len(things) + len(stuff)):
        more = f" (or {len(things) + len(stuff)}, with the stuff)" if stuff else ""
        raise InputError(f"the checkpoint has {len(things)} classes; expected as many labels{more}, got {len(labels)}")
    names = dict(zip(things, labels, strict=False))
    return replace(
        vocabulary,
        things=tuple(labels[: len(things)]),
        stuff=tuple(labels[len(things) :]) or stuff,
        skeletons={names[thing]: skeleton for thing, skeleton in vocabulary.skeletons.items()},
        symmetry={names[thing]: order for thing, order in vocabulary.symmetry.items()},
    )


def _with_image_classes(vocabulary: Vocabulary, labels: Sequence[str]) -> Vocabulary:
    count = len(vocabulary.lists[IMAGE_CLASSES])
    if len(labels) != count:
        raise InputError(f"the checkpoint has {count} classes of images; expected as many labels, got {len(labels)}")
    return replace(vocabulary, lists={**vocabulary.lists, IMAGE_CLASSES: tuple(labels)})
