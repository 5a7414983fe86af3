"""Options of the tracker `associate`."""

from __future__ import annotations

from pydantic import Field

from scenekit.config import Config


class AssociateConfig(Config):
    """Options of the tracker `associate`."""

    birth: float = Field(default=0.5, ge=0, le=1)
    """Smallest score of an object that a new track begins with."""
    high: float = Field(default=0.5, ge=0, le=1)
    """Objects that score less are matched last, with tracks that are left, by their boxes alone."""
    hits: int = Field(default=2, ge=1)
    """Images in which a track must have an object before it is confirmed; tracks of the first image are at once."""
    lost: float = Field(default=1.0, ge=0)
    """Seconds after which a track without objects ends; one that is not confirmed ends with the first image without."""
    box: float = Field(default=1.0, ge=0)
    """Weight of the IoU of the box with the one that the track's motion predicts."""
    margin: float = Field(default=0.3, ge=0, le=1)
    """Share of their sides that boxes grow by on each side for their IoU, so that those of fast objects overlap."""
    mask: float = Field(default=0.0, ge=0)
    """Weight of the IoU of the masks, moved with their boxes; it takes time, and improved no synthetic clips."""
    distance: float = Field(default=1.0, ge=0)
    """Weight of the distance of the 3D box from the predicted one, in the world where scenes have poses."""
    appearance: float = Field(default=1.0, ge=0)
    """Weight of the appearance."""
    least: float = Field(default=0.25, ge=0, le=1)
    """Smallest weighted mean of these, each 0 to 1, of a match."""
    least_low: float = Field(default=0.6, ge=0, le=1)
    """Smallest IoU of a match with an object that scores less than `high`."""
    reach: float = Field(default=1.5, gt=0)
    """How far an object may be from the predicted box without overlapping it, in diagonals of the box."""
    max_distance: float = Field(default=2.0, gt=0)
    """Metres between predicted and current place of a 3D box at which their similarity is 0."""
    alike: float = Field(default=0.5, ge=-1, lt=1)
    """Cosine of the appearance of two objects at which their similarity is 0."""
    same_class: bool = True
    """Whether a track only gets objects of its label; otherwise another label costs `relabel`."""
    relabel: float = Field(default=0.2, ge=0, le=1)
    """What a match with another label costs of the similarity."""
