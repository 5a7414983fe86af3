"""The rows of each stream that a head gets in one pass.

Letters: N regions of a stream in the whole batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from scenekit.errors import InputError
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import Provider
from scenekit.model.targets import Targets
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary

Rows = Mapping[Stream, Regions]


@dataclass(frozen=True, eq=False)
class RegionSelector:
    """Selects the rows of one pass. Detections that heads learn on are decoded at the first request and shared.

    Attributes:
        board: The board of the pass.
        targets: The ground truth of the batch; None at inference.
        vocabulary: What labels mean.
        providers: By stream, the stage that provides it.
        threshold: No head gets regions that score less, unless they are external.
    """

    board: Board
    targets: Targets | None
    vocabulary: Vocabulary
    providers: Mapping[Stream, Provider]
    threshold: float = 0.0
    _detections: dict[Stream, Regions] = field(default_factory=dict)
    _selected: dict[tuple[Stream, tuple[int, ...] | None, int | None], Regions] = field(default_factory=dict)

    def training_regions(self, spec: TaskSpec, streams: Iterable[Stream]) -> Rows:
        """Return the rows that a head learns from.

        Args:
            spec: The task of the head.
            streams: Streams that the head follows.

        Returns:
            Regions by stream.

        Raises:
            InputError: External regions do not say which row of the ground truth they match.
        """
        return {stream: self._training_regions(spec, stream) for stream in streams}

    def inference_regions(self, spec: TaskSpec, streams: Iterable[Stream]) -> Rows:
        """Return the rows that a head predicts for without targets: all that its task applies to.

        Tasks with equal limits share them, so that the values of one need no reordering for another.

        Args:
            spec: The task of the head.
            streams: Streams that the head follows.

        Returns:
            Regions by stream.
        """
        return {stream: self._inference_regions(spec, stream) for stream in streams}

    def decoding_regions(self, spec: TaskSpec, streams: Iterable[Stream], policies: Mapping[Stream, Policy]) -> Rows:
        """Return the rows that a head decodes during training, annotated or not, for tasks that read its values.

        Args:
            spec: The task of the head.
            streams: Streams that the head follows.
            policies: By stream, which rows the reading tasks get; FOREGROUND where a stream is missing.

        Returns:
            Regions by stream.
        """
        candidates = {stream: self._candidates(stream, policies.get(stream, Policy.FOREGROUND)) for stream in streams}
        return {stream: self._limited(spec, stream, *candidate) for stream, candidate in candidates.items()}

    def can_learn(self, spec: TaskSpec, rows: Rows) -> bool:
        """Return whether the batch can teach a task: all its keys of the image, and rows of any of its streams."""
        by_stream: dict[Stream | None, list[Key[Any, Any]]] = {}
        for key in spec.learns_from:
            by_stream.setdefault(key if isinstance(key, Stream) else key.of, []).append(key)
        if not all(key in self._targets for key in by_stream.pop(None, [])):
            return False
        teaching = [_teaches(stream, keys, self._targets, rows) for stream, keys in by_stream.items() if stream]
        return any(teaching) or (bool(spec.learns_from) and not teaching)

    def _inference_regions(self, spec: TaskSpec, stream: Stream) -> Regions:
        labels = None if spec.applies_to is None or stream != OBJECTS else tuple(spec.applies_to(self.vocabulary))
        limits = stream, labels, spec.max_regions
        if limits not in self._selected:
            regions: Regions = self.board[stream]
            self._selected[limits] = self._limited(spec, stream, regions, _all_of(regions))
        return self._selected[limits]

    def _training_regions(self, spec: TaskSpec, stream: Stream) -> Regions:
        policy = spec.streams.get(stream, Policy.FOREGROUND)
        regions, keep = self._candidates(stream, policy)
        if policy is Policy.FOREGROUND:
            for key in spec.learns_from:
                if key.of == stream:
                    keep = keep & self._targets.learnable(key, regions)
            if any(key.of == stream and key not in self._targets.values for key in spec.reads):
                keep = torch.zeros_like(keep)
        return self._limited(spec, stream, regions, keep)

    def _candidates(self, stream: Stream, policy: Policy) -> tuple[Regions, Bool[Tensor, " N"]]:
        """Return regions, and which of them the policy means; external regions serve both policies."""
        regions: Regions = self.board[stream]
        if policy is Policy.FOREGROUND:
            return regions, _present(regions)
        if stream not in self.board.given:
            regions = self._detected(stream, self._targets)
        return regions, _all_of(regions)

    @property
    def _targets(self) -> Targets:
        assert self.targets is not None, "a head learns from targets"
        return self.targets

    def _detected(self, stream: Stream, targets: Targets) -> Regions:
        if stream not in self.providers:
            raise InputError(f"{stream.name!r} is brought by a task, which has no detections; use Policy.FOREGROUND")
        if stream not in self._detections:
            provider = self.providers[stream]
            view = self.board.view(provider.name, (*provider.requires, *provider.provides), {})
            self._detections[stream] = provider.detections(view, targets)
        return self._detections[stream]

    def _limited(self, spec: TaskSpec, stream: Stream, regions: Regions, keep: Bool[Tensor, " N"]) -> Regions:
        """Return those of the kept rows with a sufficient score and a label of the task, limited per image."""
        if regions.scores is not None and stream not in self.board.given:
            keep = keep & (regions.scores >= self.threshold)
        if spec.applies_to is not None and stream == OBJECTS and regions.labels is not None:
            labels = torch.tensor(spec.applies_to(self.vocabulary), dtype=torch.int64, device=keep.device)
            keep = keep & torch.isin(regions.labels, labels)
        if regions.valid is not None:
            return padded(regions, keep & regions.valid, spec.max_regions)
        if spec.max_regions is not None:
            keep = best(regions, keep, spec.max_regions)
        return regions if bool(keep.all()) else regions.subset(keep)


def _all_of(regions: Regions) -> Bool[Tensor, " N"]:
    return torch.ones_like(regions.image_index, dtype=torch.bool)


def padded(regions: Regions, keep: Bool[Tensor, " N"], limit: int | None) -> Regions:
    """Return a fixed number of rows of one image, in which `valid` marks the kept ones.

    Args:
        regions: Regions of one image, best first.
        keep: The rows to keep.
        limit: At most so many are kept: the first; None for all.

    Returns:
        The regions, a subset.
    """
    rows = torch.arange(len(regions), device=keep.device)
    if limit is not None and limit < len(regions):
        rows = (keep.to(rows) * len(regions) - rows).topk(limit).indices
    return replace(regions.subset(rows), valid=keep[rows])


def best(regions: Regions, candidates: Bool[Tensor, " N"], limit: int) -> Bool[Tensor, " N"]:
    """Return at most `limit` candidates of each image: those with the best scores, or the first ones."""
    keep = torch.zeros_like(candidates)
    for index in set(regions.image_index.tolist()):
        rows = (candidates & (regions.image_index == index)).nonzero()[:, 0]
        order = rows if regions.scores is None else rows[regions.scores[rows].argsort(descending=True, stable=True)]
        keep[order[:limit]] = True
    return keep


def same_rows(first: Rows, second: Rows) -> bool:
    """Return whether both hold the same rows of the same regions."""
    return first.keys() == second.keys() and all(
        rows.root is second[stream].root and torch.equal(rows.root_rows, second[stream].root_rows)
        for stream, rows in first.items()
    )


def _teaches(stream: Stream, keys: Collection[Key[Any, Any]], targets: Targets, rows: Rows) -> bool:
    """Return whether some row of the stream carries all of the `keys` that follow it."""
    values = [key for key in keys if key != stream]
    if stream in rows:
        labelled = _present(rows[stream])
        for key in values:
            labelled = labelled & targets.learnable(key, rows[stream])
        return bool(labelled.any())
    # The task brings the stream: there are no rows yet.
    annotated = stream in targets.streams and bool(targets.streams[stream].supervised.any())
    return (annotated or stream not in keys) and all(key in targets for key in values)


def _present(regions: Regions) -> Bool[Tensor, " N"]:
    """Return the rows that are matched to ground truth."""
    if regions.matched is None:
        raise InputError(
            "external regions need `matched` when there are targets: each one's row of the ground truth, or -1"
        )
    return regions.matched >= 0
