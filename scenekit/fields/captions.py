"""Texts that describe regions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scenekit.errors import InputError
from scenekit.fields.base import Field, Shape
from scenekit.fields.conversion import scattered, scores_of
from scenekit.fields.frame import Columns, Frame, Issue, Validated, rows_in
from scenekit.io.files import plain
from scenekit.io.records import brief
from scenekit.structures.captions import Captions
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.sides import side_left
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary

MOST_WORDS = 500
"""Words of a text that may still describe a region; what is longer is a page that got into the wrong column."""

MOST_TEXTS = 5
"""Texts of an object that a map of many images shows."""

BLANK = frozenset("ZPC")
"""Unicode's categories without a meaning of their own: separators, punctuation, control; symbols such as emoji do."""


class CaptionField(Field[Captions, Captions]):
    """Texts; a flip exchanges the words that the vocabulary pairs."""

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

    def one_sided(self, item: Captions, frame: Frame) -> Iterator[str]:
        """Yield words that name a side and that the vocabulary does not exchange."""
        sides = (side_left(text, frame.vocabulary.mirror_words) for texts in item.texts for text in texts)
        yield from dict.fromkeys(side.lower() for side in sides if side is not None)

    def columns(self, item: Captions, frame: Frame) -> Columns:
        """Return the first text of each row."""
        return {"description": [texts[0] if texts else "" for texts in item.texts]}

    def example(self, frame: Frame, shape: Shape = None) -> Captions:
        names = [frame.vocabulary.things[label] for label in rows_in(frame).labels.tolist()]
        return Captions(tuple((f"a {name} on the left", f"one {name}") for name in names))

    def encode(self, item: Captions, vocabulary: Vocabulary) -> Any:
        scores: list[Any] = [None] * len(item) if item.scores is None else plain(item.scores.tolist())
        rows: list[dict[str, Any]] = [{"texts": list(t), "score": s} for t, s in zip(item.texts, scores, strict=True)]
        if item.log_probs is not None:
            for row, values in zip(rows, item.log_probs, strict=True):
                row["log_probs"] = values[~values.isnan()].nan_to_num().tolist()  # JSON has no -inf
        return rows

    def describe(self, item: Captions, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the texts, and the scores of predictions."""
        scores: list[Any] = [{}] * len(item)
        if item.scores is not None:
            scores = [{"score": score} for score in plain(item.scores.tolist())]
        return [{"texts": list(texts), **score} for texts, score in zip(item.texts, scores, strict=True)]

    def votes(self, item: Captions, vocabulary: Vocabulary) -> list[Mapping[str, float]] | None:
        """Return the score of each text, 1 in ground truth."""
        scores = [1.0] * len(item) if item.scores is None else item.scores.nan_to_num(0.0).tolist()
        return [dict.fromkeys(texts, score) for texts, score in zip(item.texts, scores, strict=True)]

    def elected(self, shares: Mapping[str, float], threshold: float) -> Any:
        """Return the texts with the most votes, the best first."""
        return {"texts": list(shares)[:MOST_TEXTS]}

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Captions:
        log_probs = None
        if any("log_probs" in row for row in data):
            rows = [torch.tensor(row.get("log_probs", []), dtype=torch.float32) for row in data]
            log_probs = pad_sequence(rows, batch_first=True, padding_value=torch.nan)
        return Captions(
            tuple(_texts_of(row["texts"]) for row in data), scores_of([row["score"] for row in data]), log_probs
        )

    def validate(self, item: Captions, frame: Frame) -> Validated:
        """Drop texts that describe nothing; a row without any other text no longer carries a value."""
        carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
        issues: list[Issue] = []
        texts: list[tuple[str, ...]] = list(item.texts)
        for row in row_numbers(carried):
            invalid = {place: problem for place, text in enumerate(texts[row]) if (problem := _problem(text))}
            issues += (Issue(kind, f"text {place} {what}", row=row) for place, (kind, what) in invalid.items())
            texts[row] = tuple(text for place, text in enumerate(texts[row]) if place not in invalid)
        if not issues:
            return Validated(item)
        left = torch.tensor([bool(row) for row in texts], dtype=torch.bool)
        return Validated(replace(item, texts=tuple(texts)), carried & left, issues)

    def warnings(self, item: Captions, frame: Frame) -> Iterator[Issue]:
        """Yield notes on texts that not every tokenizer can spell."""
        carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
        for row in row_numbers(carried):
            yield from (Issue(kind, row=row, note=True) for kind in _surprises(" ".join(item.texts[row])))

    def statistics(self, item: Captions, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how many texts and words there are."""
        captions = item if frame.valid is None else item[frame.valid]
        yield "texts a region", torch.tensor([len(texts) for texts in captions.texts])
        yield "words a text", torch.tensor([len(text.split()) for texts in captions.texts for text in texts])


def _texts_of(entry: Any) -> tuple[str, ...]:
    """Return the texts of a region as JSON has them; an InputError for anything else."""
    if not isinstance(entry, list) or not all(isinstance(text, str) for text in entry):
        raise InputError(f"'texts' must be a list of texts, got {brief(entry)}")
    return tuple(entry)


def _problem(text: Any) -> tuple[str, str] | None:
    """Return (kind, what is wrong) of a text that describes nothing. Any script is valid, and so are emoji."""
    if not isinstance(text, str):
        return "texts that are not strings", f"is a {type(text).__name__}; expected a string"
    if not text.strip():
        return "empty texts", "is empty"
    if all(unicodedata.category(sign)[0] in BLANK for sign in text):
        return "texts of punctuation alone", f"is {text[:20]!r}, punctuation alone"
    if len(text) > MOST_WORDS and (words := len(text.split())) > MOST_WORDS:
        return f"texts of more than {MOST_WORDS} words", f"has {words:,} words, more than {MOST_WORDS}"
    return None


def _surprises(text: str) -> Iterator[str]:
    """Yield the kinds of signs beyond plain letters, figures and punctuation."""
    if text.isascii():
        return
    if any(unicodedata.category(sign) == "So" for sign in text):
        yield "texts with emoji or other symbols, which a tokenizer of words leaves out"
    if any(sign.isalpha() and not unicodedata.name(sign, "").startswith("LATIN") for sign in text):
        yield "texts in other scripts than Latin"
