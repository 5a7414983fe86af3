"""Options of the sources of proposals."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.detection.config import AnchorConfig, Positive, ProposalConfig


class SlidingWindowConfig(Config):
    """Windows of fixed shapes at regular places."""

    scales: tuple[Positive, ...] = Field(default=(32.0, 64.0, 128.0, 256.0), min_length=1)
    """Square roots of the windows' areas, in network pixels."""
    ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Aspect ratios, height / width."""
    stride: float = Field(default=0.25, gt=0, le=1)
    """Distance between neighboring windows of a shape, as a share of their sides."""


class SelectiveSearchConfig(Config):
    """Boxes of merged image segments, found by OpenCV (the extra `selective-search`)."""

    mode: Literal["fast", "quality"] = "fast"
    """How many color spaces, similarities and initial segmentations are combined: "quality" finds about three times as
    many boxes in three times the time.
    """
    max_width: int | None = Field(default=500, ge=1)
    """Wider images are searched at this width, in pixels, as in R-CNN; null: at network size."""
    min_side: float = Field(default=1.0, ge=0)
    """Smallest width and height of a box, in network pixels."""
    cache: str | None = None
    """Folder in which the boxes of each image are kept by its pixels, for later runs and other processes; null: in
    memory alone, those of the latest images.
    """


class FilesConfig(Config):
    """Proposals of a file."""

    path: str | None = None
    """The file, in JSON: [{"image_id": 42, "bbox": [x, y, width, height], "score": 0.9}, ...] as COCO's results, in
    pixels of the stored images; "file_name" may stand in place of "image_id".
    """
    missing: Literal["error", "empty"] = "error"
    """What an image is that the file does not name: an error, or one without proposals."""


class RPNConfig(ProposalConfig):
    """A region proposal network on the shared pyramid."""

    anchors: AnchorConfig = AnchorConfig()
    """Reference boxes."""


class ProposalsConfig(Config):
    """Where the proposals of a detector are from: a source, and a section of options for each source there is."""

    name: Literal["sliding_window", "selective_search", "rpn", "files"]
    """Name of the source; the sections of the others are not read."""
    limit_train: int | None = Field(default=2000, ge=1)
    """Proposals per image in training, best first; all if null."""
    limit_test: int | None = Field(default=2000, ge=1)
    """Proposals per image at inference, best first; all if null."""
    sliding_window: SlidingWindowConfig = SlidingWindowConfig()
    """Windows of fixed shapes at regular places."""
    selective_search: SelectiveSearchConfig = SelectiveSearchConfig()
    """Boxes of merged image segments."""
    rpn: RPNConfig = RPNConfig()
    """A region proposal network on the shared pyramid, which learns with the detector."""
    files: FilesConfig = FilesConfig()
    """Proposals of a file."""

    @model_validator(mode="after")
    def _has_a_file(self) -> ProposalsConfig:
        if self.name == "files" and self.files.path is None:
            raise ValueError("proposals from files need the file: set files.path")
        return self
