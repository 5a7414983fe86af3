"""The interface of caption decoders.

Letters: N regions, C channels, S pooled side, W width of the image features, P parts of a region's encoding, D their
width, T tokens, V tokens of the network, L upper limit of tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.model.head import ParameterNames
from scenekit_plugins.texts.config import SearchConfig
from scenekit_plugins.texts.tokenizer import CaptionTokenizer


@dataclass(frozen=True, eq=False)
class GeneratedTokens:
    """Generated texts."""

    tokens: Int[Tensor, "N T"]
    """Tokens up to the end token, which is included unless the limit was reached, then padding."""
    log_probs: Float[Tensor, "N T"]
    """Log-probability of each token; 0 on padding."""

    @classmethod
    def cat(cls, parts: Sequence[GeneratedTokens], pad: int) -> GeneratedTokens:
        """Concatenate texts, padded to the longest of all.

        Args:
            parts: The texts, at least one part.
            pad: Token of padding.

        Returns:
            All texts, in order.
        """
        length = max(part.tokens.shape[1] for part in parts)
        tokens, log_probs = (
            torch.cat([F.pad(values, (0, length - values.shape[1]), value=value) for values in group])
            for group, value in (([p.tokens for p in parts], pad), ([p.log_probs for p in parts], 0))
        )
        return cls(tokens, log_probs)

    def split(self, rows: Sequence[int]) -> list[GeneratedTokens]:
        """Split into groups of texts.

        Args:
            rows: Number of texts in each group.

        Returns:
            The groups, in order.
        """
        parts = zip(torch.split(self.tokens, list(rows)), torch.split(self.log_probs, list(rows)), strict=True)
        return [GeneratedTokens(tokens, log_probs) for tokens, log_probs in parts]

    def text_mask(self, end: int) -> Bool[Tensor, "N T"]:
        """Return which tokens are text, the end token included, and not padding.

        Args:
            end: The end token.

        Returns:
            The mask.
        """
        ended = (self.tokens == end).long().cumsum(dim=1) - (self.tokens == end).long()
        return ended == 0


class CaptionDecoder(nn.Module):
    """A decoder that encodes regions once (`encode`), then predicts the next token or generates texts."""

    suppressed: Bool[Tensor, " V"]
    axis_names: ParameterNames
    """Names of the tokens along the axes of parameters."""

    def __init__(self, tokenizer: CaptionTokenizer, known: int | None = None) -> None:
        """Store the special tokens; `known` is the number of tokens of a network with more than the tokenizer's."""
        super().__init__()
        self.start, self.end, self.pad = tokenizer.start, tokenizer.end, tokenizer.pad
        suppressed = torch.zeros(known or len(tokenizer), dtype=torch.bool)
        suppressed[list(tokenizer.suppressed)] = True
        suppressed[len(tokenizer) :] = True
        self.register_buffer("suppressed", suppressed, persistent=False)

    @abstractmethod
    def encode(
        self, pooled: Float[Tensor, "N C S S"], pixels: Float[Tensor, "N W"] | None = None
    ) -> Float[Tensor, "N P D"]:
        """Encode RoI features, and features of the image's pixels if they are used."""

    @abstractmethod
    def forward(self, region: Float[Tensor, "N P D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Compute log-probabilities of the token after each of `tokens`, the first of which is the start token.

        Suppressed tokens have -inf.
        """

    @abstractmethod
    def generate(
        self, region: Float[Tensor, "N P D"], limit: int, config: SearchConfig, uniform: Float[Tensor, "N L"]
    ) -> GeneratedTokens:
        """Generate a text for each region.

        Args:
            region: Encoded regions, at least one.
            limit: Upper limit of the tokens of a text.
            config: How texts are generated.
            uniform: Random numbers from 0 to 1 for sampling, one per token.

        Returns:
            The texts.
        """

    def log_probs(self, logits: Float[Tensor, "... V"]) -> Float[Tensor, "... V"]:
        """Compute log-probabilities over the tokens that may be generated.

        Args:
            logits: Logits over all tokens.

        Returns:
            Log-probabilities; -inf for suppressed tokens.
        """
        return logits.float().masked_fill(self.suppressed, -torch.inf).log_softmax(dim=-1)


@dataclass(frozen=True, eq=False)
class TeacherForcing:
    """Input and targets of training with teacher forcing."""

    inputs: Int[Tensor, "N T"]
    """Input tokens, from the start token on."""
    targets: Int[Tensor, "N T"]
    """Target tokens; -1 where no loss is computed."""


def teacher_forcing(tokenizer: CaptionTokenizer, texts: Sequence[Sequence[int]], limit: int) -> TeacherForcing:
    """Build inputs and targets: each token is predicted from the ground truth before it.

    Texts longer than `limit` are cut off without an end token. Unknown words are inputs but not targets.

    Args:
        tokenizer: The tokenizer.
        texts: Tokens of each text.
        limit: Upper limit of the tokens of a text.

    Returns:
        Inputs and targets.
    """
    length = min(max((len(text) for text in texts), default=0), limit)
    inputs = torch.full((len(texts), length + 1), tokenizer.pad)
    targets = torch.full_like(inputs, -1)
    for row, text in enumerate(texts):
        kept = list(text[:limit])
        ended = kept if len(text) > limit else [*kept, tokenizer.end]
        inputs[row, : len(kept) + 1] = torch.tensor([tokenizer.start, *kept])
        targets[row, : len(ended)] = torch.tensor(ended)
    if tokenizer.unknown is not None:
        targets[targets == tokenizer.unknown] = -1
    return TeacherForcing(inputs, targets)


def zero_linear(inputs: int, width: int) -> nn.Linear:
    """Build a linear layer with all parameters 0.

    Args:
        inputs: Number of inputs.
        width: Number of outputs.

    Returns:
        The layer.
    """
    layer = nn.Linear(inputs, width)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
