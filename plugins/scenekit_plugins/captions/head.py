"""Describing regions: phrases that somebody would point out, and detected objects, by one decoder.

Letters: N regions of one stream, P parts of what is kept of each, D their width, T tokens.
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
from scenekit_plugins.captions.decoder import CaptionDecoder, Written, lesson
from scenekit_plugins.captions.lstm import LstmDecoder
from scenekit_plugins.captions.tokenizer import CaptionTokenizer, of_names
from scenekit_plugins.captions.transformer import TransformerDecoder
from scenekit_plugins.layers import init_for_relu
from scenekit_plugins.region_encoder import PIXELS, RegionEncoder, crops

STREAMS: dict[Key[Any, Any], tuple[Stream, str]] = {PHRASE_CAPTIONS: (PHRASES, "phrase"), CAPTIONS: (OBJECTS, "object")}
"""By what is written: the regions that it is about, and the name of the loss."""

Read = dict[Stream, Float[Tensor, "N P D"]]


class CaptionHead(Head[Read, Any]):
    """RoI features, and a decoder that reads them."""

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

    def forward(self, board: Board) -> Read:
        """The regions of each stream as the decoder keeps them."""
        streams = [STREAMS[key][0] for key in self.keys]
        return {stream: self._read(board, stream) for stream in streams}

    def _read(self, board: Board, stream: Stream) -> Float[Tensor, "N P D"]:
        pooled = board.pool(stream, self.config.pooled)
        if self.looking is None:
            return self.decoder.read(pooled)
        pixels = crops(board.images, board[stream], PIXELS * self.config.pooled)
        return self.decoder.read(pooled, self.looking(pooled, pixels))

    def loss(self, raw: Read, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Cross-entropy of the true words, each behind those before it; means over all words of a stream."""
        losses = {}
        for key in self.keys:
            stream, name = STREAMS[key]
            if key in targets:
                losses[name] = self._loss(raw[stream], board[stream], targets[key], board.images)
        return losses

    def _loss(self, read: Float[Tensor, "N P D"], regions: Regions, truth: Captions, images: ImageBatch) -> Tensor:
        rows, texts = self._references(regions, truth, images)
        if not rows:
            return read.sum() * 0.0
        taught = lesson(self.tokenizer, texts, self.config.max_tokens)
        log_probs = self.decoder(read[rows], taught.into.to(read.device))
        wanted = taught.out.to(read.device).flatten()
        return safe_mean(F.nll_loss(log_probs.flatten(0, 1)[wanted >= 0], wanted[wanted >= 0], reduction="none"))

    def _references(
        self, regions: Regions, truth: Captions, images: ImageBatch
    ) -> tuple[list[int], list[tuple[int, ...]]]:
        """The row of each text to learn, and the text in tokens: one or all of a region's, none that is empty."""
        encoded = [[tokens for tokens in map(self.tokenizer.encode, texts) if tokens] for texts in truth.texts]
        if self.config.references == "one":
            lots = lots_of(images, regions.image_index, 1, "captions.references")[:, 0].tolist()
            encoded = [texts and [texts[int(lot * len(texts))]] for texts, lot in zip(encoded, lots, strict=True)]
        pairs = [(row, tokens) for row, texts in enumerate(encoded) for tokens in texts]
        return [row for row, _ in pairs], [tokens for _, tokens in pairs]

    def decode(self, raw: Read, board: Board) -> Captions | dict[Key[Any, Any], Captions]:
        """A text for each region; those of all streams are written at once."""
        streams = [STREAMS[key][0] for key in self.keys]
        written = self._written(torch.cat([raw[stream] for stream in streams]), board, streams)
        parts = written.split([len(raw[stream]) for stream in streams])
        values = {key: self.captions(part) for key, part in zip(self.keys, parts, strict=True)}
        return values if len(values) > 1 else values[self.keys[0]]

    def _written(self, read: Float[Tensor, "N P D"], board: Board, streams: Sequence[Stream]) -> Written:
        limit, search = self.config.max_tokens, self.config.search
        if len(read) == 0:
            return Written(torch.zeros((0, 0), dtype=torch.int64, device=read.device), read.new_zeros((0, 0)))
        dice = [
            lots_of(board.images, board[stream].image_index, limit, f"captions.{stream.name}.{search.seed}")
            for stream in streams
        ]
        return self.decoder.write(read, limit, search, torch.cat(dice).to(read.device))

    def captions(self, written: Written) -> Captions:
        """Tokens as texts."""
        texts = tuple((self.tokenizer.decode(tokens),) for tokens in written.tokens.tolist())
        there = written.there(self.tokenizer.end)
        log_probs = written.log_probs.masked_fill(~there, torch.nan)
        return Captions(texts, log_probs.nanmean(dim=1).exp(), log_probs)


def described_keys(config: CaptionConfig) -> tuple[Key[Any, Any], ...]:
    """Return the keys of the captions that a configuration asks for."""
    return (PHRASE_CAPTIONS,) * config.phrases + (CAPTIONS,) * config.objects


def build_decoder(channels: int, tokenizer: CaptionTokenizer, config: CaptionConfig) -> CaptionDecoder:
    """The decoder that a configuration names."""
    seen = config.channels * config.picture
    if config.decoder == "transformer":
        return TransformerDecoder(channels, config.pooled, config.max_tokens, tokenizer, config.transformer, seen)
    return LstmDecoder(channels * config.pooled**2, tokenizer, config.lstm, seen)


def lots_of(images: ImageBatch, image_index: Int[Tensor, " N"], columns: int, purpose: str) -> Float[Tensor, "N L"]:
    """Numbers from 0 to 1 for each region, drawn by its picture's own seed; on the CPU."""
    lots = torch.zeros(len(image_index), columns)
    seeds: Sequence[int] = (0,) * len(images) if images.seeds is None else images.seeds
    for image, seed in enumerate(seeds):
        rows = (image_index == image).nonzero()[:, 0].cpu()
        lots[rows] = torch.rand(len(rows), columns, generator=generator(seed, purpose))
    return lots
