"""Files of ActivityNet Captions, and their scores.

Ground truth, a file per annotator: `{"v_1": {"duration": 20.0, "timestamps": [[0, 5.5], ...], "sentences": ["A man
...", ...]}}`. Predictions: `{"version": "VERSION 1.0", "results": {"v_1": [{"sentence": "...", "timestamp": [0,
5.5]}]}}`. Times are in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.files import plain, write_atomically
from scenekit.io.records import Record, brief, read_json, records_of
from scenekit.metrics.dense_captions.language import words
from scenekit.metrics.events.captioning import EventCaptioning, Story
from scenekit.metrics.events.spans import DescribedSpans, reversed_spans
from scenekit.metrics.notes import NOTHING, Notes, collected

VERSION = "VERSION 1.0"
"""What files of results say of themselves."""

Progress = Callable[[Iterable[str]], Iterable[str]]
Described = Mapping[str, DescribedSpans]
"""By the name of the video."""


def score_event_files(
    ground_truths: Sequence[Path],
    prediction: Path,
    language: str = "unigram-F",
    story: Story = "merged",
    notes: Notes | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Compute the scores of described events of files.

    Ground-truth spans that end before they begin, which nothing can overlap, captions without a word and videos without
    an event are added to `notes`.

    Args:
        ground_truths: A file per annotator.
        prediction: The file of predictions.
        language: Name of the language score.
        story: See `EventCaptioning`.
        notes: Collects the oddities of the files.
        progress: May wrap the loop over the videos.

    Returns:
        See `EventCaptioning.result`.

    Raises:
        InputError: Names file, video and field that cannot be scored, a video without predictions (which may be an
            empty list), or a predicted one that no ground truth lists.
    """
    metric = EventCaptioning(language, story)
    with collected(notes) as noted:
        annotators = [read_event_references(path, noted) for path in ground_truths]
        predicted = read_event_results(prediction, noted)
        videos = list(dict.fromkeys(name for annotator in annotators for name in annotator))
        _check_same(videos, predicted, ground_truths, prediction)
        for name in progress(videos):
            metric.update([annotator[name] for annotator in annotators if name in annotator], predicted[name])
        scores = metric.result()
        if not scores["videos"]:
            noted.add(ground_truths[0], f"has no event; {NOTHING}")
    return scores


def read_event_references(path: Path, notes: Notes | None = None) -> dict[str, DescribedSpans]:
    """Read the ground truth of one annotator.

    Args:
        path: The file.
        notes: Collects its oddities.

    Returns:
        The events of each video.

    Raises:
        InputError: The file is damaged.
    """
    data = read_json(path)
    if not isinstance(data, Mapping) or not all(isinstance(entry, dict) for entry in data.values()):
        raise InputError(f'{path}: expected an object of videos {{"timestamps", "sentences"}}, got {brief(data)}')
    with collected(notes) as noted:
        return {
            name: _reference(Record(*parts, f"{path}: video {name!r}"), noted) for name, parts in _numbered(path, data)
        }


def read_event_results(path: Path, notes: Notes | None = None) -> dict[str, DescribedSpans]:
    """Read predictions.

    Args:
        path: The file.
        notes: Collects its oddities.

    Returns:
        The predicted events of each video, in the order of the file.

    Raises:
        InputError: The file is damaged.
    """
    data = read_json(path)
    results = data.get("results") if isinstance(data, Mapping) else None
    if not isinstance(results, Mapping):
        raise InputError(f'{path}: expected an object with "results" by video, got {brief(data)}')
    with collected(notes) as noted:
        return {name: _result(path, name, entries, noted) for name, entries in results.items()}


def write_event_results(path: Path, results: Mapping[str, tuple[Any, Sequence[str]]], scores: Any = None) -> None:
    """Write predictions.

    Args:
        path: The file.
        results: Of each video spans (seconds, an array or a tensor [E 2]) and their sentences.
        scores: By video the confidence of each event, which is written as `score`; None without.

    Raises:
        InputError: A span is no span, or the file cannot be written.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, (spans, sentences) in results.items():
        events = DescribedSpans.of(spans, sentences)
        times = [[round(value, 3) for value in span] for span in events.spans.tolist()]
        rows[name] = [{"sentence": text, "timestamp": t} for text, t in zip(events.sentences, times, strict=True)]
        for row, score in zip(rows[name], () if scores is None else plain(scores[name].tolist()), strict=False):
            row["score"] = score
    _write(path, {"version": VERSION, "results": rows, "external_data": {"used": False}})


def write_event_references(path: Path, videos: Mapping[str, tuple[float, Any, Sequence[str]]]) -> None:
    """Write ground truth of one annotator.

    Args:
        path: The file.
        videos: Of each video its duration (seconds), the spans of its events and their sentences.

    Raises:
        InputError: A span is no span, or the file cannot be written.
    """
    rows = {}
    for name, (duration, spans, sentences) in videos.items():
        events = DescribedSpans.of(spans, sentences)
        times = [[round(value, 3) for value in span] for span in events.spans.tolist()]
        rows[name] = {"duration": duration, "timestamps": times, "sentences": list(events.sentences)}
    _write(path, rows)


def _write(path: Path, data: Any) -> None:
    write_atomically(path, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())


def _numbered(path: Path, data: Mapping[str, Any]) -> Iterable[tuple[str, tuple[Any, Path, str, int]]]:
    return ((name, (entry, path, "video", number)) for number, (name, entry) in enumerate(data.items()))


def _reference(record: Record, notes: Notes) -> DescribedSpans:
    spans, sentences = record.get("timestamps"), record.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(text, str) for text in sentences):
        raise InputError(f"{record}: 'sentences' must be a list of texts, not {brief(sentences)}")
    try:
        events = DescribedSpans.of(spans, sentences, reversed_too=True)
    except InputError as error:
        raise InputError(f"{record}: {_renamed(error)}") from None
    if odd := reversed_spans(events.spans):
        notes.add(record, "has an event that ends before it begins, which nothing can overlap", len(odd))
    if not len(events):
        notes.add(record, "has no event and is left out")
    _note_wordless(record, events.sentences, notes)
    return events


def _result(path: Path, name: str, entries: Any, notes: Notes) -> DescribedSpans:
    shown = f"{path}: video {name!r}"
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'{shown}: expected a list of objects {{"sentence", "timestamp"}}, got {brief(entries)}')
    records = [
        Record(entry.data, path, "event", entry.index, f"{shown}, event number {entry.index}")
        for entry in records_of(entries, path, "event")
    ]
    spans, sentences = [record.numbers("timestamp", 2) for record in records], [r.text("sentence") for r in records]
    for record, (start, end) in zip(records, spans, strict=True):
        if end < start:
            raise InputError(f"{record} ends before it begins: {[start, end]} seconds")
    _note_wordless(shown, sentences, notes)
    return DescribedSpans.of(spans, sentences)


def _note_wordless(where: object, sentences: Iterable[str], notes: Notes) -> None:
    for sentence in sentences:
        if not words(sentence):
            notes.add(where, "has a caption without a word")


def _renamed(error: InputError) -> str:
    """Return a message with the file's name of the spans."""
    return str(error).replace("'spans'", "'timestamps'")


def _check_same(videos: Sequence[str], predicted: Described, ground_truths: Sequence[Path], prediction: Path) -> None:
    if missing := [name for name in videos if name not in predicted]:
        raise InputError(
            f"{prediction} has no predictions for video {missing[0]!r} ({len(missing)} of {len(videos)} are missing); "
            "a video without events has an empty list, and scores 0"
        )
    known = set(videos)
    if unknown := [name for name in predicted if name not in known]:
        listed = " nor ".join(map(str, ground_truths))
        raise InputError(f"{prediction} has predictions for video {unknown[0]!r}, which {listed} does not list")
