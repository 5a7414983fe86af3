"""Text generation, one token after the other: greedy, with beams, or by sampling.

Letters: N regions, K beams of each, V tokens, T tokens generated so far, L upper limit of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.tensors import map_tensors
from scenekit_plugins.texts.config import SearchConfig
from scenekit_plugins.texts.decoder import GeneratedTokens

Step = Callable[[Any, Int[Tensor, " N"]], tuple[Float[Tensor, "N V"], Any]]
"""(state, tokens) -> (log-probabilities of the next tokens, the next state).

A state is any nesting of tensors whose first dimension are the rows.
"""

Choice = Callable[[Float[Tensor, "N V"], Int[Tensor, " N"], int], Int[Tensor, " N"]]
"""(log-probabilities, regions of these rows, step) -> tokens."""


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens of every text."""

    start: int
    """Token before a text."""
    end: int
    """Token after a text."""
    pad: int
    """Token of padding."""


def search(
    step: Step, state: Any, special: SpecialTokens, limit: int, config: SearchConfig, uniform: Float[Tensor, "N L"]
) -> GeneratedTokens:
    """Generate texts by the method of `config`.

    Args:
        step: Computes the next log-probabilities.
        state: State at the start.
        special: Special tokens.
        limit: Upper limit of the tokens of a text.
        config: Method and its options.
        uniform: Random numbers from 0 to 1, one per region and token.

    Returns:
        The texts.
    """
    rows = len(uniform)
    if config.method == "beam":
        return beam_search(step, state, special, limit, config, rows)
    choose: Choice = _best
    if config.method == "sampling":
        choose = _drawn(config, uniform)
    return one_by_one(step, state, special, limit, choose, rows, uniform.device)


def one_by_one(
    step: Step, state: Any, special: SpecialTokens, limit: int, choose: Choice, rows: int, device: torch.device
) -> GeneratedTokens:
    """Generate one text per region; regions whose text has ended are dropped from the computation.

    Args:
        step: Computes the next log-probabilities.
        state: State at the start.
        special: Special tokens.
        limit: Upper limit of the tokens of a text.
        choose: Chooses the next tokens.
        rows: Number of regions.
        device: Device of the result.

    Returns:
        The texts.
    """
    tokens = torch.full((rows, limit), special.pad, device=device)
    log_probs = torch.zeros((rows, limit), dtype=torch.float32, device=device)
    active = torch.arange(rows, device=device)
    last = torch.full((rows,), special.start, device=device)
    length = 0
    while length < limit and len(active):
        probable, state = step(state, last)
        last = choose(probable, active, length)
        tokens[active, length] = last
        log_probs[active, length] = probable.gather(1, last[:, None])[:, 0]
        more = last != special.end
        if not bool(more.all()):
            active, last, state = active[more], last[more], select(state, more.nonzero()[:, 0])
        length += 1
    return GeneratedTokens(tokens[:, :length], log_probs[:, :length])


def beam_search(
    step: Step, state: Any, special: SpecialTokens, limit: int, config: SearchConfig, rows: int
) -> GeneratedTokens:
    """Return the best of K beams per region; beams that have ended stay among them.

    Texts are ranked by log-probability over length ** `length_penalty`, the end token counted.

    Args:
        step: Computes the next log-probabilities.
        state: State at the start.
        special: Special tokens.
        limit: Upper limit of the tokens of a text.
        config: Number of beams and length penalty.
        rows: Number of regions.

    Returns:
        The texts.
    """
    width, device = config.beams, state_device(state)
    first = torch.arange(rows, device=device)[:, None] * width  # the first beam of each region
    state = select(state, torch.arange(rows, device=device).repeat_interleave(width))
    beams = _Beams.fresh(rows, width, special, device)
    for _ in range(limit):
        if beams.settled(limit, config.length_penalty):
            break
        probable, state = step(state, beams.last.flatten())
        beams, parents = beams.extended(probable.reshape(rows, width, -1), special, config.length_penalty)
        state = select(state, (first + parents).flatten())
    return GeneratedTokens(beams.tokens[:, 0], beams.log_probs[:, 0])


@dataclass(frozen=True, eq=False)
class _Beams:
    """Beams of each region, the best first."""

    tokens: Int[Tensor, "N K T"]
    log_probs: Float[Tensor, "N K T"]
    total: Float[Tensor, "N K"]
    length: Int[Tensor, "N K"]
    ended: Bool[Tensor, "N K"]
    last: Int[Tensor, "N K"]

    @classmethod
    def fresh(cls, rows: int, width: int, special: SpecialTokens, device: torch.device) -> _Beams:
        """Return empty beams. One per region is active: equal ones would give the same text K times."""
        total = torch.full((rows, width), -torch.inf, dtype=torch.float32, device=device)
        total[:, 0] = 0
        nothing = torch.zeros((rows, width), dtype=torch.int64, device=device)
        empty = total.new_zeros((rows, width, 0))
        return cls(empty.long(), empty, total, nothing, nothing.bool(), nothing + special.start)

    def settled(self, limit: int, penalty: float) -> bool:
        """Return whether each region's first beam has ended and no other can become better: totals only fall."""
        length = torch.where(self.ended, self.length, limit).clamp(min=1)
        return bool((self.ended[:, 0] & ((self.total / length**penalty).argmax(dim=1) == 0)).all())

    def extended(
        self, probable: Float[Tensor, "N K V"], special: SpecialTokens, penalty: float
    ) -> tuple[_Beams, Int[Tensor, "N K"]]:
        """Return the best beams that are one token longer or have ended, and the parent of each."""
        ended = self.ended[..., None]
        stay = torch.full_like(probable, -torch.inf)
        stay[..., special.pad] = 0
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
                self.ended.gather(1, parents) | (chosen == special.end),
                chosen,
            ),
            parents,
        )


def select(state: Any, rows: Int[Tensor, " M"]) -> Any:
    """Select rows of a state, in a new order.

    Args:
        state: The state.
        rows: Rows of the new state.

    Returns:
        The new state.
    """
    return map_tensors(lambda part: part[rows], state)


def state_device(state: Any) -> torch.device:
    """Return the device of a state's tensors.

    Args:
        state: The state.

    Returns:
        The device.
    """
    devices: list[torch.device] = []
    map_tensors(lambda part: devices.append(part.device) or part, state)  # type: ignore[func-returns-value]
    return devices[0]


def warped(log_probs: Float[Tensor, "N V"], config: SearchConfig) -> Float[Tensor, "N V"]:
    """Compute probabilities for sampling, limited by temperature, `top_k` and `top_p`.

    Args:
        log_probs: Log-probabilities of the tokens.
        config: Options of sampling.

    Returns:
        Probabilities.
    """
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


def drawn_tokens(
    log_probs: Float[Tensor, "N V"], config: SearchConfig, uniform: Float[Tensor, " N"]
) -> Int[Tensor, " N"]:
    """Sample tokens by the inverse of the cumulative probabilities.

    Args:
        log_probs: Log-probabilities of the tokens.
        config: Options of sampling.
        uniform: A random number from 0 to 1 per row.

    Returns:
        The tokens.
    """
    summed = warped(log_probs, config).double().cumsum(dim=-1)
    drawn = uniform.to(summed)[:, None] * summed[:, -1:]
    return torch.searchsorted(summed, drawn, right=True)[:, 0].clamp(max=log_probs.shape[1] - 1)


def _drawn(config: SearchConfig, uniform: Float[Tensor, "N L"]) -> Choice:
    """Return a choice by sampling; each region has its own numbers, so that its text depends on no other region."""
    return lambda log_probs, rows, step: drawn_tokens(log_probs, config, uniform[rows, step])


def _of(values: Tensor, parents: Int[Tensor, "N K"]) -> Tensor:
    """Return the values of the parents, beam by beam."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, parents]
