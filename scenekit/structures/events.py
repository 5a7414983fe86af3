"""Described events of a clip. Letters: E events."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures.captions import Captions


@dataclass(frozen=True, eq=False)
class Events:
    """What happens in a clip, and when."""

    spans: Float[Tensor, "E 2"]
    """Start and end of each event, in seconds on the clock of the clip."""
    captions: Captions
    """A description of each event; ground truth may have several."""
    scores: Float[Tensor, " E"] | None = None
    """Confidence of predictions, 0 to 1; None in ground truth."""

    def __post_init__(self) -> None:
        if len(self.captions) != len(self.spans):
            raise InputError(f"{len(self.spans)} spans need as many captions, got {len(self.captions)}")
        if not bool(self.spans.isfinite().all()) or bool((self.spans[:, 1] < self.spans[:, 0]).any()):
            raise InputError("the spans of events must be finite, start before end, in seconds")

    def __len__(self) -> int:
        return int(self.spans.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " E"]) -> Events:
        scores = None if self.scores is None else self.scores[rows]
        return Events(self.spans[rows], self.captions[rows], scores)

    @classmethod
    def empty(cls) -> Events:
        """Create a set without events.

        Returns:
            No events.
        """
        return cls(torch.zeros((0, 2)), Captions(()))
