"""The network: slots of time look at the cells of frames, and each gives a span and its features.

Letters: K clips, F frames of the longest, G cells of a frame in r rows and c columns, D width, DD twice that, S slots
of the longest clip, H heads, N events, M moments of an event, P cells of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit_plugins.events.cells import COLORS
from scenekit_plugins.events.config import EventConfig

SPREADS = (0.3, 1.0, 3.0, 10.0)
"""Seconds within which heads look around their slot at first, one after the other."""

LENGTH = 1.5
"""Seconds that a slot's span is long at first."""

PERIODS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds of the waves that tell times apart."""

CONTRAST = 2.0
"""What normalized pixels are multiplied by: they vary less than features."""

REACH = 5
"""Frames that a convolution along time covers."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What the network makes of clips."""

    memory: Float[Tensor, "K F G D"]
    """Features of each cell."""
    times: Float[Tensor, "K F"]
    """Seconds of each frame from the first of its clip; in single precision, as are centers and spans."""
    there: Bool[Tensor, "K F"]
    """Which frames there are; the others pad shorter clips."""
    centers: Float[Tensor, "K S"]
    """Seconds of each slot."""
    used: Bool[Tensor, "K S"]
    """Which slots there are."""
    slots: Float[Tensor, "K S D"]
    """Features of each slot."""
    logits: Float[Tensor, "K S"]
    """Of there being an event."""
    spans: Float[Tensor, "K S 2"]
    """Start and end, in seconds from the first frame."""

    @classmethod
    def cat(cls, parts: Sequence[Sight]) -> Sight:
        """Concatenate what the network makes of several groups of clips, padded to the longest clip of all.

        Args:
            parts: One for each group, at least one.

        Returns:
            That of all clips, in order.
        """
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls)]
        rows = ([row for part in parts for row in getattr(part, name)] for name in names)
        return cls(*(nn.utils.rnn.pad_sequence(values, batch_first=True) for values in rows))


class Attention(nn.Module):
    """Queries at times that look at the cells of all frames, each head mostly at those within its own span of time."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out, self.dropout = nn.Linear(width, width), dropout
        spreads = [SPREADS[head % len(SPREADS)] for head in range(heads)]
        self.log_spread = nn.Parameter(torch.tensor(spreads).log())

    def forward(
        self,
        queries: Float[Tensor, "K S D"],
        memory: Float[Tensor, "K F G D"],
        away: Float[Tensor, "K S F"],
        there: Bool[Tensor, "K #S F"],
    ) -> Float[Tensor, "K S D"]:
        """Return what each query sees; `away` are the seconds from it to each frame."""
        cells = memory.shape[2]
        spread = self.log_spread.exp()[None, :, None, None]
        bias = (-0.5 * (away[:, None] / spread) ** 2).masked_fill(~there[:, None], -torch.inf)
        bias = bias[..., None].expand(-1, -1, -1, -1, cells).flatten(3)  # H, S, F G
        q = self._split(self.query(queries))
        k, v = map(self._split, self.key_value(memory.flatten(1, 2)).chunk(2, dim=-1))
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out

    def _split(self, values: Float[Tensor, "K T D"]) -> Float[Tensor, "K H T d"]:
        count, length, width = values.shape
        return values.reshape(count, length, self.heads, width // self.heads).transpose(1, 2)


class Layer(nn.Module):
    """Slots look at each other, then at the cells."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        width = config.width
        self.among = nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True)
        self.at_cells = Attention(width, config.heads, config.dropout)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, slots: Float[Tensor, "K S D"], sight: tuple[Tensor, Tensor, Tensor], unused: Bool[Tensor, "K S"]
    ) -> Float[Tensor, "K S D"]:
        """Return new features of the slots; `sight` is what `Attention` takes beside the queries."""
        x = self.norms[0](slots)
        slots = slots + self.dropout(self.among(x, x, x, key_padding_mask=unused, need_weights=False)[0])
        slots = slots + self.dropout(self.at_cells(self.norms[1](slots), *sight))
        out: Tensor = slots + self.dropout(self.inner(self.norms[2](slots)))
        return out


class EventNetwork(nn.Module):
    """From cells of frames to slots with spans, and to the features of spans that are described."""

    def __init__(self, inputs: int, config: EventConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.colors = COLORS * config.parts**2
        self.inputs_norm, self.cells = nn.LayerNorm(inputs - self.colors), nn.Linear(inputs, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.rows * config.columns, width))
        self.time = nn.Linear(2 * len(PERIODS), width)
        self.motion = nn.ModuleList(Motion(width, (config.rows, config.columns)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.slot = nn.Parameter(0.5 * torch.randn(config.slots, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.score, self.span = nn.Linear(width, 1), nn.Linear(width, 2)
        self.moment = nn.Parameter(0.02 * torch.randn(config.moments, width))
        self.describing = Attention(width, config.heads, config.dropout)
        self.memory_norm = nn.LayerNorm(width)
        self.describe_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        nn.init.constant_(self.score.bias, -2.0)
        nn.init.zeros_(self.span.weight)
        nn.init.zeros_(self.span.bias)

    def forward(self, cells: Sequence[Float[Tensor, "f G C"]], times: Sequence[Float[Tensor, " f"]]) -> Sight:
        """Look at clips."""
        padded = nn.utils.rnn.pad_sequence(list(cells), batch_first=True)
        clock = nn.utils.rnn.pad_sequence([row - row[0] for row in times], batch_first=True)
        counts = torch.tensor([len(row) for row in cells], device=padded.device)
        there = torch.arange(padded.shape[1], device=padded.device) < counts[:, None]
        memory = self._memory(padded, clock, there)
        centers, used = self._centers([float(row[-1] - row[0]) for row in times], clock)
        slots = self.slot.repeat(centers.shape[1] // len(self.slot), 1) + self._clock(centers)
        away = centers[:, :, None] - clock[:, None]
        for layer in self.layers:
            slots = layer(slots, (memory, away, there[:, None]), ~used)
        moved = self.span(slots).to(centers.dtype)
        middle = centers + moved[..., 0] * self.config.step
        half = 0.5 * LENGTH * moved[..., 1].clamp(-8, 8).exp()
        spans = torch.stack((middle - half, middle + half), dim=-1)
        return Sight(memory, clock, there, centers, used, slots, self.score(slots)[..., 0], spans)

    def _memory(
        self, cells: Float[Tensor, "K F G C"], times: Float[Tensor, "K F"], there: Bool[Tensor, "K F"]
    ) -> Float[Tensor, "K F G D"]:
        """Return features of cells that know what moves: convolutions along time, in each cell by itself."""
        features, colors = cells[..., : -self.colors], cells[..., -self.colors :]  # colors keep their values
        x = self.cells(torch.cat((self.inputs_norm(features), CONTRAST * colors), dim=-1)) + self.place
        known = there[:, :, None, None]
        for norm, motion in zip(self.norms, self.motion, strict=True):
            x = x + motion(norm(x) * known)
        out: Tensor = (x + self._clock(times)[:, :, None]) * known
        return out

    def _clock(self, times: Float[Tensor, "K T"]) -> Float[Tensor, "K T D"]:
        """Return features of times, which stay in single precision until they are waves."""
        out: Tensor = self.time(waves(times).to(self.time.weight.dtype))
        return out

    def _centers(self, lengths: Sequence[float], like: Tensor) -> tuple[Float[Tensor, "K S"], Bool[Tensor, "K S"]]:
        """Return the times of the slots, and which there are."""
        counts = [1 + math.floor(length / self.config.step + 1e-6) for length in lengths]
        steps = torch.arange(max(counts), device=like.device).repeat_interleave(self.config.slots)
        used = steps < torch.tensor(counts, device=like.device)[:, None]
        return (steps * self.config.step).to(like.dtype).expand(len(counts), -1), used

    def described(
        self,
        sight: Sight,
        clips: Int[Tensor, " N"],
        slots: Float[Tensor, "N D"],
        spans: Float[Tensor, "N 2"],
    ) -> tuple[Float[Tensor, "N DD"], Float[Tensor, "N P D"]]:
        """Return what events are described from.

        These are features of the slot and what it sees in some moments of the span, and the cells of these moments,
        which know how far into the span they are.
        """
        part = torch.linspace(0, 1, self.config.moments, device=spans.device, dtype=spans.dtype)
        wanted = spans[:, :1] + part * (spans[:, 1:] - spans[:, :1])
        away = (wanted[:, :, None] - sight.times[clips][:, None]).abs()
        frames = away.masked_fill(~sight.there[clips][:, None], torch.inf).argmin(dim=2)  # N, M
        cells = self.memory_norm(sight.memory[clips[:, None], frames] + self.moment[:, None])
        there = torch.ones_like(wanted, dtype=torch.bool)
        seen = self.describing(slots[:, None], cells, torch.zeros_like(wanted)[:, None], there[:, None])[:, 0]
        norms = zip(self.describe_norms, (slots, seen), strict=True)
        return torch.cat([norm(part) for norm, part in norms], dim=1), cells.flatten(1, 2)


class Motion(nn.Module):
    """Convolutions of each number by itself, along time and then over neighboring cells, and layers that mix numbers.

    What leaves a cell as it enters the next one tells where something moves.
    """

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.kernel = nn.Parameter(torch.empty(REACH, width).uniform_(-1, 1) / math.sqrt(REACH))
        self.near = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.inner = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, cells: Float[Tensor, "K F G D"]) -> Float[Tensor, "K F G D"]:
        """Return the same number of frames and cells; beyond the first and the last are zeros."""
        frames = cells.shape[1]
        padded = F.pad(cells, (0, 0, 0, 0, REACH // 2, REACH // 2))
        shifted = (padded[:, place : place + frames] * row for place, row in enumerate(self.kernel))
        x = reduce(torch.add, shifted).flatten(0, 1).unflatten(1, self.grid).permute(0, 3, 1, 2)  # K F, D, r, c
        near = (x + self.near(x)).permute(0, 2, 3, 1).reshape(cells.shape)
        out: Tensor = self.inner(near)
        return out


def waves(times: Float[Tensor, "*any"]) -> Float[Tensor, "*any W"]:
    """Return sine and cosine of times for each period.

    Args:
        times: In seconds.

    Returns:
        Numbers from -1 to 1.
    """
    angles = 2 * math.pi * times[..., None] / times.new_tensor(PERIODS)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)
