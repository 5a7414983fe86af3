"""Options of tokenizers, of decoders, and of how texts are generated."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config


class StoredTokenizer(Config):
    """A tokenizer as models store it."""

    text: str = Field(repr=False)
    """JSON of the library tokenizers."""
    start: str
    """Token before every text."""
    end: str
    """Token after every text."""
    pad: str
    """Token of padding."""
    unknown: str | None = None
    """Token of words without one, if any."""


class TokenizerConfig(Config):
    """How texts are split into tokens."""

    kind: Literal["words", "bpe", "pretrained"] = "words"
    """"words" (lower case, without punctuation and symbols, split at spaces, as DenseCap) or "bpe" (byte pairs, which
    spell any script and emoji) are trained on the captions of the training data; "pretrained" is a tokenizer of
    transformers.
    """
    vocabulary_size: int = Field(default=10_000, ge=5)
    """Upper limit of the number of tokens; the most frequent ones are kept."""
    min_count: int = Field(default=1, ge=1)
    """Smallest count of a word in the captions."""
    name: str | None = None
    """Folder or hub name of a pretrained tokenizer."""
    grow: bool = False
    """Whether a run that starts from a model adds the new words of its data to the model's tokenizer."""
    stored: StoredTokenizer | None = None
    """The resulting tokenizer; filled in when a run starts, from the initial model if it has one."""

    @model_validator(mode="after")
    def _named(self) -> TokenizerConfig:
        if (self.kind == "pretrained") != (self.name is not None):
            raise ValueError("kind: pretrained needs the name of a tokenizer, and the name needs that kind; set both")
        if self.grow and self.kind != "words":
            raise ValueError(f"grow needs kind: words, got {self.kind}")
        return self


class SearchConfig(Config):
    """How a text is generated."""

    method: Literal["greedy", "beam", "sampling"] = "greedy"
    """"greedy" chooses the most probable token each time; "beam" searches with several beams; "sampling" samples."""
    beams: int = Field(default=4, ge=1)
    """Number of beams."""
    length_penalty: float = Field(default=1.0, ge=0)
    """Beams are ranked by log-probability divided by length to this power."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampling."""
    top_k: int | None = Field(default=None, ge=1)
    """Sampling is limited to so many of the most probable tokens."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sampling is limited to the fewest tokens with this probability together."""
    seed: int = 0
    """Seed of sampling; equal seeds give equal texts."""


class LstmConfig(Config):
    """The LSTM decoder."""

    features: int = Field(default=384, ge=1)
    """Hidden width of the region's features."""
    width: int = Field(default=192, ge=1)
    """Width of word embeddings and state."""
    layers: int = Field(default=1, ge=1, le=1000)
    """Number of LSTM layers."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of input and output."""


class TransformerConfig(Config):
    """The transformer decoder: a GPT-2 with cross-attention."""

    width: int = Field(default=128, ge=1)
    """Width of word embeddings and states."""
    layers: int = Field(default=2, ge=1, le=1000)
    """Number of layers."""
    heads: int = Field(default=4, ge=1, le=1000)
    """Number of attention heads."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout."""
    cache: bool = True
    """Whether keys and values of previous words are cached instead of computed again for each word."""
    weights: str | None = None
    """Folder or hub name of a pretrained language model of transformers; needs its own tokenizer."""
    network: dict[str, Any] | None = Field(default=None, repr=False)
    """Architecture of the pretrained model; filled in when a run starts."""

    @model_validator(mode="after")
    def _divisible(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        return self
