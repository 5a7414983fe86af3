"""A recurrent network that begins with the region (Johnson et al., DenseCap, CVPR 2016, section 3.5).

The region is the first thing that the LSTM reads, then the start, then the words; what it says behind the region is
thrown away. What is seen in the image itself is added to what the LSTM says of each word: colors are a matter of the
moment, and would have to go through all of the memory otherwise.
Letters: N regions, C channels, S pooled side, W width of what is seen, P parts of what is kept of a region: 1, or 2
with the image; T tokens, V tokens known, D width, L layers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.head import AxisNames, rows_by_name
from scenekit_plugins.captions.config import LstmConfig, SearchConfig
from scenekit_plugins.captions.decoder import CaptionDecoder, Written, zero_linear
from scenekit_plugins.captions.search import Marks, search
from scenekit_plugins.captions.tokenizer import CaptionTokenizer

State = tuple[Tensor, Tensor]
"""What is said (h) and kept (c) by every layer: [N L D], rows first."""

Saying = tuple[State, Float[Tensor, "N D"]]
"""A state, and what is added to all that is said."""

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""What `nn.LSTM` calls the parameters of a layer, before its number."""


class LstmDecoder(CaptionDecoder):
    """RoI features through two layers as the first token, then words."""

    def __init__(self, inputs: int, tokenizer: CaptionTokenizer, config: LstmConfig, seen: int = 0) -> None:
        """`seen`: numbers of what is seen in the image, 0 where nobody looks."""
        super().__init__(tokenizer)
        self.region = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, config.features), nn.ReLU(), nn.Linear(config.features, config.width)
        )
        self.seen = zero_linear(seen, config.width) if seen else None
        self.words = nn.Embedding(len(tokenizer), config.width)
        inner = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(config.width, config.width, config.layers, batch_first=True, dropout=inner)
        self.dropout = nn.Dropout(config.dropout)
        self.predictor = nn.Linear(config.width, len(tokenizer))
        nn.init.normal_(self.words.weight, std=0.1)
        tokens = AxisNames(tokenizer.names)
        self.axis_names = {"words.weight": (tokens,), **rows_by_name({"predictor": tokens})}

    def read(
        self, pooled: Float[Tensor, "N C S S"], seen: Float[Tensor, "N W"] | None = None
    ) -> Float[Tensor, "N P D"]:
        """The first token, and what is added to all that is said."""
        first = self.region(pooled)[:, None]
        return first if self.seen is None or seen is None else torch.cat((first, self.seen(seen)[:, None]), dim=1)

    def forward(self, region: Float[Tensor, "N P D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Log-probabilities behind each token."""
        said = torch.cat((region[:, :1], self.words(tokens)), dim=1)
        # Not in half precision under autocast: on CPUs there is no LSTM that learns so.
        with torch.autocast(said.device.type, enabled=False):
            hidden, _ = self.lstm(self.dropout(said).to(self.words.weight.dtype))
        return self.log_probs(self.predictor(self.dropout(hidden[:, 1:] + _added(region)[:, None])))

    def write(
        self, region: Float[Tensor, "N P D"], limit: int, config: SearchConfig, dice: Float[Tensor, "N L"]
    ) -> Written:
        """By the search that `config` describes."""
        silence = region.new_zeros((len(region), self.lstm.num_layers, region.shape[2]))
        _, state = self._advanced(region[:, 0], (silence, silence))
        return search(self.step, (state, _added(region)), Marks(self.start, self.end, self.pad), limit, config, dice)

    def step(self, saying: Saying, tokens: Int[Tensor, " N"]) -> tuple[Float[Tensor, "N V"], Saying]:
        """Log-probabilities behind one more token, and the state then; without dropout."""
        state, added = saying
        hidden, state = self._advanced(self.words(tokens), state)
        return self.log_probs(self.predictor(hidden + added)), (state, added)

    def _advanced(self, read: Float[Tensor, "N D"], state: State) -> tuple[Float[Tensor, "N D"], State]:
        """One step of `self.lstm`, layer by layer: twice as fast as the module itself, which is made for sequences."""
        hidden, said, kept = read, [], []
        for layer, (h, c) in enumerate(zip(state[0].unbind(1), state[1].unbind(1), strict=True)):
            weights = (getattr(self.lstm, f"{kind}_l{layer}") for kind in WEIGHTS)
            hidden, cell = torch.lstm_cell(hidden, (h, c), *weights)
            said.append(hidden)
            kept.append(cell)
        return hidden, (torch.stack(said, dim=1), torch.stack(kept, dim=1))


def _added(region: Float[Tensor, "N P D"]) -> Float[Tensor, "N D"]:
    """What is added to all that is said: zeros where nobody looked at the image."""
    return region[:, 1:].sum(dim=1)
