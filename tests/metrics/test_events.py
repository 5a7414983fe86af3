"""Dense video captioning: cases worked by hand, the public programs' numbers, and a slow program of its own."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import shutil
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.metrics.dense_captions import language
from scenekit.metrics.dense_captions.language import bleu_4, cider_d, unigram_f
from scenekit.metrics.events import (
    DescribedSpans,
    EventCaptioning,
    ordered_matching,
    read_event_references,
    read_event_results,
    score_event_files,
    soda,
    temporal_iou,
    write_event_references,
    write_event_results,
)
from scenekit.metrics.events.captioning import IOUS
from scenekit.metrics.notes import Notes

OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parents[1] / "reference/events/official.json").read_text())
"""Random videos of two annotators, with what densevid_eval (Krishna et al.) and SODA (Fujita et al.) say of them, run
with pycocoevalcap 1.2 and Java; and METEOR of each pair of texts."""

Told = Sequence[tuple[float, float, str]]


def described(*events: tuple[float, float, str]) -> DescribedSpans:
    return DescribedSpans.of([event[:2] for event in events], [event[2] for event in events])


def scored(references: Sequence[Told], predicted: Told, **options: Any) -> dict[str, Any]:
    metric = EventCaptioning(**options)
    metric.update([described(*one) for one in references], described(*predicted))
    return metric.result()


def of_entry(entry: dict[str, Any]) -> DescribedSpans:
    return DescribedSpans.of(entry["timestamps"], entry["sentences"])


def official(language_name: str, story: Literal["merged", "best"]) -> dict[str, Any]:
    metric = EventCaptioning(language_name, story)
    for name, found in OFFICIAL["results"].items():
        predicted = DescribedSpans.of([e["timestamp"] for e in found], [e["sentence"] for e in found])
        metric.update([of_entry(gt[name]) for gt in OFFICIAL["references"] if name in gt], predicted)
    return metric.result()


def column(scores: dict[str, Any], name: str) -> list[float]:
    return [row[name] for row in scores["breakdown"].values()]


def test_temporal_iou_by_hand() -> None:
    """[0, 4] and [2, 6] share 2 of 6 seconds; spans that touch share nothing, nor do points and reversed ones."""
    iou = temporal_iou(np.array([[0.0, 4], [4, 4]]), np.array([[2.0, 6], [4, 8], [0, 4], [4, 4], [3, 1]]))
    assert iou == pytest.approx(np.array([[1 / 3, 0, 1, 0, 0], [0, 0, 0, 0, 0]]))


def test_proposals_by_hand() -> None:
    """tIoU of the first prediction is 1/2, which is not above .5: right at .3 alone; the second is right throughout.

    Right predictions 2 1 1 1 of 3, covered events 2 1 1 1 of 2.
    """
    scores = scored([[(0, 10, "a"), (20, 30, "b")]], [(0, 5, "a"), (20, 30, "b"), (40, 50, "c")])
    assert column(scores, "precision") == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert column(scores, "recall") == pytest.approx([1, 1 / 2, 1 / 2, 1 / 2])
    precision, recall = 5 / 12, 5 / 8
    assert scores["precision"] == pytest.approx(precision) and scores["recall"] == pytest.approx(recall)
    assert scores["F1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_of_several_annotators_the_best_counts_for_each_number() -> None:
    """The first annotator is covered by half of the predictions, the second has one of two events covered by all."""
    references = [[(0, 10, "a")], [(0, 10, "a"), (10, 20, "b"), (50, 60, "c"), (60, 70, "d")]]
    scores = scored(references, [(0, 10, "a"), (10, 20, "b")])
    assert (scores["precision"], scores["recall"]) == (1, 1)


def test_captions_by_hand() -> None:
    """Pairs from tIoU .3 on: (0-10, 0-10), (0-10, 0-6) and one without an event; from .7 on the second is none."""
    references = [[(0, 10, "one two three"), (0, 6, "four five six")]]
    scores = scored(references, [(0, 10, "one two three"), (30, 40, "seven")])
    whole = 1 - 0.5 / 27
    assert column(scores, "language") == pytest.approx([whole / 3, whole / 3, whole / 2, whole / 2])


def test_a_prediction_without_an_event_costs_bleu() -> None:
    """8 of 12 words in place; 5 of 6, 4 of 4 ... of their n-grams come from the matched text alone."""
    text = "a b c d e f g h"
    scores = scored([[(0, 10, text)]], [(0, 10, text), (50, 60, "i j k l")])
    expected = (8 / 12 * 7 / 10 * 6 / 8 * 5 / 6) ** (1 / 4)
    assert scores["BLEU-4"] == pytest.approx(expected, abs=1e-6)


def test_ordered_matching_by_hand() -> None:
    """The order forbids to take both corners of the other diagonal."""
    assert ordered_matching(np.array([[0.0, 5], [4, 0]])) == 5
    assert ordered_matching(np.array([[1.0, 5], [4, 1]])) == 5
    assert ordered_matching(np.array([[3.0, 5], [4, 3]])) == 6
    assert ordered_matching(np.zeros((0, 3))) == 0


def test_soda_by_hand() -> None:
    """Matched sum .5 * .8 + 1 * .5 = .9 of 3 predictions and 2 references."""
    iou, texts = np.array([[0.5, 0], [0, 0], [0, 1]]), np.array([[0.8, 1], [1, 1], [1, 0.5]])
    assert soda(iou, texts) == pytest.approx((0.3, 0.45, 0.36))
    assert soda(np.zeros((0, 2)), np.zeros((0, 2))) == (0, 0, 0)


def test_soda_takes_predictions_in_the_order_of_their_starts() -> None:
    reference = [(0, 10, "one two"), (10, 20, "three four")]
    assert scored([reference], reference[::-1])["SODA_c"] == pytest.approx(1 - 0.5 / 8)


def test_densevid_eval_and_soda_say_the_same() -> None:
    """All numbers that need no METEOR."""
    scores = official("unigram-F", "merged")
    for name, theirs in (("precision", "Precision"), ("recall", "Recall"), ("CIDEr-D", "CIDEr")):
        assert column(scores, name) == pytest.approx(OFFICIAL["densevid_eval"][theirs], abs=1e-9)
    assert column(scores, "BLEU-4") == pytest.approx(OFFICIAL["densevid_eval"]["Bleu_4"], abs=2e-6)


@pytest.mark.parametrize("story", ["merged", "best"])
def test_soda_says_the_same_with_its_own_meteor(
    story: Literal["merged", "best"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program leaves out the one video of twelve without predictions, which scores 0 here."""
    texts = OFFICIAL["meteor"]["texts"]
    known = {(texts[a], texts[b]): value for a, b, value in OFFICIAL["meteor"]["rows"]}

    def looked_up(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Any:
        return np.array([known.get((text, *texts), 0.0) for text, texts in zip(candidates, references, strict=True)])

    monkeypatch.setitem(language.LANGUAGE_SCORES, "looked up", looked_up)
    metric = EventCaptioning("looked up", story)
    for name, found in OFFICIAL["results"].items():
        predicted = DescribedSpans.of([e["timestamp"] for e in found], [e["sentence"] for e in found])
        metric.update([of_entry(gt[name]) for gt in OFFICIAL["references"] if name in gt], predicted)
    scores = metric.result()
    numbers = [scores[name] for name in ("SODA_c precision", "SODA_c recall", "SODA_c")]
    assert numbers == pytest.approx([value * 11 / 12 for value in OFFICIAL["soda"][story]], abs=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR's program needs Java")
@pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="METEOR needs pycocoevalcap")
def test_meteor_of_a_video_is_that_of_densevid_eval() -> None:
    assert column(official("METEOR", "merged"), "language") == pytest.approx(
        OFFICIAL["densevid_eval"]["METEOR"], abs=1e-9
    )


def test_meteor_of_sets_asks_the_program_once_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Program:
        def compute_score(self, targets: Any, texts: Any) -> tuple[float, list[float]]:
            asked.append((targets, texts))
            return 0.25, [1.0]

    monkeypatch.setattr(language, "_meteor_program", lambda: Program)
    scores = language.meteor_of_sets([(["a dog"], [["one dog"]]), ([], []), (["..."], [["a"]])])
    assert scores.tolist() == [0.25, 0, 0.25]
    assert asked[0] == ({0: ["one dog"]}, {0: ["a dog"]})
    assert asked[1][1][0][0] != "..." and set(asked[1][1][0][0]) == {"x"}, "the program refuses texts without words"


# A slow program of its own, from the text of the protocol alone: loops over seconds-free numbers, and all matchings.


def slow_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (a[1] - a[0] + b[1] - b[0] - shared + 1e-8) if shared else 0.0


def slow_matching(gains: list[list[float]]) -> float:
    rows, columns, best = len(gains), len(gains[0]) if gains else 0, 0.0
    for size in range(1, min(rows, columns) + 1):
        for left in combinations(range(rows), size):
            for right in combinations(range(columns), size):
                best = max(best, sum(gains[i][j] for i, j in zip(left, right, strict=True)))
    return best


def slow_scores(references: Sequence[Told], predicted: Told, t: float) -> dict[str, float]:
    precisions, recalls, pairs = [0.0], [0.0], []
    for one in references:
        right = [[slow_iou(p[:2], r[:2]) > t for r in one] for p in predicted]
        precisions.append(sum(map(any, right)) / max(len(predicted), 1))
        recalls.append(sum(any(row[j] for row in right) for j in range(len(one))) / len(one))
    for p in predicted:
        near = [(p[2], r[2]) for one in references for r in one if slow_iou(p[:2], r[:2]) >= t]
        pairs += near or [(p[2], "qqqqqqqqqqqqqqqqqqqqqqqq")]
    texts, targets = [a for a, _ in pairs], [[b] for _, b in pairs]
    scores = {"precision": max(precisions), "recall": max(recalls), "language": 0.0, "BLEU-4": 0.0, "CIDEr-D": 0.0}
    if pairs:
        values = float(unigram_f(texts, targets).mean()), bleu_4(texts, targets), cider_d(texts, targets)
        scores |= dict(zip(("language", "BLEU-4", "CIDEr-D"), values, strict=True))
    return scores


def slow_soda(references: Sequence[Told], predicted: Told) -> float:
    told = sorted((r for one in references for r in one), key=lambda r: r[0])
    ours = sorted(predicted, key=lambda p: p[0])
    gains = [[slow_iou(p[:2], r[:2]) * float(unigram_f([r[2]], [[p[2]]])[0]) for r in told] for p in ours]
    total = slow_matching(gains)
    return 2 * total / (len(ours) + len(told)) if total else 0.0


WORDS = ("a", "red", "blue", "dog", "cat", "runs", "sits", "left")


def made_up(dice: random.Random, most: int) -> list[tuple[float, float, str]]:
    events = []
    for _ in range(dice.randint(1, most)):
        start, end = sorted(dice.sample(range(12), 2))
        events.append((start, end, " ".join(dice.choices(WORDS, k=5))))
    return events


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_program_says_the_same(seed: int) -> None:
    dice = random.Random(seed)
    videos = [([made_up(dice, 3) for _ in range(dice.randint(1, 2))], made_up(dice, 4)) for _ in range(4)]
    metric = EventCaptioning()
    for references, predicted in videos:
        metric.update([described(*one) for one in references], described(*predicted))
    scores = metric.result()
    for t in IOUS:
        slow = [slow_scores(*video, t) for video in videos]
        row = {name: sum(one[name] for one in slow) / len(slow) for name in slow[0]}
        assert scores["breakdown"][f"{t:g}"] == pytest.approx(row, abs=1e-9)
    assert scores["SODA_c"] == pytest.approx(sum(slow_soda(*video) for video in videos) / len(videos))


def test_videos_without_predictions_and_without_events() -> None:
    """The first scores 0, the second is left out."""
    metric = EventCaptioning()
    metric.update([described((0, 10, "a dog runs"))], described((0, 10, "a dog runs")))
    alone = metric.result()
    metric.update([described()], described((0, 1, "a")))
    assert metric.result() == alone
    metric.update([described((0, 10, "a dog runs"))], described())
    half = metric.result()
    for name in ("precision", "recall", "language", "SODA_c"):
        assert half[name] == pytest.approx(alone[name] / 2)
    assert (half["videos"], half["references"], half["predictions"]) == (2, 2, 1)


def test_nothing_to_measure_is_nan() -> None:
    scores = EventCaptioning().result()
    assert all(math.isnan(scores[name]) for name in ("precision", "recall", "F1", "language", "SODA_c"))


def test_only_the_first_predictions_count() -> None:
    scores = scored([[(0, 10, "a")]], [(0, 10, "a"), (20, 30, "b")], most=1)
    assert (scores["precision"], scores["predictions"]) == (1, 1)


def test_merging_equals_adding() -> None:
    whole, parts = EventCaptioning(), [EventCaptioning(), EventCaptioning()]
    for number, predicted in enumerate(([(0, 9, "a dog")], [(4, 9, "a cat")])):
        for metric in (whole, parts[number]):
            metric.update([described((0, 10, "a dog runs"))], described(*predicted))
    parts[0].merge(parts[1])
    assert parts[0].result() == whole.result()
    with pytest.raises(InputError, match="different options"):
        whole.merge(EventCaptioning(story="best"))


def test_bad_spans_are_refused() -> None:
    for spans, message in (([[2, 1]], "ends before it begins"), ([[0, math.nan]], "holds nan"), ([[0, 1, 2]], "2 num")):
        with pytest.raises(InputError, match=message):
            DescribedSpans.of(spans, ["a"])
    with pytest.raises(InputError, match="1 'sentences' for 2 'spans'"):
        DescribedSpans.of([[0, 1], [1, 2]], ["a"])


def test_files_round_trip(tmp_path: Path) -> None:
    spans = np.array([[0.12345, 5.5], [2, 3]])
    write_event_references(tmp_path / "gt.json", {"v_1": (20.0, spans, ["ein Hund läuft", "b"])})
    write_event_results(tmp_path / "pred.json", {"v_1": (spans, ["ein Hund läuft", "b"])}, {"v_1": np.array([0.5, 1])})
    written = json.loads((tmp_path / "pred.json").read_text(encoding="utf-8"))
    assert written["version"] == "VERSION 1.0" and written["external_data"] == {"used": False}
    assert written["results"]["v_1"][0] == {"sentence": "ein Hund läuft", "timestamp": [0.123, 5.5], "score": 0.5}
    for read in (read_event_references(tmp_path / "gt.json"), read_event_results(tmp_path / "pred.json")):
        assert read["v_1"].spans == pytest.approx(spans, abs=5e-4)
        assert read["v_1"].sentences == ("ein Hund läuft", "b")
    assert score_event_files([tmp_path / "gt.json"], tmp_path / "pred.json")["precision"] == 1


def test_unwritable_spans_leave_no_file(tmp_path: Path) -> None:
    writes: list[Callable[[], None]] = [
        lambda: write_event_results(tmp_path / "p.json", {"v": ([[1, 0]], ["a"])}),
        lambda: write_event_references(tmp_path / "p.json", {"v": (2.0, [[0, math.inf]], ["a"])}),
    ]
    for write in writes:
        with pytest.raises(InputError):
            write()
    assert not list(tmp_path.iterdir())


def test_oddities_of_ground_truth_are_noted(tmp_path: Path) -> None:
    """Published annotations have events that end before they begin: they count as events that nothing covers."""
    entries = {
        "v_1": {"timestamps": [[0, 5], [4, 3]], "sentences": ["a dog", "..."]},
        "v_2": {"timestamps": [], "sentences": []},
    }
    (tmp_path / "gt.json").write_text(json.dumps(entries))
    write_event_results(tmp_path / "pred.json", {"v_1": ([[0, 5]], ["a dog"]), "v_2": ([], [])})
    notes = Notes()
    scores = score_event_files([tmp_path / "gt.json"], tmp_path / "pred.json", notes=notes)
    assert (scores["recall"], scores["precision"], scores["videos"]) == (0.5, 1, 1)
    assert len(notes.lines()) == 3 and all("gt.json: video 'v_" in line for line in notes.lines())
