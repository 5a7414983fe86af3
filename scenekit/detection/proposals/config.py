"""Options of the sources of proposals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenekit.config import Config
from scenekit.detection.config import AnchorConfig, ProposalConfig

Positive = Annotated[float, Field(gt=0)]


class SlidingWindowConfig(Config):
    """Windows of fixed shapes at regular places."""

    scales: tuple[Positive, ...] = Field(default=(32.0, 64.0, 128.0, 256.0), min_length=1)
    """Square roots of the windows' areas, in network pixels."""
    ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Aspect ratios, height / width."""
    stride: float = Field(default=0.25, gt=0, le=1)
    """Distance between neighboring windows of a shape, as a share of their sides."""


class RPNConfig(ProposalConfig):
    """A region proposal network on the shared pyramid."""

    anchors: AnchorConfig = AnchorConfig()
    """Reference boxes."""


class ProposalsConfig(Config):
    """Where the proposals of a detector are from: a source, and a section of options for each source there is."""

    name: Literal["sliding_window", "rpn"]
    """Name of the source; the sections of the others are not read."""
    limit_train: int | None = Field(default=2000, ge=1)
    """Proposals per image in training, best first; all if null."""
    limit_test: int | None = Field(default=2000, ge=1)
    """Proposals per image at inference, best first; all if null."""
    sliding_window: SlidingWindowConfig = SlidingWindowConfig()
    """Windows of fixed shapes at regular places."""
    rpn: RPNConfig = RPNConfig()
    """A region proposal network on the shared pyramid, which learns with the detector."""
