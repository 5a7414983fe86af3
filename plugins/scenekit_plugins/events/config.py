"""Options of the task."""

from __future__ import annotations

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit_plugins.texts.config import LstmConfig, SearchConfig, TokenizerConfig


class EventConfig(Config):
    """Options of the head of events.

    Of each frame it keeps a grid of cells: features of one level of the pyramid, and what color the pixels are. Slots
    in steps of time look at the cells around their time, and each may become one event. Each word of its text looks at
    the cells of some moments of its span.
    """

    level: int = Field(default=0, ge=0)
    """The level of the pyramid that cells are pooled from; 0 is the finest."""
    rows: int = Field(default=6, ge=1)
    """Rows of the grid."""
    columns: int = Field(default=8, ge=1)
    """Columns of the grid."""
    parts: int = Field(default=2, ge=1)
    """Each cell has what is pooled from its parts, so many rows and columns of them."""
    rate: float = Field(default=4.0, gt=0)
    """Frames in a second that are looked at; of a video with more the others are left out."""
    width: int = Field(default=96, ge=4)
    """Width of all layers."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads; each has a span of time of its own."""
    layers: int = Field(default=2, ge=1, le=100)
    """Layers in which slots look at cells."""
    step: float = Field(default=0.5, gt=0)
    """Seconds from slots to the next ones."""
    slots: int = Field(default=3, ge=1)
    """Slots at one time: so many events may have nearly the same middle."""
    moments: int = Field(default=6, ge=2)
    """Moments of an event, from its start to its end, whose cells the decoder of texts looks at."""
    window: float = Field(default=20.0, gt=0)
    """Longest clip that is looked at as a whole, in seconds; longer ones in windows of it, each half over the next."""
    dropout: float = Field(default=0.25, ge=0, lt=1)
    """Dropout of the layers."""
    max_events: int = Field(default=100, ge=1)
    """Upper limit of the events of a window."""
    score_threshold: float = Field(default=0.3, ge=0, le=1)
    """Smallest score of an event."""
    nms_threshold: float = Field(default=0.7, ge=0, le=1)
    """Temporal IoU above which the worse of two events is dropped."""
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)
    """How texts are split into tokens."""
    search: SearchConfig = Field(default_factory=SearchConfig)
    """How a text is generated."""
    lstm: LstmConfig = Field(default_factory=lambda: LstmConfig(width=128, features=192, dropout=0.3))
    """The decoder of texts."""
    max_tokens: int = Field(default=20, ge=1)
    """Upper limit of the tokens of a text, in training and inference."""
    language_score: str = "unigram-F"
    """Score of texts in the results: unigram-F, or METEOR, which needs Java."""

    @model_validator(mode="after")
    def _divisible(self) -> EventConfig:
        for name, width in (("width", self.width), ("lstm.width", self.lstm.width)):
            if width % self.heads:
                raise ValueError(f"{name} must be a multiple of heads, got {width} and {self.heads}")
        return self
