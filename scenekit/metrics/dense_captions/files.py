"""Dense-captioning mAP of JSON files.

Ground truth: `{"images": [{"id": 1, "boxes": [[x1, y1, x2, y2], ...], "captions": ["a red dog", ...]}]}`; boxes are
half-open pixels (x2 - x1 wide); a list of texts in place of a caption gives several references. Predictions: the same,
one text per box, with `"scores": [score, ...]`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, read_json
from scenekit.metrics.checks import check_length, corners
from scenekit.metrics.dense_captions.average_precision import DenseCaptioning
from scenekit.metrics.dense_captions.language import language_score, words
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.paired_images import ImagePair, named, paired_images

Progress = Callable[[Iterable[ImagePair]], Iterable[ImagePair]]


def score_dense_caption_files(
    ground_truth: Path,
    prediction: Path,
    language: str = "unigram-F",
    last_region: bool = False,
    notes: Notes | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Compute dense-captioning mAP of files.

    Captions without a word count as wrong ones; they are added to `notes`.

    Args:
        ground_truth: JSON of the ground truth.
        prediction: JSON of the predictions.
        language: The language score of mAP, by name.
        last_region: See `DenseCaptioning`.
        notes: Collects the oddities of the files.
        progress: May wrap the loop over the images.

    Returns:
        See `DenseCaptioning.result` and `DenseCaptioning.text_scores`.

    Raises:
        InputError: Names file, image and field that cannot be scored.
    """
    metric = DenseCaptioning(language_score(language), language, last_region)
    with collected(notes) as noted:
        for pair in progress(paired_images(read_json(ground_truth), ground_truth, prediction)):
            _add(metric, pair, noted)
        scores = {**metric.result(), **metric.text_scores()}
        if not scores["regions"]:
            noted.add(ground_truth, f"has no region; {NOTHING}")
    return scores


def _add(metric: DenseCaptioning, pair: ImagePair, notes: Notes) -> None:
    target, predicted = pair
    boxes, references = target.get("boxes"), _texts(target, notes, several=True)
    arrays, captions = [predicted.get("boxes"), predicted.get("scores")], _texts(predicted, notes)
    with named(target):
        target_boxes = corners(boxes)
        check_length("captions", references, len(target_boxes), "boxes")
    with named(predicted):
        metric.update(target_boxes, references, arrays[0], [texts[0] for texts in captions], arrays[1])


def _texts(record: Record, notes: Notes, several: bool = False) -> list[list[str]]:
    """Return the captions of each box; one of each, unless there may be `several`."""
    value = record.get("captions")
    if not isinstance(value, list):
        raise InputError(f"{record}: 'captions' must be a list, not {brief(value)}")
    return [_references(record, notes, number, entry, several) for number, entry in enumerate(value)]


def _references(record: Record, notes: Notes, number: int, entry: Any, several: bool) -> list[str]:
    where = f"{record}: 'captions' number {number}"
    texts = entry if several and isinstance(entry, list) else [entry]
    if not texts or not all(isinstance(text, str) for text in texts):
        expected = "text, or a list of texts" if several else "text"
        raise InputError(f"{where} must be {expected}, not {brief(entry)}")
    if not all(map(words, texts)):
        notes.add(where, "has no word")
    return texts
