"""Batches for training, loaded by worker processes in an order that any step can resume."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from scenekit.data.checks import checked
from scenekit.data.collate import collate
from scenekit.data.datasets import SampleSet
from scenekit.data.mixing import Draw, batches, draws
from scenekit.data.sample import Sample
from scenekit.data.skipping import Skipped, SkippedSamples, candidates, skipping
from scenekit.data.transforms import RandomCrop, Transform, apply_all, rng_for
from scenekit.errors import InputError, PluginError
from scenekit.hooks import naming_plugin
from scenekit.keys import Key
from scenekit.model.targets import Targets
from scenekit.recipe import InputConfig
from scenekit.structures.images import ImageBatch
from scenekit.structures.vocabulary import Vocabulary

Packed: TypeAlias = tuple[ImageBatch, Targets]
Collate: TypeAlias = Callable[..., Packed]

SEED_BITS = 62


@dataclass(frozen=True)
class Source:
    """A data set of a mixture."""

    data: SampleSet
    """The data set."""
    name: str = "the data set"
    """Its name in messages."""
    weight: float = 1.0
    """Its share of the samples, relative to the other weights."""


@dataclass(frozen=True)
class Shard:
    """The batches that one process loads."""

    start: int
    """The first batch."""
    stop: int
    """The batch behind the last one."""
    rank: int = 0
    """The number of the process."""
    world: int = 1
    """The number of processes."""


@dataclass(frozen=True)
class Loaded:
    """A batch, or the error that there is instead."""

    batch: Packed | InputError | PluginError
    """The batch; the error is not raised, so that it crosses the border of a worker process unchanged."""
    skipped: Sequence[Skipped] = ()
    """Samples that others stand in for."""


@dataclass(frozen=True)
class BatchSet(Dataset[Loaded]):
    """The batch of each list of draws; also a data set that would end the program gives an error instead."""

    sources: Sequence[Source]
    """The data sets."""
    transforms: Sequence[Transform]
    """Augmentations, in order."""
    keys: frozenset[Key[Any, Any]]
    """The keys that the model learns from."""
    pack: Collate
    """Packs samples with their seeds."""
    seed: int
    """The seed of the run."""
    strict: bool = False
    """Whether to refuse samples that cannot be read, and invalid annotations."""

    def __getitem__(self, batch: list[Draw]) -> Loaded:
        """Load, check, augment and pack; what is random depends on (seed, epoch, source, index) alone."""
        seeds = [self._rng(draw, "sampling").getrandbits(SEED_BITS) for draw in batch]
        skipped: list[Skipped] = []
        try:
            return Loaded(self.pack([self._sample(draw, skipped) for draw in batch], seeds=seeds), skipped)
        except (InputError, PluginError) as error:
            return Loaded(error, skipped)

    def _sample(self, draw: Draw, skipped: list[Skipped]) -> Sample:
        sample = self._usable(draw, skipped)
        return apply_all(self.transforms, sample, self._rng(draw, "augment"))

    def _usable(self, draw: Draw, skipped: list[Skipped]) -> Sample:
        """Return the sample of a draw, or the first usable one of those that stand in for it."""
        source = self.sources[draw.source]
        for index in candidates(draw.index, len(source.data), self.seed, draw.epoch, draw.source):
            with skipping(source.name, index, skipped.append, strict=self.strict):
                with naming_plugin(None, f"in data set {source.name}"):
                    sample = source.data[index]
                sample = _trimmed(sample, self.keys, self.transforms)
                return checked(sample, origin=source.name, strict=self.strict)
        raise InputError(f"{skipped[-1]}; no other sample that was tried in its place can be used")

    def _rng(self, draw: Draw, purpose: str) -> random.Random:
        return rng_for(self.seed, draw.epoch, draw.index, f"{purpose}/{draw.source}")


@dataclass(frozen=True)
class Order(Sampler[list[Draw]]):
    """The draws of each batch of one process."""

    lengths: Sequence[int]
    """The number of samples of each data set."""
    weights: Sequence[float]
    """The weight of each data set."""
    seed: int
    """The seed of the run."""
    size: int
    """Samples per batch of one process."""
    shard: Shard
    """The batches of the process."""

    def __iter__(self) -> Iterator[list[Draw]]:
        shard = self.shard
        order = draws(self.lengths, self.weights, self.seed)
        return batches(order, self.size, start=shard.start, stop=shard.stop, rank=shard.rank, world=shard.world)

    def __len__(self) -> int:
        return self.shard.stop - self.shard.start


def training_batches(
    sources: Sequence[Source],
    *,
    model: Any,
    transforms: Sequence[Transform],
    batch_size: int,
    seed: int,
    shard: Shard,
    workers: int = 0,
    strict: bool = False,
    skipped: SkippedSamples | None = None,
) -> Iterator[Packed]:
    """Yield batches with targets for training a model.

    Args:
        sources: The data sets of the mixture.
        model: The model; its vocabulary, configuration and `learns_from` decide what is packed.
        transforms: Augmentations, in order.
        batch_size: Samples per batch of one process.
        seed: The seed of the run.
        shard: The batches of the process.
        workers: The number of worker processes; 0 loads in this process.
        strict: Whether to refuse samples that cannot be read, and invalid annotations.
        skipped: Where samples are added that turn out unusable, and that others of their data set stand in for.

    Yields:
        A batch and its targets.

    Raises:
        InputError: A sample or an annotation is invalid and `strict` is set, or too many samples are unusable.
    """
    skipped = SkippedSamples(sum(len(source.data) for source in sources)) if skipped is None else skipped
    data = BatchSet(sources, transforms, frozenset(model.learns_from), Packer.of(model), seed, strict)
    order = Order([len(s.data) for s in sources], [s.weight for s in sources], seed, batch_size, shard)
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(seed),  # else starting the workers would move torch's global state
    )
    for loaded in loader:
        for sample in loaded.skipped:
            skipped.add(sample)
        if isinstance(loaded.batch, InputError | PluginError):
            raise loaded.batch
        yield loaded.batch


@dataclass(frozen=True)
class Packer:
    """`collate` for one model; a class, so that worker processes that are spawned can receive it."""

    vocabulary: Vocabulary
    """The vocabulary of the model."""
    keys: tuple[Key[Any, Any], ...]
    """The keys that it learns from."""
    config: InputConfig
    """How images enter the network."""
    inputs: tuple[str, ...] = ()
    """The modalities that it reads."""

    @classmethod
    def of(cls, model: Any) -> Packer:
        """Create the packer of a model.

        Args:
            model: The model.

        Returns:
            The packer.
        """
        return cls(model.vocabulary, tuple(model.learns_from), model.config.input, tuple(model.inputs))

    def __call__(self, samples: Sequence[Sample], seeds: Sequence[int]) -> Packed:
        """Pack samples of network size."""
        return collate(
            samples,
            vocabulary=self.vocabulary,
            keys=self.keys,
            config=self.config,
            seeds=seeds,
            inputs=self.inputs,
        )


def _trimmed(sample: Sample, keys: Collection[Key[Any, Any]], transforms: Sequence[Transform]) -> Sample:
    """Return the sample without values that are not used, so that no time goes into transforming them.

    After a crop boxes are drawn around what is left of values that bound their regions, such as masks.
    """
    crops = any(isinstance(transform, RandomCrop) for transform in transforms)
    values = {
        key: value for key, value in sample.scene.values.items() if key in keys or (crops and key.field.bounds_regions)
    }
    frames = tuple(_trimmed(frame, keys, transforms) for frame in sample.frames)
    return replace(sample, scene=replace(sample.scene, values=values), frames=frames)


def _as_it_is(packed: Any) -> Any:
    return packed
