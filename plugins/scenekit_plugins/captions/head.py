"""The head: phrases and detected objects are described by one decoder.

Letters: N regions of one stream, P parts of a region's encoding, D their width, T tokens, L upper limit of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.keys import CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import Core, Head
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.ops.rng import generator
from scenekit.structures import Captions, ImageBatch, Regions
from scenekit_plugins.captions.config import CaptionConfig
from scenekit_plugins.layers import init_for_relu
from scenekit_plugins.region_encoder import PIXELS, RegionEncoder, crops
from scenekit_plugins.texts.decoder import CaptionDecoder, GeneratedTokens, teacher_forcing
from scenekit_plugins.texts.lstm import LstmDecoder
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, of_names
from scenekit_plugins.texts.transformer import TransformerDecoder

STREAMS: dict[Key[Any, Any], tuple[Stream, str]] = {PHRASE_CAPTIONS: (PHRASES, "phrase"), CAPTIONS: (OBJECTS, "object")}
"""Stream and name of the loss of each key."""

Encodings = dict[Stream, Float[Tensor, "N P D"]]


class CaptionHead(Head[Encodings, Any]):
    """RoI features, and a decoder that describes them."""

    def __init__(self, core: Core, config: CaptionConfig) -> None:
        super().__init__()
        self.config = config
        self.keys = described_keys(config)
        self.tokenizer = CaptionTokenizer(config.tokenizer.stored or of_names(core.vocabulary))
        self.looking = None
        if config.picture:
            self.looking = RegionEncoder(core.channels, config.channels, config.picture_channels)
            init_for_relu(self.looking)
        self.decoder = build_decoder(core.channels, self.tokenizer, config)
        self.axis_names = {f"decoder.{name}": axes for name, axes in self.decoder.axis_names.items()}

    def forward(self, board: Board) -> Encodings:
        """Encode the regions of each stream."""
        streams = [STREAMS[key][0] for key in self.keys]
        return {stream: self._encoded(board, stream) for stream in streams}

    def _encoded(self, board: Board, stream: Stream) -> Float[Tensor, "N P D"]:
        pooled = board.pool(stream, self.config.pooled)
        if self.looking is None:
            return self.decoder.encode(pooled)
        pixels = crops(board.images, board[stream], PIXELS * self.config.pooled)
        return self.decoder.encode(pooled, self.looking(pooled, pixels))

    def loss(self, raw: Encodings, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy of each token given the ones before it; means over all tokens of a stream."""
        losses = {}
        for key in self.keys:
            stream, name = STREAMS[key]
            if key in targets:
                losses[name] = self._loss(raw[stream], board[stream], targets[key], board.images)
        return losses

    def _loss(
        self, encoded: Float[Tensor, "N P D"], regions: Regions, captions: Captions, images: ImageBatch
    ) -> Tensor:
        rows, texts = self._references(regions, captions, images)
        if not rows:
            return encoded.sum() * 0.0
        forced = teacher_forcing(self.tokenizer, texts, self.config.max_tokens)
        log_probs = self.decoder(encoded[rows], forced.inputs.to(encoded.device))
        target = forced.targets.to(encoded.device).flatten()
        return safe_mean(F.nll_loss(log_probs.flatten(0, 1)[target >= 0], target[target >= 0], reduction="none"))

    def _references(
        self, regions: Regions, captions: Captions, images: ImageBatch
    ) -> tuple[list[int], list[tuple[int, ...]]]:
        """Return row and tokens of each text to train: one or all of a region's, without empty ones."""
        encoded = [[tokens for tokens in map(self.tokenizer.encode, texts) if tokens] for texts in captions.texts]
        if self.config.references == "one":
            uniform = uniform_numbers(images, regions.image_index, 1, "captions.references")[:, 0].tolist()
            encoded = [texts and [texts[int(u * len(texts))]] for texts, u in zip(encoded, uniform, strict=True)]
        pairs = [(row, tokens) for row, texts in enumerate(encoded) for tokens in texts]
        return [row for row, _ in pairs], [tokens for _, tokens in pairs]

    def decode(self, raw: Encodings, board: Board) -> Captions | dict[Key[Any, Any], Captions]:
        """Generate a text for each region, for all streams at once."""
        streams = [STREAMS[key][0] for key in self.keys]
        generated = self._generated(torch.cat([raw[stream] for stream in streams]), board, streams)
        parts = generated.split([len(raw[stream]) for stream in streams])
        values = {key: self.captions(part) for key, part in zip(self.keys, parts, strict=True)}
        return values if len(values) > 1 else values[self.keys[0]]

    def _generated(self, encoded: Float[Tensor, "N P D"], board: Board, streams: Sequence[Stream]) -> GeneratedTokens:
        limit, search = self.config.max_tokens, self.config.search
        if len(encoded) == 0:
            empty = encoded.new_zeros((0, 0))
            return GeneratedTokens(empty.long(), empty)
        uniform = [
            uniform_numbers(board.images, board[stream].image_index, limit, f"captions.{stream.name}.{search.seed}")
            for stream in streams
        ]
        return self.decoder.generate(encoded, limit, search, torch.cat(uniform).to(encoded.device))

    def captions(self, generated: GeneratedTokens) -> Captions:
        """Convert tokens to texts.

        Args:
            generated: Generated tokens.

        Returns:
            Texts; scores are geometric means of the tokens' probabilities.
        """
        texts = tuple((self.tokenizer.decode(tokens),) for tokens in generated.tokens.tolist())
        is_text = generated.text_mask(self.tokenizer.end)
        log_probs = generated.log_probs.masked_fill(~is_text, torch.nan)
        return Captions(texts, log_probs.nanmean(dim=1).exp(), log_probs)


def described_keys(config: CaptionConfig) -> tuple[Key[Any, Any], ...]:
    """Return the keys of the captions that a configuration asks for."""
    return (PHRASE_CAPTIONS,) * config.phrases + (CAPTIONS,) * config.objects


def build_decoder(channels: int, tokenizer: CaptionTokenizer, config: CaptionConfig) -> CaptionDecoder:
    """Build the decoder of a configuration.

    Args:
        channels: Channels of the pooled features.
        tokenizer: The tokenizer.
        config: Options of the head.

    Returns:
        The decoder.
    """
    pixels = config.channels * config.picture
    if config.decoder == "transformer":
        return TransformerDecoder(channels, config.pooled, config.max_tokens, tokenizer, config.transformer, pixels)
    return LstmDecoder(channels * config.pooled**2, tokenizer, config.lstm, pixels)


def uniform_numbers(
    images: ImageBatch, image_index: Int[Tensor, " N"], columns: int, purpose: str
) -> Float[Tensor, "N L"]:
    """Draw uniform random numbers for each region with its image's own seed.

    Args:
        images: Images of the batch.
        image_index: Image of each region.
        columns: Random numbers per region.
        purpose: What the numbers are for.

    Returns:
        Numbers from 0 to 1, on the CPU.
    """
    numbers = torch.zeros(len(image_index), columns)
    seeds: Sequence[int] = (0,) * len(images) if images.seeds is None else images.seeds
    for image, seed in enumerate(seeds):
        rows = (image_index == image).nonzero()[:, 0].cpu()
        numbers[rows] = torch.rand(len(rows), columns, generator=generator(seed, purpose))
    return numbers
