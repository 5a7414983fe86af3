"""What writes the words, whatever network it is.

Letters: N regions, C channels, S pooled side, W width of what is seen in the image, P parts of what is kept of a
region, D their width, T tokens, V tokens known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from scenekit.model.head import ParameterNames
from scenekit_plugins.captions.config import SearchConfig
from scenekit_plugins.captions.tokenizer import CaptionTokenizer


@dataclass(frozen=True, eq=False)
class Written:
    """Texts: `tokens` up to the end, which is one of them, then padding; the `log_probs` of each, 0 on padding.

    A text that met the bound on its length has no end.
    """

    tokens: Int[Tensor, "N T"]
    log_probs: Float[Tensor, "N T"]

    def split(self, rows: Sequence[int]) -> list[Written]:
        """So many texts each, in order."""
        parts = zip(torch.split(self.tokens, list(rows)), torch.split(self.log_probs, list(rows)), strict=True)
        return [Written(tokens, log_probs) for tokens, log_probs in parts]

    def there(self, end: int) -> Bool[Tensor, "N T"]:
        """Which tokens are text, the `end` included, and not padding."""
        ended = (self.tokens == end).long().cumsum(dim=1) - (self.tokens == end).long()
        return ended == 0


class CaptionDecoder(nn.Module):
    """Reads a region once (`read`), then says what comes next (`forward`) or writes by itself (`write`)."""

    unwritten: Bool[Tensor, " V"]
    axis_names: ParameterNames
    """Where its parameters follow the tokens."""

    def __init__(self, tokenizer: CaptionTokenizer, known: int | None = None) -> None:
        """`known`: tokens that the network has room for, where those are more than the tokenizer has."""
        super().__init__()
        self.start, self.end, self.pad = tokenizer.start, tokenizer.end, tokenizer.pad
        unwritten = torch.zeros(known or len(tokenizer), dtype=torch.bool)
        unwritten[list(tokenizer.unwritten)] = True
        unwritten[len(tokenizer) :] = True
        self.register_buffer("unwritten", unwritten, persistent=False)

    @abstractmethod
    def read(
        self, pooled: Float[Tensor, "N C S S"], seen: Float[Tensor, "N W"] | None = None
    ) -> Float[Tensor, "N P D"]:
        """What the decoder keeps of RoI features, and of what is `seen` in the image, where it looks there."""

    @abstractmethod
    def forward(self, region: Float[Tensor, "N P D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Log-probabilities of the token behind each of `tokens`, the first of which is the start.

        Tokens that are never written have none (-inf).
        """

    @abstractmethod
    def write(
        self, region: Float[Tensor, "N P D"], limit: int, config: SearchConfig, dice: Float[Tensor, "N L"]
    ) -> Written:
        """A text of at most `limit` tokens for each region, of which there is at least one.

        `dice` are numbers from 0 to 1 for sampling, one for each token; L = limit.
        """

    def log_probs(self, logits: Float[Tensor, "... V"]) -> Float[Tensor, "... V"]:
        """Over the tokens that may be written."""
        return logits.float().masked_fill(self.unwritten, -torch.inf).log_softmax(dim=-1)


@dataclass(frozen=True, eq=False)
class TeacherForcing:
    """Texts to learn: what goes `into` the decoder, and what comes `out` of it, -1 where nothing is to be learned."""

    into: Int[Tensor, "N T"]
    out: Int[Tensor, "N T"]


def lesson(tokenizer: CaptionTokenizer, texts: Sequence[Sequence[int]], limit: int) -> TeacherForcing:
    """Teacher forcing: each token is learned behind the true ones before it.

    Of texts longer than `limit` the beginning is learned, and not that they end there. Unknown words are read but not
    learned.
    """
    length = min(max((len(text) for text in texts), default=0), limit)
    into = torch.full((len(texts), length + 1), tokenizer.pad)
    out = torch.full_like(into, -1)
    for row, text in enumerate(texts):
        kept = list(text[:limit])
        ended = kept if len(text) > limit else [*kept, tokenizer.end]
        into[row, : len(kept) + 1] = torch.tensor([tokenizer.start, *kept])
        out[row, : len(ended)] = torch.tensor(ended)
    if tokenizer.unknown is not None:
        out[out == tokenizer.unknown] = -1
    return TeacherForcing(into, out)


def zero_linear(inputs: int, width: int) -> nn.Linear:
    """A layer that gives zeros until it has learned."""
    layer = nn.Linear(inputs, width)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
