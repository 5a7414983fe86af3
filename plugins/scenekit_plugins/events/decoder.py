"""An LSTM that looks at cells before each word (Xu et al., Show, Attend and Tell, ICML 2015).

Letters: N events, C width of their features, P cells of an event, Q one more, W width of cells, T tokens, V tokens of
the network, D width of the LSTM, L upper limit of tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit_plugins.texts.config import LstmConfig, SearchConfig
from scenekit_plugins.texts.decoder import GeneratedTokens, zero_linear
from scenekit_plugins.texts.lstm import LstmDecoder, State
from scenekit_plugins.texts.search import SpecialTokens, search
from scenekit_plugins.texts.tokenizer import CaptionTokenizer

StepState = tuple[State, Float[Tensor, "N P D"]]
"""The state of the LSTM, and the cells."""


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

    def forward(self, region: Float[Tensor, "N Q D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Compute log-probabilities after each token."""
        inputs = torch.cat((region[:, :1], self.words(tokens)), dim=1)
        with torch.autocast(inputs.device.type, enabled=False):  # as in `LstmDecoder`
            hidden, _ = self.lstm(self.dropout(inputs).to(self.words.weight.dtype))
        hidden = hidden[:, 1:]
        return self.log_probs(self.predictor(self.dropout(hidden + self._seen(hidden, region[:, 1:]))))

    def generate(
        self, region: Float[Tensor, "N Q D"], limit: int, config: SearchConfig, uniform: Float[Tensor, "N L"]
    ) -> GeneratedTokens:
        """Generate texts by the search of `config`."""
        zeros = region.new_zeros((len(region), self.lstm.num_layers, region.shape[2]))
        _, state = self._advanced(region[:, 0], (zeros, zeros))
        special = SpecialTokens(self.start, self.end, self.pad)
        return search(self.step, (state, region[:, 1:]), special, limit, config, uniform)

    def step(self, state: StepState, tokens: Int[Tensor, " N"]) -> tuple[Float[Tensor, "N V"], StepState]:
        """Compute log-probabilities after one more token, without dropout.

        Args:
            state: State before the token.
            tokens: The token of each text.

        Returns:
            Log-probabilities of the next token, and the state after this one.
        """
        lstm_state, cells = state
        hidden, lstm_state = self._advanced(self.words(tokens), lstm_state)
        seen = self._seen(hidden[:, None], cells)[:, 0]
        return self.log_probs(self.predictor(hidden + seen)), (lstm_state, cells)

    def _seen(self, hidden: Float[Tensor, "N T D"], cells: Float[Tensor, "N P D"]) -> Float[Tensor, "N T D"]:
        """Return what states see among the cells, which are keys and values in one."""
        q, k = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (self.query(hidden), cells))
        seen: Tensor = self.look(F.scaled_dot_product_attention(q, k, k).transpose(1, 2).flatten(2))
        return seen
