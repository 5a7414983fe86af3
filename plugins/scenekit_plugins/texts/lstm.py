"""A recurrent decoder that starts with the region (Johnson et al., DenseCap, CVPR 2016, section 3.5).

The region is the first input of the LSTM, then the start token, then the words; the output after the region is
discarded. Features of the image's pixels are added to the output for each word: colors matter for single words, and
would have to pass the whole memory otherwise. Letters: N regions, C channels, S pooled side, W width of the pixel
features, P parts of a region's encoding: 1, or 2 with pixels; Q those beside the first input; T tokens, V tokens of the
network, D width, L layers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.head import AxisNames, rows_by_name
from scenekit_plugins.texts.config import LstmConfig, SearchConfig
from scenekit_plugins.texts.decoder import CaptionDecoder, GeneratedTokens, zero_linear
from scenekit_plugins.texts.search import SpecialTokens, search
from scenekit_plugins.texts.tokenizer import CaptionTokenizer

State = tuple[Tensor, Tensor]
"""Hidden state (h) and cell state (c) of every layer: [N L D], rows first."""

StepState = tuple[State, Float[Tensor, "N Q D"]]
"""The state of the LSTM, and the encoding without the first input."""

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""Names of the parameters of a layer in `nn.LSTM`, without its number."""


class LstmDecoder(CaptionDecoder):
    """An LSTM whose first input are RoI features, after two layers, followed by words."""

    def __init__(self, inputs: int, tokenizer: CaptionTokenizer, config: LstmConfig, pixels: int = 0) -> None:
        """Build the layers; `pixels` is the width of the pixel features, 0 for none."""
        super().__init__(tokenizer)
        self.region = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, config.features), nn.ReLU(), nn.Linear(config.features, config.width)
        )
        self.seen = zero_linear(pixels, config.width) if pixels else None
        self.words = nn.Embedding(len(tokenizer), config.width)
        inner = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(config.width, config.width, config.layers, batch_first=True, dropout=inner)
        self.dropout = nn.Dropout(config.dropout)
        self.predictor = nn.Linear(config.width, len(tokenizer))
        nn.init.normal_(self.words.weight, std=0.1)
        tokens = AxisNames(tokenizer.names)
        self.axis_names = {"words.weight": (tokens,), **rows_by_name({"predictor": tokens})}

    def encode(
        self, pooled: Float[Tensor, "N C S S"], pixels: Float[Tensor, "N W"] | None = None
    ) -> Float[Tensor, "N P D"]:
        """Compute the first input, and what is added to the outputs."""
        first = self.region(pooled)[:, None]
        return first if self.seen is None or pixels is None else torch.cat((first, self.seen(pixels)[:, None]), dim=1)

    def forward(self, region: Float[Tensor, "N P D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Compute log-probabilities after each token."""
        inputs = torch.cat((region[:, :1], self.words(tokens)), dim=1)
        # Not in half precision under autocast: on CPUs the LSTM has no backward pass in it.
        with torch.autocast(inputs.device.type, enabled=False):
            hidden, _ = self.lstm(self.dropout(inputs).to(self.words.weight.dtype))
        hidden = hidden[:, 1:]
        return self.log_probs(self.predictor(self.dropout(hidden + self.added(hidden, region[:, 1:]))))

    def generate(
        self, region: Float[Tensor, "N P D"], limit: int, config: SearchConfig, uniform: Float[Tensor, "N L"]
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
        lstm_state, rest = state
        hidden, lstm_state = self._advanced(self.words(tokens), lstm_state)
        added = self.added(hidden[:, None], rest)[:, 0]
        return self.log_probs(self.predictor(hidden + added)), (lstm_state, rest)

    def added(self, hidden: Float[Tensor, "N T D"], rest: Float[Tensor, "N Q D"]) -> Float[Tensor, "N #T D"]:
        """Return what is added to the outputs: the pixel features, or zeros without them.

        Args:
            hidden: The outputs.
            rest: The encoding without the first input.

        Returns:
            The same for all tokens here; a subclass may look at the outputs.
        """
        return rest.sum(dim=1, keepdim=True)

    def _advanced(self, inputs: Float[Tensor, "N D"], state: State) -> tuple[Float[Tensor, "N D"], State]:
        """Run one step of `self.lstm`, layer by layer: twice as fast as the module, which is made for sequences."""
        hidden, hiddens, cells = inputs, [], []
        for layer, (h, c) in enumerate(zip(state[0].unbind(1), state[1].unbind(1), strict=True)):
            weights = (getattr(self.lstm, f"{kind}_l{layer}") for kind in WEIGHTS)
            hidden, cell = torch.lstm_cell(hidden, (h, c), *weights)
            hiddens.append(hidden)
            cells.append(cell)
        return hidden, (torch.stack(hiddens, dim=1), torch.stack(cells, dim=1))
