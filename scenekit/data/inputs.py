"""What the images of a data set come with, beside their pixels."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from scenekit.data.datasets import SampleSet
from scenekit.data.sample import Sample
from scenekit.data.scenes import scene_of
from scenekit.errors import InputError, nearest, warn_once
from scenekit.hooks import ModalitySpec
from scenekit.model.modalities import modalities
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputSet:
    """A data set whose samples come with the ground truth that stands for some modalities."""

    data: SampleSet
    """The data set."""
    specs: Sequence[ModalitySpec]
    """The modalities."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""
        return self.data.vocabulary

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        return with_inputs(self.data[index], self.specs)

    def scene(self, index: int) -> Scene:
        """Return the ground truth of one image, without reading the image where the data set can do so.

        Args:
            index: The number of the sample.

        Returns:
            The ground truth.
        """
        return scene_of(self.data, index)


def with_inputs(sample: Sample, specs: Sequence[ModalitySpec]) -> Sample:
    """Add the ground truth that stands for modalities to what an image comes with.

    Args:
        sample: The sample; what it comes with already stays.
        specs: The modalities.

    Returns:
        The sample; without a modality whose ground truth it lacks.
    """
    added: dict[str, Tensor] = {}
    for spec in specs:
        if spec.key is not None and spec.name not in sample.inputs and spec.key in sample.scene:
            value: Tensor = sample.scene[spec.key]
            added[spec.name] = value.float().reshape(spec.channels, *sample.scene.size)
    return replace(sample, inputs={**sample.inputs, **added}) if added else sample


def with_modalities(data: SampleSet, names: Collection[str]) -> SampleSet:
    """Let the images of a data set come with modalities, from the ground truth that stands for them.

    Args:
        data: The data set.
        names: Names of modalities.

    Returns:
        The data set; `data` itself without names.

    Raises:
        InputError: There is no such modality, or no ground truth stands for it.
    """
    return InputSet(data, modalities_named(names)) if names else data


@dataclass(eq=False)
class InputCount:
    """Counts how many samples come with the modalities that were asked for, and warns where that is none."""

    specs: Sequence[ModalitySpec]
    """The modalities."""
    read: Collection[str]
    """What tasks of the model read."""
    counts: Counter[str] = field(default_factory=Counter)
    """Samples by modality."""

    def add(self, sample: Sample) -> None:
        """Count a sample.

        Args:
            sample: The sample.
        """
        self.counts.update(spec.name for spec in self.specs if spec.name in sample.inputs)

    def report(self) -> None:
        """Warn of modalities that change nothing."""
        for name in (spec.name for spec in self.specs):
            if name not in self.read:
                warn_once(_log, f"no task of this model reads {name}: results are those without it")
            elif not self.counts[name]:
                warn_once(_log, f"no image came with {name}: results are those without it")


def modalities_named(names: Collection[str]) -> list[ModalitySpec]:
    """Return modalities that ground truth stands for.

    Args:
        names: Their names.

    Returns:
        The records.

    Raises:
        InputError: There is no such modality, or no ground truth stands for it.
    """
    if isinstance(names, str):
        names = [names]
    known = {name: spec for name, spec in modalities().items() if spec.key is not None}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"inputs: no ground truth stands for a modality {unknown[0]!r}{nearest(unknown[0], known)}")
    return [known[name] for name in dict.fromkeys(names)]
