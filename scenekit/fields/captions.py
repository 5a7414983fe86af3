"""Texts that describe regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scenekit.fields.base import Columns, Field, Frame, Shape, rows_in, scattered, scores_of
from scenekit.io.files import plain
from scenekit.structures.captions import Captions
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary


class CaptionField(Field[Captions, Captions]):
    """Texts; mirroring exchanges the vocabulary's mirror words."""

    def scatter(self, item: Captions, rows: Tensor, count: int) -> Captions:
        texts: list[tuple[str, ...]] = [()] * count
        for row, text in zip(rows.tolist(), item.texts, strict=True):
            texts[row] = text
        return Captions(tuple(texts), *(scattered(part, rows, count) for part in (item.scores, item.log_probs)))

    def collate(self, items: Sequence[Captions], size: Size) -> Captions:
        return Captions(tuple(text for item in items for text in item.texts))

    def transform(self, item: Captions, geometry: Geometry, vocabulary: Vocabulary) -> Captions:
        if not geometry.mirrored:
            return item
        return replace(item, texts=tuple(tuple(map(vocabulary.mirror_text, texts)) for texts in item.texts))

    def columns(self, item: Captions, frame: Frame) -> Columns:
        """The first text of each row."""
        return {"description": [texts[0] if texts else "" for texts in item.texts]}

    def example(self, frame: Frame, shape: Shape = None) -> Captions:
        names = [frame.vocabulary.things[label] for label in rows_in(frame).labels.tolist()]
        return Captions(tuple((f"a {name} on the left", f"one {name}") for name in names))

    def encode(self, item: Captions, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        rows: list[dict[str, Any]] = [{"texts": list(t), "score": s} for t, s in zip(item.texts, scores, strict=True)]
        if item.log_probs is not None:
            for row, values in zip(rows, item.log_probs, strict=True):
                row["log_probs"] = values[~values.isnan()].tolist()
        return rows

    def describe(self, item: Captions, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """The texts, and how sure they are where they are predictions."""
        scores: list[Any] = [{}] * len(item)
        if item.scores is not None:
            scores = [{"score": score} for score in plain(item.scores.tolist())]
        return [{"texts": list(texts), **score} for texts, score in zip(item.texts, scores, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Captions:
        log_probs = None
        if any("log_probs" in row for row in data):
            rows = [torch.tensor(row.get("log_probs", []), dtype=torch.float32) for row in data]
            log_probs = pad_sequence(rows, batch_first=True, padding_value=torch.nan)
        return Captions(
            tuple(tuple(row["texts"]) for row in data), scores_of([row["score"] for row in data]), log_probs
        )
