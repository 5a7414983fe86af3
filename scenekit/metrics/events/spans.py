"""Spans of time with a sentence each, and their overlap.

Letters: E events, P predictions, R references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError
from scenekit.metrics.checks import check_length, decimals

NO_TIME = 1e-8
"""Seconds that are added to each union, so that spans without a length overlap nothing, as the official programs do."""


@dataclass(frozen=True, eq=False)
class DescribedSpans:
    """Described spans of one video: those of one annotator, or predictions."""

    spans: Float[np.ndarray, "E 2"]
    """Start and end, in seconds."""
    sentences: tuple[str, ...]
    """What happens in each."""

    @classmethod
    def of(cls, spans: Any, sentences: Sequence[str], reversed_too: bool = False) -> DescribedSpans:
        """Check spans and sentences.

        Args:
            spans: Rows start, end in seconds: an array, a tensor or a list.
            sentences: One per span.
            reversed_too: Whether spans may end before they begin, as some of published annotations do; these overlap
                nothing.

        Returns:
            The described spans.

        Raises:
            InputError: Other shapes or numbers, or a span that ends before it begins.
        """
        rows = decimals("spans", spans, 2)
        check_length("sentences", sentences, len(rows), "spans")
        if not reversed_too and (wrong := reversed_spans(rows)):
            raise InputError(f"'spans' number {wrong[0]} ends before it begins: {rows[wrong[0]].tolist()} seconds")
        return cls(rows, tuple(sentences))

    def __len__(self) -> int:
        return len(self.sentences)

    @classmethod
    def merged(cls, several: Sequence[DescribedSpans]) -> DescribedSpans:
        """Concatenate described spans.

        Args:
            several: Those of each annotator.

        Returns:
            All of them, in order.
        """
        spans = np.concatenate([np.zeros((0, 2)), *(one.spans for one in several)])
        return cls(spans, tuple(sentence for one in several for sentence in one.sentences))


def reversed_spans(spans: Float[np.ndarray, "E 2"]) -> list[int]:
    """Return which spans end before they begin.

    Args:
        spans: In seconds.

    Returns:
        Their rows.
    """
    rows: list[int] = np.flatnonzero(spans[:, 1] < spans[:, 0]).tolist()
    return rows


def temporal_iou(first: Float[np.ndarray, "P 2"], second: Float[np.ndarray, "R 2"]) -> Float[np.ndarray, "P R"]:
    """Compute the temporal IoU of each pair of spans; the union is longer by `NO_TIME`.

    Args:
        first: Spans in seconds.
        second: Spans to compare them with.

    Returns:
        Fractions.
    """
    ends = np.minimum(first[:, None, 1], second[None, :, 1])
    shared = np.maximum(ends - np.maximum(first[:, None, 0], second[None, :, 0]), 0.0)
    lengths = (first[:, 1] - first[:, 0])[:, None] + (second[:, 1] - second[:, 0])
    iou: Float[np.ndarray, "P R"] = np.where(shared > 0, shared / np.maximum(lengths - shared + NO_TIME, NO_TIME), 0.0)
    return iou
