"""Packing samples of any data sets into one batch with its targets.

Letters: G ground-truth regions of all images, B images, C classes (things), L things and stuff, H W padded pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from scenekit.data.relabel import relabeled
from scenekit.data.sample import Sample
from scenekit.data.selection import without_empty
from scenekit.fields.base import ImageField
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.preprocess import pack
from scenekit.model.targets import StreamTruth, Targets
from scenekit.recipe import InputConfig
from scenekit.structures.geometry import Size
from scenekit.structures.images import ClipFrames, ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary


def collate(
    samples: Sequence[Sample],
    *,
    vocabulary: Vocabulary,
    keys: Collection[Key[Any, Any]],
    config: InputConfig,
    seeds: Sequence[int] | None = None,
    inputs: Collection[str] = (),
) -> tuple[ImageBatch, Targets]:
    """Pack samples of network size into a batch and its targets.

    OBJECTS is packed, and every stream that `keys` name or follow. Rows and images without a label for a key are blank
    and not valid. Values of rows that name rows name those of the batch. Regions without area are dropped; regions of a
    class that their data set does not cover count as crowd: neither positives nor negatives.

    Args:
        samples: Images and ground truth, in network pixels; the frames of clips are images of the batch.
        vocabulary: That of the model, which labels are translated to.
        keys: Keys to pack, where some sample supervises them.
        config: How images are normalized and padded.
        seeds: One number per sample, from which its regions are sampled.
        inputs: Modalities to pack, where some sample comes with them.

    Returns:
        The batch and its targets.
    """
    wholes = [relabeled(sample, vocabulary) for sample in samples if sample.frames]
    seeds = None if seeds is None else [*_seeds_of_frames(samples, seeds)]
    of_images = [key for key in keys if not key.of_clip]
    batch, targets = _collated([*_frames(samples)], vocabulary, of_images, config, seeds, inputs)
    values, valid = dict(targets.values), dict(targets.valid)
    for key in (key for key in keys if key.of_clip):
        if any(_supervises(whole, key) for whole in wholes):
            values[key], valid[key] = _pack_images(wholes, key, batch.padded_size)
    return replace(batch, clips=_clips(samples) if wholes else None), replace(targets, values=values, valid=valid)


def _frames(samples: Sequence[Sample]) -> Iterator[Sample]:
    for sample in samples:
        yield from sample.frames or (sample,)


def _seeds_of_frames(samples: Sequence[Sample], seeds: Sequence[int]) -> Iterator[int]:
    """Yield a seed per image: frames of a clip count on from that of the clip."""
    for sample, seed in zip(samples, seeds, strict=True):
        yield from (seed + frame for frame in range(len(sample.frames or (sample,))))


def _clips(samples: Sequence[Sample]) -> tuple[ClipFrames, ...]:
    clips, first = [], 0
    for sample in samples:
        if sample.frames:
            clips.append(ClipFrames(first, sample.times))
        first += len(sample.frames or (sample,))
    return tuple(clips)


def _collated(
    samples: Sequence[Sample],
    vocabulary: Vocabulary,
    keys: Collection[Key[Any, Any]],
    config: InputConfig,
    seeds: Sequence[int] | None,
    inputs: Collection[str],
) -> tuple[ImageBatch, Targets]:
    """Pack images and their targets."""
    streams = _streams(keys)
    samples = [_prepared(sample, vocabulary, streams) for sample in samples]
    batch = pack(
        [sample.image for sample in samples],
        config,
        cameras=[sample.scene.camera for sample in samples],
        seeds=seeds,
        inputs=[sample.inputs for sample in samples],
        names=inputs,
    )
    regions = {stream: _stream_truth(samples, stream, vocabulary) for stream in streams}
    values, valid, covered = {}, {}, {}
    for key in keys:
        if not isinstance(key, Stream) and any(_supervises(sample, key) for sample in samples):
            pack_key = _pack_images if key.of is None else _pack_rows
            values[key], valid[key] = pack_key(samples, key, batch.padded_size)
            if key.of is None and {"things", "stuff"} <= {*key.field.lists}:
                covered[key] = torch.stack([_covered_by_maps(sample, vocabulary) for sample in samples])
    batch = replace(batch, origins=tuple(sample.origin for sample in samples))
    return batch, Targets(regions, values, valid, covered)


def _streams(keys: Collection[Key[Any, Any]]) -> list[Stream]:
    named = (key if isinstance(key, Stream) else key.of for key in keys)
    return list(dict.fromkeys([OBJECTS, *(stream for stream in named if stream is not None)]))


def _prepared(sample: Sample, vocabulary: Vocabulary, streams: Sequence[Stream]) -> Sample:
    """Translate labels to the model's vocabulary and drop regions without area, such as those that a crop cut off."""
    sample = relabeled(sample, vocabulary)
    for stream in streams:
        sample = without_empty(sample, stream)
    return sample


def _supervises(sample: Sample, key: Key[Any, Any]) -> bool:
    return key in sample.supervision.keys and key in sample.scene


def _stream_truth(samples: Sequence[Sample], stream: Stream, vocabulary: Vocabulary) -> StreamTruth:
    parts = [sample.scene.regions(stream) for sample in samples]
    image_index = torch.cat([torch.full((len(part),), index) for index, part in enumerate(parts)])
    labels = torch.cat([part.labels for part in parts])
    covered = torch.stack([_covered(sample, stream, vocabulary) for sample in samples])
    crowd = torch.cat([part.crowd | part.ignore for part in parts])
    if stream == OBJECTS:
        crowd = crowd | ~(covered | _partial(samples, vocabulary))[image_index, labels]
    return StreamTruth(
        regions=Regions(torch.cat([part.boxes for part in parts]).float(), image_index, labels),
        crowd=crowd,
        supervised=torch.tensor([stream in sample.supervision.streams for sample in samples]),
        exhaustive=torch.tensor([_exhaustive(sample, stream) for sample in samples]),
        covered=covered,
    )


def _exhaustive(sample: Sample, stream: Stream) -> bool:
    return stream in sample.supervision.streams & sample.supervision.exhaustive


def _covered(sample: Sample, stream: Stream, vocabulary: Vocabulary) -> Bool[Tensor, " C"]:
    """Return which things the labels of an image cover; of a stream other than OBJECTS all or nothing."""
    claims, things = sample.supervision, vocabulary.things
    labelled = stream in claims.streams
    if stream != OBJECTS:
        return torch.tensor([labelled])
    return _among(things, claims.classes) & ~_among(things, claims.partial) & labelled


def _covered_by_maps(sample: Sample, vocabulary: Vocabulary) -> Bool[Tensor, " L"]:
    return _among(vocabulary.labels, sample.supervision.map_classes)


def _among(names: Sequence[str], covered: Collection[str] | None) -> Bool[Tensor, " _"]:
    """Mark the names that are covered; a vocabulary may have none."""
    return torch.tensor([covered is None or name in covered for name in names], dtype=torch.bool)


def _partial(samples: Sequence[Sample], vocabulary: Vocabulary) -> Bool[Tensor, "B C"]:
    """Return the things of which only some instances are labelled, in each image."""
    return torch.stack([_among(vocabulary.things, sample.supervision.partial) for sample in samples])


def _pack_images(samples: Sequence[Sample], key: Key[Any, Any], size: Size) -> tuple[Any, Bool[Tensor, " B"]]:
    assert isinstance(key.field, ImageField), f"{key.name} follows the image but its field is no ImageField"
    valid = [_supervises(sample, key) for sample in samples]
    items = [
        sample.scene[key] if there else key.field.absent(sample.scene.size)
        for sample, there in zip(samples, valid, strict=True)
    ]
    return key.field.collate(items, size), torch.tensor(valid)


def _pack_rows(samples: Sequence[Sample], key: Key[Any, Any], size: Size) -> tuple[Any, Bool[Tensor, " G"]]:
    assert key.of is not None
    template = next(sample.scene[key] for sample in samples if _supervises(sample, key))
    nothing = key.field.select(template, torch.zeros(0, dtype=torch.int64))
    items, valid, start = [], [], 0
    for sample in samples:
        count = len(sample.scene.regions(key.of))
        if _supervises(sample, key):
            items.append(key.field.remap(sample.scene[key], torch.arange(start, start + count)))
            valid.append(sample.scene.rows_with(key))
        else:
            items.append(key.field.scatter(nothing, torch.zeros(0, dtype=torch.int64), count))
            valid.append(torch.zeros(count, dtype=torch.bool))
        start += count
    return key.field.collate(items, size), torch.cat(valid)
