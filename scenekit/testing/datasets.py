"""The contract of data sets."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from scenekit.data.checks import checked
from scenekit.data.clip import Clip
from scenekit.data.clips import is_clips
from scenekit.data.collate import collate
from scenekit.data.datasets import SampleSet
from scenekit.data.sample import Sample, Supervision
from scenekit.data.scenes import SceneSet
from scenekit.data.transforms import RandomCrop, RandomFlip, Resize, rng_for
from scenekit.errors import InputError, PluginError, nearest
from scenekit.hooks import DatasetSpec
from scenekit.hooks.options import check_options
from scenekit.keys import Key, Stream
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary
from scenekit.testing.check import RuleError, SkipError, check, report_of
from scenekit.testing.compare import difference
from scenekit.testing.report import Report
from scenekit.testing.toy_core import MODEL

SAMPLES = 3
"""How many samples are looked at, spread evenly over the data set."""


@dataclass(frozen=True, eq=False)
class DatasetBench:
    """The data set under check, the numbers of the samples that are looked at, and what the builder returned."""

    data: SampleSet
    indices: Sequence[int]
    source: object = None

    @cached_property
    def samples(self) -> list[Sample]:
        """The samples, read once."""
        return self.read()

    def read(self) -> list[Sample]:
        """Read the samples."""
        return [self.data[index] for index in self.indices]


def check_dataset(
    spec: DatasetSpec,
    *,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    skip_missing: bool = False,
) -> Report:
    """Check some samples of a data set against the rules that training and evaluation rely on.

    `scenekit doctor data` looks at what is annotated; this looks at whether the data set is one at all.

    Args:
        spec: Record of the data set.
        split: Which part of it; its first one, if None.
        options: For its `build`.
        only: Names of the checks to run; all, if None.
        skip_missing: Whether a data set that cannot be opened, for want of its files or options, is skipped.

    Returns:
        Every broken rule with the reason and the remedy, what passed and what was skipped.

    Raises:
        InputError: For unknown checks, and an unknown split.
    """
    part = spec.splits[0] if split is None else split
    if part not in spec.splits:
        raise InputError(f"data set {spec.name!r} has no split {part!r}{nearest(part, spec.splits)}")

    def bench() -> DatasetBench:
        try:
            valid = check_options(spec.build, options or {}, f"data set {spec.name!r}", reserved=("split",))
            source: object = spec.build(split=part, **valid)
        except InputError as error:
            if skip_missing:
                raise SkipError(str(error)) from error
            raise
        data: object = source.samples if is_clips(source) else source
        if not isinstance(data, SampleSet):
            kind = type(data).__name__
            raise PluginError(f"`build` must return an object with `vocabulary`, len() and samples, got {kind}")
        count = min(SAMPLES, len(data))
        if not count:
            raise PluginError(f"the split {part!r} has no samples")
        return DatasetBench(data, [place * len(data) // count for place in range(count)], source)

    remedy = "see the error; `build(split=..., **options)` must return a data set; set its options with --set"
    return report_of("dataset", spec.name, bench, DATASET_CHECKS, only, remedy)


@check(
    "return `sk.Sample(image, scene, supervision, id)`: image uint8 [3 H W], scene.size (H, W), id a whole number",
    essential=True,
)
def samples(bench: DatasetBench) -> None:
    """Every item is a Sample whose scene has the size of its image and the vocabulary of the data set."""
    if not isinstance(bench.data.vocabulary, Vocabulary):
        raise RuleError(f"`vocabulary` must be a sk.Vocabulary, got a {type(bench.data.vocabulary).__name__}")
    for index, item in zip(bench.indices, bench.samples, strict=True):
        if fault := _fault_of(item):
            raise RuleError(f"sample {index}: {fault}")
        if item.scene.vocabulary.things != bench.data.vocabulary.things:
            raise RuleError(f"sample {index}: its scene has another vocabulary than the data set")


def _fault_of(item: object) -> str | None:
    """Return what keeps an item from being a sample; None where nothing does."""
    if not isinstance(item, Sample):
        return f"a {type(item).__name__}, expected a sk.Sample"
    if not isinstance(item.scene, Scene) or not isinstance(item.supervision, Supervision):
        return "`scene` must be a sk.Scene and `supervision` a sk.Supervision"
    image = item.image
    if not isinstance(image, torch.Tensor) or image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] != 3:
        return "the image must be a uint8 tensor [3 H W]"
    if item.scene.size != tuple(image.shape[1:]):
        return f"the scene is of an image of {list(item.scene.size)} pixels, this one has {list(image.shape[1:])}"
    return None if isinstance(item.id, int) else f"`id` must be a whole number, got {item.id!r}"


@check("derive randomness from the index alone; augmentation is the business of training", essential=True)
def repeatable(bench: DatasetBench) -> None:
    """A sample read twice is the same, image and labels."""
    for index, first, second in zip(bench.indices, bench.samples, bench.read(), strict=True):
        if not torch.equal(first.image, second.image):
            raise RuleError(f"sample {index} has another image the second time")
        if differing := difference(first.scene.to_json(), second.scene.to_json()):
            raise RuleError(f"sample {index} has other labels the second time ({differing})")


@check("number the samples, or use the ids of the annotation file")
def ids(bench: DatasetBench) -> None:
    """Every sample has an id of its own."""
    seen: dict[int, int] = {}
    for index, sample in zip(bench.indices, bench.samples, strict=True):
        if sample.id in seen:
            raise RuleError(f"samples {seen[sample.id]} and {index} both have the id {sample.id}")
        seen[sample.id] = index


@check("name in `Supervision` only keys that the scene has, and classes of its vocabulary")
def supervision(bench: DatasetBench) -> None:
    """What a sample supervises is there: its keys, its streams, its classes."""
    for index, sample in zip(bench.indices, bench.samples, strict=True):
        claims, scene = sample.supervision, sample.scene
        if missing := sorted(key.name for key in claims.keys if not isinstance(key, Stream) and key not in scene):
            raise RuleError(f"sample {index} supervises {', '.join(missing)}, which its scene lacks")
        if stray := sorted(stream.name for stream in claims.exhaustive - claims.streams):
            raise RuleError(f"sample {index} is exhaustive for {', '.join(stray)}, which is not among its streams")
        if unknown := sorted(((claims.classes or frozenset()) | claims.partial) - set(scene.vocabulary.things)):
            raise RuleError(f"sample {index} covers {', '.join(unknown)}, which its vocabulary lacks")
        if unknown := sorted((claims.map_classes or frozenset()) - set(scene.vocabulary.labels)):
            raise RuleError(f"maps of sample {index} cover {', '.join(unknown)}, which its vocabulary lacks")


@check("fix the annotations, or let the data set leave them out; `scenekit doctor data` lists them all")
def valid(bench: DatasetBench) -> None:
    """No annotation is impossible: boxes lie in the image, labels are those of the vocabulary, values are valid."""
    for sample in bench.samples:
        try:
            checked(sample, origin="the data set", strict=True)
        except InputError as error:
            raise RuleError(str(error)) from error


@check("let `scene(index)` return the same ground truth as the sample, read without the image")
def scenes(bench: DatasetBench) -> None:
    """Ground truth without the image, where the data set offers it, is that of the sample."""
    if not isinstance(bench.data, SceneSet):
        raise SkipError("it has no method `scene`")
    for index, sample in zip(bench.indices, bench.samples, strict=True):
        if differing := difference(bench.data.scene(index).to_json(), sample.scene.to_json()):
            raise RuleError(f"scene({index}) differs from the ground truth of the sample ({differing})")


@check("give every key of your own a field whose `encode` and `decode` undo each other, in plain JSON values")
def json(bench: DatasetBench) -> None:
    """Ground truth survives Scene.to_json and Scene.from_json."""
    for index, sample in zip(bench.indices, bench.samples, strict=True):
        scene, stored = sample.scene, sample.scene.to_json()
        again = Scene.from_json(stored)
        if differing := difference(again.to_json(), stored):
            raise RuleError(f"the scene of sample {index} changes on its way through JSON ({differing})")
        for key in scene.values:
            if differing := difference(*(_carried(one, key) for one in (scene, again))):
                raise RuleError(f"{key.name!r} of sample {index} comes back from JSON as something else ({differing})")


def _carried(scene: Scene, key: Key[Any, Any]) -> Any:
    """Return the value of a key, of a stream's key the rows that carry it."""
    return scene[key] if key.of is None else key.field.select(scene[key], scene.rows_with(key).nonzero()[:, 0])


@check("keep open files, locks and lambdas out of the data set's attributes; open files when a sample is read")
def workers(bench: DatasetBench) -> None:
    """It can be pickled, as worker processes receive it, and then gives the same samples."""
    again: SampleSet = pickle.loads(pickle.dumps(bench.data))
    index = bench.indices[0]
    if len(again) != len(bench.data) or not torch.equal(again[index].image, bench.samples[0].image):
        raise RuleError("what arrives in a worker process gives other samples")


@check("see the error; fields of keys of your own must follow a crop, a resize and a flip, and be packable")
def training(bench: DatasetBench) -> None:
    """Samples can be cropped, flipped, resized and packed into a batch."""
    moves = (RandomCrop(), RandomFlip(p=1.0), Resize(MODEL.input))
    batch = [checked(sample) for sample in bench.samples]
    for move in moves:
        batch = [move(sample, rng_for(0, 0, sample.id)) for sample in batch]
    keys = list(dict.fromkeys(key for sample in batch for key in sorted(sample.supervision.keys, key=lambda k: k.name)))
    images, _ = collate(batch, vocabulary=bench.data.vocabulary, keys=keys, config=MODEL.input)
    if len(images) != len(batch):
        raise RuleError(f"{len(batch)} samples make a batch of {len(images)} images")


@check("raise IndexError in __getitem__ for numbers from len() on")
def ends(bench: DatasetBench) -> None:
    """A loop over the data set ends: a number beyond its length is an IndexError."""
    try:
        bench.data[len(bench.data)]
    except IndexError:
        return
    raise RuleError(f"data[{len(bench.data)}] gives a sample although there are {len(bench.data)} only")


@check("return `sk.Clip`s with increasing moments, distinct ids in each frame, and events on the clock of the moments")
def clips(bench: DatasetBench) -> None:
    """A data set of clips gives clips, whose frames are in order and whose objects have ids of their own."""
    if not is_clips(bench.source):
        raise SkipError("it has single images")
    clip: object = bench.source[0]
    if not isinstance(clip, Clip):
        raise RuleError(f"item 0 is a {type(clip).__name__}, expected a sk.Clip")
    times = [frame.moment.time for frame in clip.frames if frame.moment is not None]
    if len(times) != len(clip) or times != sorted(set(times)):
        raise RuleError("the frames of clip 0 have no moments, or their times do not increase")
    for row, scene in enumerate(clip.scenes):
        if len(set(scene.objects.ids.tolist())) != len(scene.objects):
            raise RuleError(f"two objects of frame {row} of clip 0 have the same id")
    if len(clip.events) and not times[0] <= float(clip.events.spans.min()) <= times[-1]:
        raise RuleError(f"events of clip 0 begin outside its frames, which last from {times[0]:g} to {times[-1]:g} s")


DATASET_CHECKS = (samples, repeatable, ids, supervision, valid, scenes, json, workers, training, ends, clips)
"""All checks of a data set, in order."""
