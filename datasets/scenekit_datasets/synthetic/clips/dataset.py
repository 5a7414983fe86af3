"""Synthetic clips as a data set of scenekit clips, and its frames as samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np
import torch
from torch.utils.data import Dataset

from scenekit.data.clip import Clip
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import MESHES, OBJECTS, PHRASES, VOXELS
from scenekit.scene import Scene
from scenekit.structures import Captions
from scenekit.structures.events import Events
from scenekit.structures.moments import Moment, VideoFrame
from scenekit_datasets.roots import cache_folder
from scenekit_datasets.synthetic.clips.cache import ClipNumber, StoredClip, opened
from scenekit_datasets.synthetic.clips.clip import FRAMES, RATE, SyntheticClip, SyntheticFrame
from scenekit_datasets.synthetic.clips.plan import Change
from scenekit_datasets.synthetic.dataset import (
    KEYS,
    depth_of,
    synthetic_vocabulary,
    to_scene,
    voxels_of,
)
from scenekit_datasets.synthetic.options import checked_keys, checked_length, checked_seed, checked_size
from scenekit_datasets.synthetic.tracer import require_embree

LENGTHS = {"train": 1000, "val": 50, "test": 50}
"""Default number of clips per split; only train may be longer."""

MOST_CLIPS = 10**5
MOST_FRAMES = 1000

CLIP_KEYS = tuple(key for key in KEYS if key not in (MESHES, VOXELS))
"""Labels of every frame; meshes and voxels, which take most of the space, are loaded on request."""

T = TypeVar("T")


class ClipDataset(Dataset[Clip]):
    """Clips of one split, generated when loaded and stored on disk; frames are read one by one.

    Raises InputError for invalid options, and when embree is missing.

    Args:
        split: "train", "val" or "test".
        length: Number of clips; only train may be longer than its default.
        seed: Other numbers give other train clips.
        size: (height, width) of the images in pixels.
        frames: Number of frames of a clip.
        rate: Frames per second.
        keys: Names of the labels to load; all, if None, except "meshes" and "voxels".
        cache: Folder for generated clips; False for none; None for the user's cache folder.
        still: Whether nothing moves but the camera, which then shows the objects from several sides.
        visit: 0, or 1 for a later visit: nothing moves, some objects have been moved, added or removed.
    """

    def __init__(
        self,
        split: str = "train",
        length: int | None = None,
        seed: int = 0,
        size: Sequence[int] = (240, 320),
        frames: int = FRAMES,
        rate: float = RATE,
        keys: Sequence[str] | None = None,
        cache: str | Path | bool | None = None,
        still: bool = False,
        visit: int = 0,
    ) -> None:
        require_embree()
        self.length, self.seed = checked_length("clips", LENGTHS, MOST_CLIPS, split, length), checked_seed(split, seed)
        self.frames, self.rate = _checked_frames(frames, rate)
        self.size, self.keys = (
            checked_size(size),
            CLIP_KEYS if keys is None else checked_keys("clips", keys, KEYS),
        )
        if visit not in (0, 1):
            raise InputError(f"visit must be 0 or 1, got {visit}")
        self.split, self.still, self.visit = split, still, visit
        self.root = cache_folder(cache, "synthetic_clips", "synthetic clips", "they are generated again each time")
        self.vocabulary = synthetic_vocabulary()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        stored = self.stored(index)
        frames = _LastFew(stored.frame)
        return Clip(
            frames=_Lazy(self.frames, lambda row: self._frame(frames(row), row)),
            scenes=_Lazy(self.frames, lambda row: self._scene(frames(row), row)),
            vocabulary=self.vocabulary,
            events=_events(stored),
            name=f"{self.split}/{index:06d}",
        )

    @property
    def samples(self) -> FrameSamples:
        """The frames of all clips, as samples for tasks of images."""
        return FrameSamples(self)

    def changes(self, index: int) -> tuple[Change, ...]:
        """Return what is different at visit 1 from the end of visit 0.

        Args:
            index: Index of the clip.

        Returns:
            The changes; none for visit 0.
        """
        return self.stored(index).changes

    def stored(self, index: int) -> StoredClip:
        """Return a clip as the generator describes it.

        Args:
            index: Index of the clip.

        Returns:
            The clip, whose frames are read when they are needed.
        """
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of a split of {self.length}")
        meshes = MESHES in self.keys or VOXELS in self.keys
        number = ClipNumber(self.seed, index, self.size, self.frames, self.rate, self.still, self.visit, meshes)
        return opened(self.root, number)

    def synthetic(self, index: int) -> SyntheticClip:
        """Return a clip with all its frames in memory.

        Args:
            index: Index of the clip.

        Returns:
            The clip.
        """
        stored = self.stored(index)
        return SyntheticClip(tuple(map(stored.frame, range(self.frames))), stored.events, stored.changes)

    def _frame(self, made: SyntheticFrame, row: int) -> VideoFrame:
        """Return an image with its moment, camera and depth."""
        scene = to_scene(made.scene, self.vocabulary, ())
        return VideoFrame(made.scene.image, _moment(made, row), scene.camera, {"depth": depth_of(made.scene)})

    def _scene(self, made: SyntheticFrame, row: int) -> Scene:
        """Return the ground truth of a frame."""
        scene = to_scene(made.scene, self.vocabulary, self.keys, voxels_of)
        objects = replace(scene.objects, ids=torch.from_numpy(made.ids))
        return replace(scene, streams={**scene.streams, OBJECTS: objects}, moment=_moment(made, row), tracked=True)

    def sample(self, index: int, row: int) -> Sample:
        """Return one frame as a sample.

        Args:
            index: Index of the clip.
            row: Number of the frame.

        Returns:
            The sample.
        """
        made = self.stored(index).frame(row)
        supervision = Supervision(
            keys=frozenset(self.keys),
            streams=frozenset({OBJECTS, PHRASES}),
            exhaustive=frozenset({OBJECTS, PHRASES}),
        )
        image = torch.from_numpy(np.ascontiguousarray(made.scene.image.transpose(2, 0, 1)))
        return Sample(image, self._scene(made, row), supervision, index * self.frames + row)


class FrameSamples(Dataset[Sample]):
    """The frames of clips as samples, clip by clip.

    Args:
        clips: The clips.
    """

    def __init__(self, clips: ClipDataset) -> None:
        self.clips, self.vocabulary = clips, clips.vocabulary

    def __len__(self) -> int:
        return len(self.clips) * self.clips.frames

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self.clips.sample(*divmod(index, self.clips.frames))


class _Lazy(Sequence[T], Generic[T]):
    """Items that are made when they are needed."""

    def __init__(self, length: int, make: Callable[[int], T]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        rows = range(self._length)[index]
        return self._make(rows) if isinstance(rows, int) else [self._make(row) for row in rows]

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(self._length))


class _LastFew:
    """Keeps the last frames, as image and ground truth of a frame are mostly read together."""

    def __init__(self, make: Callable[[int], SyntheticFrame]) -> None:
        self._make = make
        self._kept: dict[int, SyntheticFrame] = {}

    def __call__(self, row: int) -> SyntheticFrame:
        if row not in self._kept:
            while len(self._kept) >= 2:
                self._kept.pop(next(iter(self._kept)))
            self._kept[row] = self._make(row)
        return self._kept[row]


def _moment(made: SyntheticFrame, row: int) -> Moment:
    return Moment(made.time, row, torch.from_numpy(made.pose).double())


def _events(stored: StoredClip) -> Events:
    spans = torch.tensor([(event.start, event.end) for event in stored.events], dtype=torch.float32)
    return Events(spans.reshape(-1, 2), Captions(tuple(event.captions for event in stored.events)))


def _checked_frames(frames: int, rate: float) -> tuple[int, float]:
    if not 2 <= frames <= MOST_FRAMES:
        raise InputError(f"a clip must have 2 to {MOST_FRAMES} frames, got {frames}")
    if not 0.5 <= rate <= 100 or not 2.5 <= frames / rate <= 60:
        raise InputError(
            f"frames / rate, the length of a clip, must be 2.5 to 60 seconds, got {frames} frames at {rate:g} a second"
        )
    return frames, float(rate)
