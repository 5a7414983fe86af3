"""Finding a text, one token after the other: greedily, in beams, or by drawing lots.

Letters: N regions, K beams of each, V tokens, T tokens written so far, L the most that may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.tensors import map_tensors
from scenekit_plugins.captions.config import SearchConfig
from scenekit_plugins.captions.decoder import Written

Step = Callable[[Any, Int[Tensor, " N"]], tuple[Float[Tensor, "N V"], Any]]
"""(state, tokens) -> (log-probabilities of the next tokens, the state behind them).

A state is any nest of tensors whose first dimension are the rows.
"""

Choice = Callable[[Float[Tensor, "N V"], Int[Tensor, " N"], int], Int[Tensor, " N"]]
"""(log-probabilities, the rows of the regions that they belong to, step) -> tokens."""


@dataclass(frozen=True)
class Marks:
    """Tokens with a part in every text."""

    start: int
    end: int
    pad: int


def search(
    step: Step, state: Any, marks: Marks, limit: int, config: SearchConfig, dice: Float[Tensor, "N L"]
) -> Written:
    """Texts of at most `limit` tokens by the method of `config`; `dice` has a number per region and token to draw."""
    rows = len(dice)
    if config.method == "beam":
        return beam_search(step, state, marks, limit, config, rows)
    choose: Choice = _best
    if config.method == "sampling":
        choose = _drawn(config, dice)
    return one_by_one(step, state, marks, limit, choose, rows, dice.device)


def one_by_one(
    step: Step, state: Any, marks: Marks, limit: int, choose: Choice, rows: int, device: torch.device
) -> Written:
    """One text a region; regions whose text has ended take no part any more."""
    tokens = torch.full((rows, limit), marks.pad, device=device)
    log_probs = torch.zeros((rows, limit), device=device)
    going = torch.arange(rows, device=device)
    last = torch.full((rows,), marks.start, device=device)
    written = 0
    while written < limit and len(going):
        probable, state = step(state, last)
        last = choose(probable, going, written)
        tokens[going, written] = last
        log_probs[going, written] = probable.gather(1, last[:, None])[:, 0]
        more = last != marks.end
        if not bool(more.all()):
            going, last, state = going[more], last[more], select(state, more.nonzero()[:, 0])
        written += 1
    return Written(tokens[:, :written], log_probs[:, :written])


def beam_search(step: Step, state: Any, marks: Marks, limit: int, config: SearchConfig, rows: int) -> Written:
    """The best of K texts that are followed at once; those that have ended keep their place among them.

    Texts compare by log-probability over length ** `length_penalty`, the end counted.
    """
    width, device = config.beams, state_device(state)
    first = torch.arange(rows, device=device)[:, None] * width  # the first beam of each region
    state = select(state, torch.arange(rows, device=device).repeat_interleave(width))
    beams = _Beams.fresh(rows, width, marks, device)
    for _ in range(limit):
        if beams.settled(limit, config.length_penalty):
            break
        probable, state = step(state, beams.last.flatten())
        beams, parents = beams.extended(probable.reshape(rows, width, -1), marks, config.length_penalty)
        state = select(state, (first + parents).flatten())
    return Written(beams.tokens[:, 0], beams.log_probs[:, 0])


@dataclass(frozen=True, eq=False)
class _Beams:
    """Beginnings of texts, the best of each region first."""

    tokens: Int[Tensor, "N K T"]
    log_probs: Float[Tensor, "N K T"]
    total: Float[Tensor, "N K"]
    length: Int[Tensor, "N K"]
    ended: Bool[Tensor, "N K"]
    last: Int[Tensor, "N K"]

    @classmethod
    def fresh(cls, rows: int, width: int, marks: Marks, device: torch.device) -> _Beams:
        """Nothing written. One beam a region is alive: equal ones would find the same text K times."""
        total = torch.full((rows, width), -torch.inf, device=device)
        total[:, 0] = 0
        nothing = torch.zeros((rows, width), dtype=torch.int64, device=device)
        empty = total.new_zeros((rows, width, 0))
        return cls(empty.long(), empty, total, nothing, nothing.bool(), nothing + marks.start)

    def settled(self, limit: int, penalty: float) -> bool:
        """Whether the first beam of each region has ended, and no other one can become better: totals only fall."""
        length = torch.where(self.ended, self.length, limit).clamp(min=1)
        return bool((self.ended[:, 0] & ((self.total / length**penalty).argmax(dim=1) == 0)).all())

    def extended(
        self, probable: Float[Tensor, "N K V"], marks: Marks, penalty: float
    ) -> tuple[_Beams, Int[Tensor, "N K"]]:
        """The best texts that are one token longer or have ended, and the beam that each one goes on from."""
        ended = self.ended[..., None]
        stay = torch.full_like(probable, -torch.inf)
        stay[..., marks.pad] = 0
        probable = torch.where(ended, stay, probable)
        total = self.total[..., None] + probable
        length = (self.length + ~self.ended)[..., None]
        ranked = total / length.clamp(min=1) ** penalty
        tokens_known = probable.shape[-1]
        place = ranked.flatten(1).topk(self.total.shape[1]).indices
        parents, chosen = place // tokens_known, place % tokens_known
        log_probs = probable.flatten(1).gather(1, place)
        return (
            _Beams(
                torch.cat((_of(self.tokens, parents), chosen[..., None]), dim=-1),
                torch.cat((_of(self.log_probs, parents), log_probs[..., None]), dim=-1),
                total.flatten(1).gather(1, place),
                length[..., 0].gather(1, parents),
                self.ended.gather(1, parents) | (chosen == marks.end),
                chosen,
            ),
            parents,
        )


def select(state: Any, rows: Int[Tensor, " M"]) -> Any:
    """Some rows of a state, in a new order."""
    return map_tensors(lambda part: part[rows], state)


def state_device(state: Any) -> torch.device:
    """Where the tensors of a state are."""
    devices: list[torch.device] = []
    map_tensors(lambda part: devices.append(part.device) or part, state)  # type: ignore[func-returns-value]
    return devices[0]


def warped(log_probs: Float[Tensor, "N V"], config: SearchConfig) -> Float[Tensor, "N V"]:
    """Probabilities to draw from: at a temperature, of the `top_k` best, of the fewest that make up `top_p`."""
    probable = (log_probs / config.temperature).softmax(dim=-1)
    order = probable.sort(dim=-1, descending=True)
    kept = torch.ones_like(order.values, dtype=torch.bool)
    if config.top_k is not None:
        kept[:, config.top_k :] = False
    if config.top_p is not None:
        kept &= order.values.cumsum(dim=-1) - order.values < config.top_p
    kept[:, 0] = True
    probable = torch.zeros_like(probable).scatter(1, order.indices, order.values * kept)
    return probable / probable.sum(dim=-1, keepdim=True)


def _best(log_probs: Float[Tensor, "N V"], rows: Int[Tensor, " N"], step: int) -> Int[Tensor, " N"]:
    return log_probs.argmax(dim=-1)


def drawn_tokens(log_probs: Float[Tensor, "N V"], config: SearchConfig, dice: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """By the inverse of the cumulative probabilities."""
    summed = warped(log_probs, config).double().cumsum(dim=-1)
    drawn = dice.to(summed)[:, None] * summed[:, -1:]
    return torch.searchsorted(summed, drawn, right=True)[:, 0].clamp(max=log_probs.shape[1] - 1)


def _drawn(config: SearchConfig, dice: Float[Tensor, "N L"]) -> Choice:
    """Each region has numbers of its own, so that its text depends on no other region."""
    return lambda log_probs, rows, step: drawn_tokens(log_probs, config, dice[rows, step])


def _of(values: Tensor, parents: Int[Tensor, "N K"]) -> Tensor:
    """What belongs to the parents, beam by beam."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, parents]
