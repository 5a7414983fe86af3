"""A causal transformer with cross-attention to the cells of the region (extra `transformers`).

The network is any of transformers' language models that can attend to an encoder: a small GPT-2 with fresh weights, or
a pretrained one. Letters: N regions, C channels, S pooled side, W width of the pixel features, T tokens, V tokens of
the network, D width, K beams, L upper limit of tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.model.head import AxisNames
from scenekit_plugins.texts.config import SearchConfig, TransformerConfig
from scenekit_plugins.texts.decoder import CaptionDecoder, GeneratedTokens, zero_linear
from scenekit_plugins.texts.pretrained import network_like, pretrained_network, transformers
from scenekit_plugins.texts.search import drawn_tokens
from scenekit_plugins.texts.tokenizer import CaptionTokenizer


class TransformerDecoder(CaptionDecoder):
    """A language model in which words attend to previous words and to all cells of the RoI features."""

    def __init__(
        self,
        channels: int,
        side: int,
        limit: int,
        tokenizer: CaptionTokenizer,
        config: TransformerConfig,
        pixels: int = 0,
    ) -> None:
        """Build the layers; `pixels` is the width of the pixel features, 0 for none."""
        network = build_network(config, tokenizer, limit)
        known = network.get_input_embeddings().num_embeddings
        if known < len(tokenizer):
            raise InputError(
                f"captions: the tokenizer has {len(tokenizer)} tokens, the pretrained decoder {known}; name the "
                "decoder's own tokenizer"
            )
        super().__init__(tokenizer, known)
        self.cache = config.cache
        network.config.pad_token_id = None  # the library warns of padding after texts that have ended
        self.network = network
        self.cells = nn.Linear(channels, network.config.hidden_size)
        self.seen = zero_linear(pixels, network.config.hidden_size) if pixels else None
        self.places = nn.Parameter(0.02 * torch.randn(side * side, network.config.hidden_size))
        names = AxisNames((*tokenizer.names, *(f"(none {number})" for number in range(len(tokenizer), known))))
        self.axis_names = {f"network.{name}": (names,) for name in _of_tokens(network)}

    def encode(
        self, pooled: Float[Tensor, "N C S S"], pixels: Float[Tensor, "N W"] | None = None
    ) -> Float[Tensor, "N SS D"]:
        """Compute what the words attend to: the cells with their positions and pixel features."""
        cells: Tensor = self.cells(pooled.flatten(2).transpose(1, 2)) + self.places
        return cells if self.seen is None or pixels is None else cells + self.seen(pixels)[:, None]

    def forward(self, region: Float[Tensor, "N SS D"], tokens: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Compute log-probabilities after each token."""
        everything = torch.ones_like(tokens)  # padding is last, so that no text attends to it
        out = self.network(input_ids=tokens, attention_mask=everything, encoder_hidden_states=region, use_cache=False)
        return self.log_probs(out.logits)

    @torch.no_grad()
    def generate(
        self, region: Float[Tensor, "N SS D"], limit: int, config: SearchConfig, uniform: Float[Tensor, "N L"]
    ) -> GeneratedTokens:
        """Generate texts by transformers' `generate`."""
        begin = torch.full((len(region), 1), self.start, device=region.device)
        tokens = self.network.generate(
            begin,
            attention_mask=torch.ones_like(begin),
            encoder_hidden_states=region,
            generation_config=self._settings(limit, config),
            logits_processor=[_Draw(config, uniform)] if config.method == "sampling" else [],
        )
        log_probs: Tensor = self(region, tokens[:, :-1])  # again: `generate` would keep those of all beams
        generated = GeneratedTokens(tokens[:, 1:], log_probs.gather(2, tokens[:, 1:, None])[..., 0])
        return replace(generated, log_probs=generated.log_probs.masked_fill(~generated.text_mask(self.end), 0.0))

    def _settings(self, limit: int, config: SearchConfig) -> Any:
        beams = config.beams if config.method == "beam" else 1
        return transformers().GenerationConfig(
            max_new_tokens=limit,
            do_sample=False,  # `_Draw` samples, with random numbers of each region's own
            use_cache=self.cache,
            num_beams=beams,
            **({"length_penalty": config.length_penalty, "early_stopping": "never"} if beams > 1 else {}),
            bos_token_id=self.start,
            eos_token_id=self.end,
            pad_token_id=self.pad,
            suppress_tokens=self.suppressed.nonzero()[:, 0].tolist() or None,
            renormalize_logits=True,
        )


class _Draw:
    """A logits processor that keeps one token, sampled with the region's own random number."""

    def __init__(self, config: SearchConfig, uniform: Float[Tensor, "N L"]) -> None:
        self.config, self.uniform = config, uniform

    def __call__(self, input_ids: Int[Tensor, "N T"], scores: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
        drawn = drawn_tokens(scores, self.config, self.uniform[:, input_ids.shape[1] - 1])
        return torch.full_like(scores, -torch.inf).scatter(1, drawn[:, None], 0.0)


def build_network(config: TransformerConfig, tokenizer: CaptionTokenizer, limit: int) -> Any:
    """Build a language model with cross-attention: pretrained, of the architecture in a checkpoint, or a new one.

    Args:
        config: Options of the decoder.
        tokenizer: The tokenizer.
        limit: Upper limit of the tokens of a text.

    Returns:
        The model.

    Raises:
        InputError: If transformers is not installed or the pretrained model cannot be loaded.
    """
    if config.weights is not None:
        return pretrained_network(config.weights)
    if config.network is not None:
        return network_like(config.network)
    special = {"bos_token_id": tokenizer.start, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.pad}
    sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads, "n_positions": limit + 1}
    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
    known = {"vocab_size": len(tokenizer), "add_cross_attention": True}
    return network_like({"model_type": "gpt2", **known, **sizes, **special, **dropout})


def _of_tokens(network: Any) -> list[str]:
    """Return the names of the parameters that have an entry for every token."""
    output = network.get_output_embeddings()
    parts = [network.get_input_embeddings().weight, output.weight, getattr(output, "bias", None)]
    named = network.named_parameters(remove_duplicate=False)
    return [name for name, parameter in named if any(parameter is part for part in parts)]
