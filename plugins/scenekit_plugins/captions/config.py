"""Options of the task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit_plugins.texts.config import LstmConfig, SearchConfig, TokenizerConfig, TransformerConfig


class CaptionConfig(Config):
    """Options of the caption head.

    Pixels of the image, at four times the side of the pooled features, are read by two convolutions of stride 2: they
    show colors, which the features hardly do. Their layer is zero at first, so that adding it to a trained model
    changes nothing.
    """

    decoder: Literal["lstm", "transformer"] = "lstm"
    """Which decoder generates the words; its options stand under its name."""
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)
    """How texts are split into tokens."""
    search: SearchConfig = Field(default_factory=SearchConfig)
    """How a text is generated."""
    lstm: LstmConfig = Field(default_factory=LstmConfig)
    """The LSTM decoder."""
    transformer: TransformerConfig = Field(default_factory=TransformerConfig)
    """The transformer decoder."""
    pooled: int = Field(default=7, ge=1)
    """Side of the RoI features."""
    picture: bool = False
    """Whether the head reads pixels of the image too."""
    picture_channels: int = Field(default=32, ge=1)
    """Channels of the first convolution on the pixels."""
    channels: int = Field(default=48, ge=1)
    """Channels of the second convolution on the pixels."""
    max_tokens: int = Field(default=15, ge=1)
    """Upper limit of the tokens of a text, in training and inference."""
    references: Literal["one", "all"] = "one"
    """Whether "one" random text or "all" texts of a region are trained."""
    objects: bool = True
    """Whether detected objects are described; at least one of objects and phrases is."""
    phrases: bool = True
    """Whether regions of a stream of its own are described, which needs the proposals of a two-stage detector."""
    max_regions: int = Field(default=50, ge=1)
    """Upper limit of the regions per image, of either kind."""
    nms_threshold: float = Field(default=0.3, ge=0, le=1)
    """IoU above which NMS suppresses a phrase."""
    score_threshold: float = Field(default=0.05, ge=0, le=1)
    """Smallest score of a phrase."""
    language_score: str = "unigram-F"
    """Score of texts in mAP: unigram-F, or METEOR, which needs Java."""

    @model_validator(mode="after")
    def _fitting(self) -> CaptionConfig:
        if not (self.objects or self.phrases):
            raise ValueError("nothing is left to describe: set objects or phrases to true")
        if self.decoder == "transformer" and self.transformer.weights and self.tokenizer.kind != "pretrained":
            raise ValueError("transformer.weights need their own tokenizer: {kind: pretrained, name: ...}")
        return self
