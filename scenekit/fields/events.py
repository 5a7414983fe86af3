"""Described events of a clip. Letters: E events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.base import ImageField, Shape
from scenekit.fields.captions import CaptionField
from scenekit.fields.conversion import floats
from scenekit.fields.frame import Columns, Frame, Issue, Validated
from scenekit.io.files import plain
from scenekit.io.records import brief
from scenekit.structures.events import Events
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary

_texts = CaptionField()


class EventField(ImageField[list[Events | None], Events]):
    """Events in seconds; a flip of the frames exchanges the words of their captions that the vocabulary pairs."""

    follows_crops = True

    def transform(self, item: Events, geometry: Geometry, vocabulary: Vocabulary) -> Events:
        return replace(item, captions=_texts.transform(item.captions, geometry, vocabulary))

    def one_sided(self, item: Events, frame: Frame) -> Iterator[str]:
        """Yield words that name a side and that the vocabulary does not exchange."""
        yield from _texts.one_sided(item.captions, frame)

    def encode(self, item: Events, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        columns = zip(item.spans.tolist(), scores, _texts.encode(item.captions, vocabulary), strict=True)
        return [{"span": span, "score": score, "caption": caption} for span, score, caption in columns]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Events:
        if not isinstance(data, list):
            raise InputError(f"events are a list of objects with span, score and caption, got {brief(data)}")
        spans = torch.tensor(floats([row["span"] for row in data]), dtype=torch.float32).reshape(-1, 2)
        scores = [row["score"] for row in data]
        known = None if not scores or None in scores else torch.tensor(floats(scores), dtype=torch.float32)
        return Events(spans, _texts.decode([row["caption"] for row in data], size, vocabulary), known)

    def validate(self, item: Events, frame: Frame) -> Validated:
        """Drop events without a caption that describes something."""
        result = _texts.validate(item.captions, _of_rows(frame, len(item)))
        if not result.issues:
            return Validated(item)
        issues = [replace(issue, row=None, entry=issue.row) for issue in result.issues]
        carried = torch.ones(len(item), dtype=torch.bool) if result.valid is None else result.valid
        return Validated(replace(item, captions=result.value)[carried], None, issues)

    def warnings(self, item: Events, frame: Frame) -> Iterator[Issue]:
        """Yield notes on events without a length, and on texts that not every tokenizer can spell."""
        for row in row_numbers(item.spans[:, 1] <= item.spans[:, 0]):
            yield Issue("events without a length", "starts and ends at one time", entry=row)
        for issue in _texts.warnings(item.captions, _of_rows(frame, len(item))):
            yield replace(issue, row=None, entry=issue.row)

    def statistics(self, item: Events, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how many events there are, their lengths, and what their texts are like."""
        yield "events a clip", torch.tensor([len(item)])
        yield "length, s", item.spans[:, 1] - item.spans[:, 0]
        yield from _texts.statistics(item.captions, _of_rows(frame, len(item)))

    def columns(self, item: Events, frame: Frame) -> Columns:
        """Return start, end, description and score of each event."""
        cells = {
            "start, s": [f"{start:.2f}" for start in item.spans[:, 0].tolist()],
            "end, s": [f"{end:.2f}" for end in item.spans[:, 1].tolist()],
            "description": [texts[0] if texts else "" for texts in item.captions.texts],
        }
        return cells if item.scores is None else {**cells, "score": [f"{score:.2f}" for score in item.scores.tolist()]}

    def summary(self, item: Events, frame: Frame) -> str:
        """Return the description of the first event."""
        texts = [texts[0] for texts in item.captions.texts if texts]
        return "; ".join(texts[:1])

    def example(self, frame: Frame, shape: Shape = None) -> Events:
        names = list(frame.vocabulary.things[:2])
        texts = tuple((f"a {name} moves to the left", f"one {name} moves") for name in names)
        spans = torch.tensor([[0.0, 1.5], [1.0, 2.5]][: len(names)]).reshape(-1, 2)
        return Events(
            spans, _texts.decode([{"texts": list(t), "score": None} for t in texts], (1, 1), frame.vocabulary)
        )


def _of_rows(frame: Frame, count: int) -> Frame:
    """Return the frame of captions that follow events: each event is a row."""
    return replace(frame, regions=None, valid=torch.ones(count, dtype=torch.bool))
