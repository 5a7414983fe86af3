"""Events of clips: the network, what it learns, how long videos are read, and what is drawn and measured."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import scenekit as sk
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.model.head import Core
from scenekit.model.targets import Targets
from scenekit.structures import FeaturePyramid
from scenekit.structures.images import ClipFrames, ImageBatch
from scenekit.testing.compare import difference
from scenekit.visualization.draw import draw_task
from scenekit_plugins.events import head as module
from scenekit_plugins.events import prepared, scenekit_tasks, stages
from scenekit_plugins.events.cells import COLORS, EVENT_CELLS, FrameCells, numbers
from scenekit_plugins.events.config import EventConfig
from scenekit_plugins.events.decoder import AttendingDecoder
from scenekit_plugins.events.evaluator import EventEvaluator, annotators
from scenekit_plugins.events.head import EventHead, frame_times, kept_rows, thinned, windows
from scenekit_plugins.events.matching import matched, span_iou
from scenekit_plugins.texts.config import LstmConfig, TokenizerConfig
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, trained

VOCABULARY = sk.Vocabulary(("cup", "ball"), mirror_words=(("left", "right"),))
CHANNELS = 6
SMALL: dict[str, Any] = {
    "rows": 2,
    "columns": 2,
    "parts": 1,
    "width": 32,
    "lstm": {"width": 32, "features": 32},
    "dropout": 0.0,
}
TEXTS = ("a cup moves", "one ball rolls to the left")
(SPEC,) = scenekit_tasks()
TOKENIZER = CaptionTokenizer(trained(TokenizerConfig(), TEXTS))


def events(*rows: tuple[float, float, str]) -> sk.Events:
    spans = torch.tensor([row[:2] for row in rows], dtype=torch.float32).reshape(-1, 2)
    return sk.Events(spans, sk.Captions(tuple((row[2],) for row in rows)))


def scene_of(value: sk.Events, size: tuple[int, int] = (90, 160)) -> sk.Scene:
    return sk.Scene(size, VOCABULARY, values={sk.EVENTS: value})


def built(**options: Any) -> EventHead:
    config = prepared(
        EventConfig.model_validate({**SMALL, **options}), [scene_of(events((0, 1, TEXTS[0]), (1, 2, TEXTS[1])))]
    )
    torch.manual_seed(0)
    head = EventHead(Core(CHANNELS, (4,), VOCABULARY), config)
    head.provides = SPEC.provides
    return head


def batch_of(*times: tuple[float, ...]) -> ImageBatch:
    count, clips, first = sum(map(len, times)), [], 0
    for row in times:
        clips.append(ClipFrames(first, row))
        first += len(row)
    return ImageBatch(torch.zeros(count, 3, 0, 0), ((8, 8),) * count, ((8, 8),) * count, clips=tuple(clips))


def board_of(images: ImageBatch, cells: Tensor) -> sk.Board:
    board = sk.Board(images, lambda *_: torch.zeros(0))
    board.put(EVENT_CELLS, cells)
    return board


def made_up(dice: random.Random, frames: int = 16, rate: float = 4.0) -> tuple[Tensor, sk.Events]:
    """Cells in which a signal of one of two kinds is on for a while, once or twice, in one cell."""
    cells, rows = torch.linspace(-1, 1, CHANNELS + COLORS) + 0.1 * torch.randn(frames, 4, CHANNELS + COLORS), []
    for start in (0, frames // 2)[: dice.randint(1, 2)]:
        kind, first = dice.randrange(2), start + dice.randrange(3)
        last = first + dice.randint(2, 4)
        cells[first : last + 1, dice.randrange(4), kind] += 3.0
        rows.append((first / rate, last / rate, TEXTS[kind]))
    return cells, events(*rows)


def test_cells_are_means_of_what_is_no_padding() -> None:
    """An image of 8 x 12 pixels in a batch of 16 x 16: the cells of its map end with it."""
    pixels, maps = torch.zeros(1, 3, 16, 16), torch.zeros(1, 2, 4, 4)
    pixels[0, 0, :8, 6:12], pixels[0, :, 8:] = 1.0, 99.0
    pixels[0, 1, 0, 0], maps[0, 0, :2, 2], maps[0, 1, 2:] = -2.0, 4.0, 99.0
    board = sk.Board(ImageBatch(pixels, ((8, 12),), ((8, 12),)), lambda *_: torch.zeros(0))
    board.put(sk.FEATURES, FeaturePyramid((maps,), (4,)))
    FrameCells(Core(2, (4,), VOCABULARY), 0, (1, 2))(board)
    left, right = board[EVENT_CELLS][0]
    assert left[:2].tolist() == [0, 0] and right[:2].tolist() == [2, 0], "columns 0 to 1, and 1 to 2"
    assert left[2] == 0 and right[2] == 1 and left[3] == pytest.approx(-2 / 48) and left[6] == -2 and right[8] == 1


def test_cells_have_what_is_in_each_of_their_parts() -> None:
    """One cell of 2 x 2 parts: each number of all parts, row by row."""
    maps = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    board = sk.Board(ImageBatch(torch.zeros(1, 3, 8, 8), ((8, 8),), ((8, 8),)), lambda *_: torch.zeros(0))
    board.put(sk.FEATURES, FeaturePyramid((maps,), (4,)))
    FrameCells(Core(1, (4,), VOCABULARY), 0, (1, 1), parts=2)(board)
    assert board[EVENT_CELLS].shape == (1, 1, numbers(1, parts=2))
    assert board[EVENT_CELLS][0, 0, :4].tolist() == [1, 2, 3, 4] and not board[EVENT_CELLS][0, 0, 4:].any()


def test_it_learns_when_and_what() -> None:
    """After 160 steps most events of other clips are found at a tIoU of 0.5, most of them with their own text."""
    dice, head = random.Random(0), built(step=0.5, slots=2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    times = tuple(number / 4 for number in range(16))
    for _ in range(160):
        clips = [made_up(dice) for _ in range(8)]
        board = board_of(batch_of(*[times] * 8), torch.cat([cells for cells, _ in clips]))
        targets = Targets({}, {sk.EVENTS: [value for _, value in clips]}, {sk.EVENTS: torch.ones(8, dtype=torch.bool)})
        losses = head.loss(head(board), board, targets)
        optimizer.zero_grad()
        torch.stack([*losses.values()]).sum().backward()
        optimizer.step()
    head.eval()
    clips = [made_up(dice) for _ in range(20)]
    with torch.no_grad():
        board = board_of(batch_of(*[times] * 20), torch.cat([cells for cells, _ in clips]))
        found = head.decode(head(board), board)
    result = measured(clips, found)
    assert result["recall at 0.5"] >= 0.8 and result["precision at 0.5"] >= 0.7
    for text in TEXTS:
        alike = [replace(value, captions=sk.Captions(((text,),) * len(value))) for value in found]
        assert result[SODA] >= 1.15 * measured(clips, alike)[SODA], "more than one text for all gives"


SODA = "SODA_c (unigram-F)"


def measured(clips: list[tuple[Tensor, sk.Events]], found: list[sk.Events]) -> dict[str, float]:
    evaluator = EventEvaluator(VOCABULARY)
    for (_, target), value in zip(clips, found, strict=True):
        evaluator.update(supervised(target), scene_of(value))
    return evaluator.result()


def supervised(value: sk.Events) -> Sample:
    scene = scene_of(value)
    return Sample(torch.zeros(3, *scene.size, dtype=torch.uint8), scene, Supervision(frozenset({sk.EVENTS})), 0)


def test_a_clip_is_the_same_in_any_company() -> None:
    """Padding to the longest clip, and the slots of others, change nothing."""
    head = built(score_threshold=0.0).eval()
    short, long = torch.randn(5, 4, CHANNELS + COLORS), torch.randn(12, 4, CHANNELS + COLORS)
    times = [tuple(number / 4 for number in range(count)) for count in (5, 12)]
    with torch.no_grad():
        alone = [board_of(batch_of(row), cells) for row, cells in zip(times, (short, long), strict=True)]
        single = [head.decode(head(board), board)[0] for board in alone]
        board = board_of(batch_of(*times), torch.cat((short, long)))
        both = head.decode(head(board), board)
    for one, other in zip(single, both, strict=True):
        assert difference(one, other, tolerance=1e-4) is None and len(one)


def test_time_starts_at_the_first_frame() -> None:
    """A clip an hour later has the same events an hour later."""
    head, cells = built(score_threshold=0.0).eval(), torch.randn(8, 4, CHANNELS + COLORS)
    times = tuple(number / 4 for number in range(8))
    found = []
    for start in (0.0, 3600.0):
        board = board_of(batch_of(tuple(start + time for time in times)), cells)
        with torch.no_grad():
            found.append(head.decode(head(board), board)[0])
    assert torch.allclose(found[1].spans - 3600.0, found[0].spans, atol=1e-2)
    assert found[0].captions.texts == found[1].captions.texts


def test_long_clips_are_read_in_windows_that_overlap_by_half() -> None:
    times = tuple(float(second) for second in range(50))
    parts = windows(batch_of((0.0, 1.0), times), seconds=20.0)
    assert parts[0] == (0, slice(0, 2))
    assert [(part.start - 2, part.stop - 2) for _, part in parts[1:]] == [(0, 21), (10, 31), (20, 41), (30, 50)]
    assert windows(batch_of((0.0, 100.0, 200.0)), 20.0) == [(0, slice(row, row + 1)) for row in range(3)]


def test_of_many_frames_in_a_second_a_few_are_looked_at() -> None:
    """Also where a frame is a little early."""
    looked = {rate: thinned(torch.arange(2 * rate) / rate, 4.0).tolist() for rate in (2, 8, 30)}
    assert looked == {2: [0, 1, 2, 3], 8: [0, 2, 4, 6, 8, 10, 12, 14], 30: [0, 7, 15, 22, 30, 37, 45, 52]}
    assert thinned(torch.tensor([9.0, 9.249, 9.5, 9.6]), 4.0).tolist() == [0, 1, 2]


def test_frames_between_those_looked_at_change_nothing() -> None:
    head, cells = built(score_threshold=0.0).eval(), torch.randn(16, 4, CHANNELS + COLORS)
    found = []
    for every in (1, 2):
        board = board_of(batch_of(tuple(number / 8 for number in range(0, 15, every))), cells[:15:every])
        with torch.no_grad():
            found.append(head.decode(head(board), board)[0])
    assert difference(*found, tolerance=1e-5) is None and len(found[0])


def test_spans_of_another_detector_are_described() -> None:
    """A span that equals a predicted one gets its text."""
    head = built(score_threshold=0.0).eval()
    board = board_of(batch_of(tuple(number / 4 for number in range(8))), torch.randn(8, 4, CHANNELS + COLORS))
    with torch.no_grad():
        raw = head(board)
        slots = raw[1].used[0].nonzero()[:, 0]
        spans = raw[1].spans[0][slots]
        own = head.captions(head._generated(raw[1], torch.zeros_like(slots), slots, spans))
        assert head.texts_of(raw[1], 0, spans).texts == own.texts


def test_words_see_the_cells_and_step_by_step_they_are_those_of_teacher_forcing() -> None:
    decoder = AttendingDecoder(6, 5, TOKENIZER, LstmConfig(width=8, features=8, layers=2), heads=2).eval()
    torch.nn.init.normal_(decoder.look.weight)
    features, cells, tokens = torch.randn(3, 6, 1, 1), torch.randn(3, 7, 5), torch.randint(0, 4, (3, 4))
    with torch.no_grad():
        region = decoder.encode(features, cells)
        forced = decoder(region, tokens)
        zeros = torch.zeros(3, 2, 8)
        _, lstm_state = decoder._advanced(region[:, 0], (zeros, zeros))
        state = (lstm_state, region[:, 1:])
        for column in range(4):
            log_probs, state = decoder.step(state, tokens[:, column])
            assert torch.allclose(log_probs, forced[:, column], atol=1e-5)
        order = decoder(decoder.encode(features, cells.flip(1)), tokens)
        assert torch.allclose(order, forced, atol=1e-5), "cells have no order"
        assert not torch.allclose(decoder(decoder.encode(features, cells + 1), tokens), forced, atol=1e-3)


def test_events_of_a_long_clip_are_on_its_clock_and_found_once() -> None:
    head = built(score_threshold=0.0, window=4.0, nms_threshold=0.5).eval()
    times = tuple(10 + number / 2 for number in range(40))
    board = board_of(batch_of(times), torch.randn(40, 4, CHANNELS + COLORS))
    with torch.no_grad():
        found = head.decode(head(board), board)[0]
    assert float(found.spans.min()) >= 10 and float(found.spans.max()) <= times[-1]
    assert bool((found.spans[1:, 0] >= found.spans[:-1, 0]).all()), "by their starts"
    near = span_iou(found.spans, found.spans) - torch.eye(len(found))
    assert float(near.max()) <= 0.5


def test_many_windows_and_texts_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips of 13 windows, the last one short: the network looks at 4 or fewer together; texts 7 at a time."""
    head = built(score_threshold=0.0, window=4.0).eval()
    torch.nn.init.normal_(head.decoder.predictor.weight)
    times = [tuple(number / 4 for number in range(count)) for count in (100, 9)]
    board, found, seen = board_of(batch_of(*times), torch.randn(109, 4, CHANNELS + COLORS)), [], list[int]()
    head.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for together, texts in ((1000, 1000), (4, 7)):
        monkeypatch.setattr(module, "TOGETHER", together)
        monkeypatch.setattr(module, "TEXTS_TOGETHER", texts)
        with torch.no_grad():
            found.append(head.decode(head(board), board))
    assert seen == [13, 4, 4, 4, 1] and len({*found[0][0].captions.texts}) > 1
    assert all(difference(*pair, tolerance=1e-5) is None and len(pair[0]) for pair in zip(*found, strict=True))
    head.train()(board)
    assert seen[5:] == [13], "in training all are one batch"


def test_windows_learn_the_events_whose_middle_they_have() -> None:
    """Two windows of a clip of 6 seconds: the one event is found in the first alone."""
    head = built(window=4.0)
    times = tuple(float(second) for second in range(7))
    images = batch_of(times)
    targets = Targets({}, {sk.EVENTS: [events((0.0, 2.0, TEXTS[0]))]}, {sk.EVENTS: torch.tensor([True])})
    seconds = frame_times(images, torch.zeros(1))
    found = [head.window_events(targets, images, number, seconds[part]) for number, part in windows(images, 4.0)]
    assert [None if one is None else len(one) for one in found] == [1, 0]
    assert found[1] is not None and head.window_events(replace_valid(targets), images, 0, seconds) is None


def replace_valid(targets: Targets) -> Targets:
    return replace(targets, valid={sk.EVENTS: torch.tensor([False])})


def test_matching_prefers_the_nearest_slot() -> None:
    centers = torch.tensor([0.0, 1.0, 2.0, 3.0])
    spans = torch.stack((centers - 0.5, centers + 0.5), dim=1)
    slots, rows = matched(torch.zeros(4), centers, spans, torch.tensor([[2.6, 3.4], [0.5, 1.5]]))
    assert dict(zip(rows.tolist(), slots.tolist(), strict=True)) == {0: 3, 1: 1}


def test_span_iou_by_hand() -> None:
    """Overlap 1 of 3, a gap of 2 in 6, and a span within another."""
    iou = span_iou(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 3.0], [4.0, 6.0], [0.5, 1.5]]))
    assert iou[0].tolist() == pytest.approx([1 / 3, -2 / 6, 1 / 2])


def test_the_better_of_two_equal_events_is_kept() -> None:
    spans = torch.tensor([[0.0, 1.0], [0.05, 1.0], [2.0, 3.0]])
    assert kept_rows(spans, torch.tensor([0.4, 0.9, 0.5]), 0.7).tolist() == [1, 2]
    assert kept_rows(spans[:0], torch.zeros(0), 0.7).tolist() == []


def test_a_clip_without_events_teaches_the_scores() -> None:
    head, board = built(), board_of(batch_of((0.0, 0.5)), torch.randn(2, 4, CHANNELS + COLORS))
    targets = Targets({}, {sk.EVENTS: [events()]}, {sk.EVENTS: torch.tensor([True])})
    losses = head.loss(head(board), board, targets)
    assert losses["score"] > 0 and losses["span"] == losses["text"] == 0


def test_the_tokenizer_is_that_of_the_training_captions() -> None:
    config = prepared(EventConfig(), [scene_of(events((0, 1, TEXTS[1])))])
    head = EventHead(Core(CHANNELS, (4,), VOCABULARY), config)
    assert {"ball", "left", "right"} <= set(head.tokenizer.names), "flipped texts, too"
    assert prepared(config, []) is config
    with pytest.raises(InputError, match="the training data has no described events"):
        prepared(EventConfig(), [])


def test_the_stage_brings_the_cells() -> None:
    (stage,) = stages(Core(CHANNELS, (4, 8), VOCABULARY), EventConfig(level=5, rows=2, columns=3))
    assert stage.provides == (EVENT_CELLS,) and not list(stage.parameters())


def test_several_texts_of_an_event_are_those_of_several_annotators() -> None:
    value = sk.Events(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), sk.Captions((("a", "b"), ("c",))))
    first, second = annotators(value)
    assert first.sentences == ("a", "c") and second.sentences == ("b",) and second.spans.tolist() == [[0, 1]]
    assert annotators(events()) == []


def test_unannotated_clips_are_not_measured() -> None:
    evaluator = EventEvaluator(VOCABULARY)
    sample = replace(supervised(events((0, 1, "a"))), supervision=Supervision())
    evaluator.update(sample, scene_of(events((0, 1, "a"))))
    assert evaluator.metric.result()["videos"] == 0


def test_frames_show_what_happens_at_their_moment() -> None:
    """The drawing of a clip has a bar for each event; that of a frame only those at its time."""
    value = events((0.0, 1.0, TEXTS[0]), (2.0, 3.0, TEXTS[1]))
    gray = Image.new("RGB", (320, 180), (128, 128, 128))
    whole = scene_of(value)
    frames = [replace(whole, moment=sk.Moment(time, 0)) for time in (0.5, 1.5)]
    drawn = [draw_task(SPEC, gray, scene).tobytes() for scene in (whole, *frames)]
    assert len({*drawn}) == 3 and drawn[2] == gray.tobytes()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="width must be a multiple of heads, got 30 and 4"):
        EventConfig(width=30)
    with pytest.raises(ValueError, match=r"lstm\.width must be a multiple of heads, got 30 and 4"):
        EventConfig.model_validate({"lstm": {"width": 30}})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_half_precision_clocks_stay_exact(dtype: torch.dtype) -> None:
    """At 50 frames in a second, where bfloat16 has no second between 8 and 8.0625: spans are nearly the same."""
    head = built(score_threshold=0.0, rate=50.0, window=10.0).eval()
    torch.nn.init.normal_(head.network.span.weight, std=0.05)
    times, cells = tuple(100 + number / 50 for number in range(501)), torch.randn(501, 4, CHANNELS + COLORS)
    board = board_of(batch_of(times), cells)
    half = board_of(batch_of(times), cells.to(dtype))
    with torch.no_grad():
        exact = head(board)[1]
        raw = head.to(dtype)(half)
        found = head.decode(raw, half)[0]
    assert raw[1].memory.dtype == dtype and bool(raw[1].there.all())
    assert torch.equal(raw[1].times, exact.times) and torch.equal(raw[1].centers, exact.centers)
    assert torch.allclose(raw[1].spans, exact.spans, atol=0.05) and len(exact.spans.unique()) > 10
    assert len(found) and found.spans.dtype == torch.float32 and float(found.spans.min()) >= 100


def test_the_shipped_model_predicts_events_in_half_precision() -> None:
    """The event with the best score is found at nearly the same time."""
    clip, model = sk.clips("synthetic_clips", split="val", frames=10, rate=4, size=(120, 160))[0], sk.load("small")
    exact = sk.predict_clip(model, clip)[sk.EVENTS]
    assert len(exact) and exact.scores is not None
    best = exact.spans[exact.scores.argmax()]
    found = sk.predict_clip(model.to(torch.bfloat16), clip)[sk.EVENTS]
    assert found.spans.dtype == torch.float32 and float(span_iou(best[None], found.spans).max()) >= 0.8
