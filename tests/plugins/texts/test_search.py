"""Searches against all texts that there are, counted one by one, over a tiny vocabulary with a network of chance."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit_plugins.texts.config import SearchConfig
from scenekit_plugins.texts.decoder import GeneratedTokens
from scenekit_plugins.texts.search import SpecialTokens, drawn_tokens, search, select, warped

PAD, START, END, A, B = range(5)
SPECIAL = SpecialTokens(START, END, PAD)
TOKENS, ROWS, LIMIT = 5, 6, 4


class Chance:
    """Probabilities that depend on the region and on everything said so far; the state is just that."""

    def __init__(self, sharpness: float = 1.0, seed: int = 0) -> None:
        self.table = sharpness * torch.randn(997, TOKENS, generator=torch.Generator().manual_seed(seed))
        self.table[:, [PAD, START]] = -torch.inf
        self.steps = 0

    def begin(self, rows: int = ROWS) -> dict[str, Tensor]:
        return {"said": torch.arange(rows) * 31 + 7}

    def step(self, state: Any, tokens: Tensor) -> tuple[Tensor, Any]:
        self.steps += 1
        said = (state["said"] * 5 + tokens) % len(self.table)
        return self.table[said].log_softmax(-1), {"said": said}

    def score(self, row: int, text: tuple[int, ...]) -> list[float]:
        """Log-probability of each token of one text, one call after the other."""
        state, last, found = select(self.begin(), torch.tensor([row])), START, []
        for token in text:
            probable, state = self.step(state, torch.tensor([last]))
            found.append(float(probable[0, token]))
            last = token
        return found


def every_text(limit: int) -> list[tuple[int, ...]]:
    """All texts that end within the limit, and those that are cut off by it."""
    ended = [(*words, END) for n in range(limit) for words in itertools.product((A, B), repeat=n)]
    return [*ended, *itertools.product((A, B), repeat=limit)]


def texts(written: GeneratedTokens) -> list[tuple[int, ...]]:
    is_text = written.text_mask(END)
    return [tuple(tokens[mask].tolist()) for tokens, mask in zip(written.tokens, is_text, strict=True)]


def found(
    net: Chance, rows: int = ROWS, limit: int = LIMIT, uniform: Tensor | None = None, **options: Any
) -> GeneratedTokens:
    uniform = torch.rand(rows, limit) if uniform is None else uniform
    return search(net.step, net.begin(rows), SPECIAL, limit, SearchConfig.model_validate(options), uniform)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_beams_that_miss_nothing_find_the_best_of_all_texts(penalty: float) -> None:
    net = Chance()
    written = found(net, method="beam", beams=64, length_penalty=penalty)
    for row, text in enumerate(texts(written)):
        ranked = {t: sum(net.score(row, t)) / len(t) ** penalty for t in every_text(LIMIT)}
        assert text == max(ranked, key=lambda t: ranked[t])


def test_beams_follow_the_best_beginnings() -> None:
    """Two beams by a search written out plainly for one region at a time."""
    net = Chance(seed=3)
    for row, text in enumerate(texts(found(net, method="beam", beams=2, length_penalty=1.0))):
        kept: list[tuple[int, ...]] = [()]
        for _ in range(LIMIT):
            longer = [t if t[-1:] == (END,) else (*t, token) for t in kept for token in (END, A, B)]
            score = {t: sum(net.score(row, t)) / len(t) for t in longer}
            kept = sorted(score, key=lambda t: -score[t])[:2]
        assert text == kept[0]


def test_one_beam_is_greedy() -> None:
    net = Chance()
    one, greedy = found(net, method="beam", beams=1), found(net)
    assert texts(one) == texts(greedy)
    torch.testing.assert_close(one.log_probs, greedy.log_probs)


def test_greedy_takes_the_most_probable() -> None:
    net = Chance()
    for row, text in enumerate(texts(found(net))):
        said: tuple[int, ...] = ()
        while len(said) < LIMIT and said[-1:] != (END,):
            said = max(((*said, token) for token in (END, A, B)), key=lambda t: net.score(row, t)[-1])
        assert text == said


@pytest.mark.parametrize("options", [{}, {"method": "beam", "beams": 3}, {"method": "sampling"}])
def test_log_probabilities_are_those_of_the_text(options: dict[str, Any]) -> None:
    net = Chance()
    written = found(net, **options)
    for row, text in enumerate(texts(written)):
        torch.testing.assert_close(written.log_probs[row, : len(text)], torch.tensor(net.score(row, text)))
        assert not written.log_probs[row, len(text) :].any()


@pytest.mark.parametrize("options", [{}, {"method": "beam", "beams": 3}, {"method": "sampling"}])
def test_a_region_has_the_same_text_alone_and_among_others(options: dict[str, Any]) -> None:
    uniform = torch.rand(ROWS, LIMIT)
    together = texts(found(Chance(), uniform=uniform, **options))
    alone = [texts(found(Chance(), rows=n + 1, uniform=uniform[: n + 1], **options))[n] for n in range(ROWS)]
    assert together == alone


@pytest.mark.parametrize("options", [{}, {"method": "beam", "beams": 2}, {"method": "sampling"}])
def test_stops_when_every_text_has_ended(options: dict[str, Any]) -> None:
    net = Chance()
    net.table[:, END] = 50.0
    written = found(net, limit=30, **options)
    assert net.steps == 1 and written.tokens.tolist() == [[END]] * ROWS


def test_sampling_draws_by_probability() -> None:
    draws = 40_000
    probable = torch.tensor([0.0, 0.0, 0.2, 0.5, 0.3]).log().expand(draws, -1)
    drawn = drawn_tokens(probable, SearchConfig(method="sampling"), torch.rand(draws))
    share = torch.bincount(drawn, minlength=TOKENS) / draws
    torch.testing.assert_close(share, probable[0].exp(), atol=0.01, rtol=0)


def test_lots_at_the_ends_draw_what_is_possible() -> None:
    probable = torch.tensor([[0.0, 0.0, 0.2, 0.5, 0.3]]).log().expand(2, -1)
    assert drawn_tokens(probable, SearchConfig(method="sampling"), torch.tensor([0.0, 1.0])).tolist() == [END, B]


def test_warped_probabilities_by_hand() -> None:
    probable = torch.tensor([[0.5, 0.3, 0.15, 0.05]])

    def kept(**options: Any) -> list[float]:
        return warped(probable.log(), SearchConfig(method="sampling", **options))[0].tolist()

    assert kept() == pytest.approx([0.5, 0.3, 0.15, 0.05])
    assert kept(top_k=2) == pytest.approx([0.625, 0.375, 0, 0])
    assert kept(top_p=0.5) == pytest.approx([1, 0, 0, 0])
    assert kept(top_p=0.51) == pytest.approx([0.625, 0.375, 0, 0])
    squares = [0.25, 0.09, 0.0225, 0.0025]
    assert kept(temperature=0.5) == pytest.approx([s / sum(squares) for s in squares])
    assert kept(temperature=0.5, top_k=1) == pytest.approx([1, 0, 0, 0])


def test_a_low_temperature_is_greedy() -> None:
    assert texts(found(Chance(), method="sampling", temperature=1e-3)) == texts(found(Chance()))


def test_more_beams_than_beginnings() -> None:
    net = Chance()
    assert texts(found(net, limit=1, method="beam", beams=32)) == texts(found(net, limit=1))


@pytest.mark.parametrize("method", ["greedy", "beam", "sampling"])
def test_probabilities_are_in_single_precision_whatever_the_default(method: Any) -> None:
    chance = Chance()
    torch.set_default_dtype(torch.float64)
    try:
        uniform = torch.full((ROWS, LIMIT), 0.5)
        found = search(chance.step, chance.begin(), SPECIAL, LIMIT, SearchConfig(method=method), uniform)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.log_probs.dtype == torch.float32
