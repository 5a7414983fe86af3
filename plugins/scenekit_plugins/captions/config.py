"""The options of the task."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config


class StoredTokenizer(Config):
    """A tokenizer as models keep it: the `json` text of the library tokenizers, and which of its tokens have a part.

    `start` comes before every text, `end` after it, `pad` where a row has no more text, `unknown` (if any) in place of
    what it has no token for.
    """

    text: str = Field(repr=False)
    start: str
    end: str
    pad: str
    unknown: str | None = None


class TokenizerConfig(Config):
    """How texts become tokens.

    `kind`: "words" (lower case, without punctuation and symbols, split at spaces, as DenseCap) or "bpe" (pieces of
    bytes, which spell any script and emoji), learned from the captions of the training data: the `vocabulary_size` most
    frequent tokens, words only if they come up `min_count` times. Or "pretrained": the tokenizer `name` of
    transformers, a folder or a name on the hub. `stored` is what came of it; a training that starts afresh fills it in.
    One that starts from a model takes that model's; with `grow` it adds the words that are new.
    """

    kind: Literal["words", "bpe", "pretrained"] = "words"
    vocabulary_size: int = Field(default=10_000, ge=5)
    min_count: int = Field(default=1, ge=1)
    name: str | None = None
    grow: bool = False
    stored: StoredTokenizer | None = None

    @model_validator(mode="after")
    def _named(self) -> TokenizerConfig:
        if (self.kind == "pretrained") != (self.name is not None):
            raise ValueError("kind: pretrained and the name of a tokenizer belong together")
        if self.grow and self.kind != "words":
            raise ValueError(f"tokenizers of words can grow, not of kind: {self.kind}")
        return self


class SearchConfig(Config):
    """How a text is found: "greedy" takes the most probable token each time; "beam" keeps the best `beams` beginnings,
    by log-probability over length ** `length_penalty`; "sampling" draws from the probabilities at `temperature`, of the
    `top_k` best tokens or of the fewest that have `top_p` of the probability together. Equal `seed`s draw equal texts.
    """

    method: Literal["greedy", "beam", "sampling"] = "greedy"
    beams: int = Field(default=4, ge=1)
    length_penalty: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int = 0


class LstmConfig(Config):
    """`features` of a region behind the first layer; `width` of words and state; `layers` of LSTM; `dropout` of both
    what goes in and what comes out.
    """

    features: int = Field(default=384, ge=1)
    width: int = Field(default=192, ge=1)
    layers: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class TransformerConfig(Config):
    """`width` of words and states, `layers` of `heads` attention heads, with `dropout`: a GPT-2 with cross-attention.

    `weights` takes a pretrained language model of transformers instead, by the name of a folder or on the hub; its
    tokenizer must be named too. `network` is its architecture, which a training that starts afresh fills in. `cache`
    keeps keys and values of the words before, instead of computing them again for each word.
    """

    width: int = Field(default=128, ge=1)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    cache: bool = True
    weights: str | None = None
    network: dict[str, Any] | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _divisible(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        return self


class CaptionConfig(Config):
    """`decoder` writes the words from RoI features of side `pooled`; its sizes stand under its name.

    With `picture` the pixels themselves are looked at too, at four times that side, by two convolutions of stride 2, to
    `picture_channels` and `channels`: the words for colors can be had there, and hardly from the features. What is seen
    so says nothing at first, so that a model that gets the option later goes on as before.

    `max_tokens` bounds texts, read or written. `references`: of a region with several, "one" drawn each time or "all"
    are learned. `objects`: detected objects are described; `phrases`: so are regions of a stream of its own, which
    needs the proposals of a two-stage detector; one of both at least. At most `max_regions` an image of either kind;
    phrases whose boxes overlap by more than `nms_threshold` with a better one are left out, and those
    that score below `score_threshold`. `language_score` is what mAP judges texts by: unigram-F, or METEOR, which needs
    Java.
    """

    decoder: Literal["lstm", "transformer"] = "lstm"
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    lstm: LstmConfig = Field(default_factory=LstmConfig)
    transformer: TransformerConfig = Field(default_factory=TransformerConfig)
    pooled: int = Field(default=7, ge=1)
    picture: bool = False
    picture_channels: int = Field(default=32, ge=1)
    channels: int = Field(default=48, ge=1)
    max_tokens: int = Field(default=15, ge=1)
    references: Literal["one", "all"] = "one"
    objects: bool = True
    phrases: bool = True
    max_regions: int = Field(default=50, ge=1)
    nms_threshold: float = Field(default=0.3, ge=0, le=1)
    score_threshold: float = Field(default=0.05, ge=0, le=1)
    language_score: str = "unigram-F"

    @model_validator(mode="after")
    def _fitting(self) -> CaptionConfig:
        if not (self.objects or self.phrases):
            raise ValueError("nothing is left to describe: set objects or phrases to true")
        if self.decoder == "transformer" and self.transformer.weights and self.tokenizer.kind != "pretrained":
            raise ValueError("transformer.weights need their own tokenizer: {kind: pretrained, name: ...}")
        return self
