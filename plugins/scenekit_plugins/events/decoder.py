"""An LSTM that looks at cells before each word (Xu et al., Show, Attend and Tell, ICML 2015).

Letters: N events, C width of their features, P cells of an event, Q one more, W width of cells, T tokens, D width of
the LSTM.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit_plugins.texts.config import LstmConfig
from scenekit_plugins.texts.decoder import zero_linear
from scenekit_plugins.texts.lstm import LstmDecoder
from scenekit_plugins.texts.tokenizer import CaptionTokenizer


class AttendingDecoder(LstmDecoder):
    """An LSTM whose first input are features of an event; each word adds what its state sees among the cells.

    Args:
        inputs: Width of the features of an event.
        cells: Width of the features of cells.
        tokenizer: The tokenizer.
        config: Options of the LSTM.
        heads: Attention heads.
    """

    def __init__(self, inputs: int, cells: int, tokenizer: CaptionTokenizer, config: LstmConfig, heads: int) -> None:
        super().__init__(inputs, tokenizer, config)
        self.heads = heads
        self.cells, self.query = nn.Linear(cells, config.width), nn.Linear(config.width, config.width)
        self.look = zero_linear(config.width, config.width)

    def encode(
        self, pooled: Float[Tensor, "N C 1 1"], pixels: Float[Tensor, "N P W"] | None = None
    ) -> Float[Tensor, "N Q D"]:
        """Compute the first input, and the cells that words look at."""
        first = self.region(pooled)[:, None]
        return first if pixels is None else torch.cat((first, self.cells(pixels)), dim=1)

    def added(self, hidden: Float[Tensor, "N T D"], rest: Float[Tensor, "N P D"]) -> Float[Tensor, "N T D"]:
        """Return what states see among the cells, which are keys and values in one."""
        q, k = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (self.query(hidden), rest))
        seen: Tensor = self.look(F.scaled_dot_product_attention(q, k, k).transpose(1, 2).flatten(2))
        return seen
