"""Options of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.ops.cameras import VIRTUAL_FOCAL

Metres = Annotated[float, Field(gt=0)]
Sizes = tuple[Metres, Metres, Metres]

Towers = Literal["shared", "separate"]
PoseNumbers = Literal["6d", "quaternion", "euler"]
PoseFrame = Literal["allocentric", "egocentric"]
SizeCode = Literal["exp", "sigmoid", "plain"]
Corners = Literal["symmetric", "own", "nearest"]
DepthUse = Literal["pooled"]
DepthCode = Literal["direct", "log", "sigmoid", "clusters", "box"]


class SizePrior(Config):
    """Sizes of the boxes of a class: width, height and length in metres."""

    mean: Sizes = (1.0, 1.0, 1.0)
    """Mean of each side, in metres."""
    std: Sizes = (0.25, 0.25, 0.25)
    """Standard deviation of each side, in metres."""


class DepthPrior(Config):
    """Depth of a class by the size of its boxes in the image, for an image and a focal length of 1 pixel."""

    scales: tuple[Metres, ...]
    """Scale of each bin: diagonal of a box divided by the height of the image."""
    mean: tuple[float, ...]
    """Mean depth of objects of about that scale: metres times height of the image divided by focal length."""
    std: tuple[Metres, ...]
    """Standard deviation of that depth."""

    @model_validator(mode="after")
    def _complete(self) -> DepthPrior:
        if not (len(self.scales) == len(self.mean) == len(self.std) > 0):
            raise ValueError("scales, mean and std of a depth prior need one entry per bin")
        return self


class Priors(Config):
    """Statistics of the boxes of each class."""

    sizes: Mapping[str, SizePrior] = Field(default_factory=dict)
    """Sizes by class name."""
    other_sizes: SizePrior = SizePrior()
    """Sizes of classes without an entry."""
    depths: Mapping[str, DepthPrior] = Field(default_factory=dict)
    """Depths by class name, where there are depth bins."""
    other_depths: DepthPrior | None = None
    """Depths of classes without an entry."""


class CodeConfig(Config):
    """Meaning of the numbers that the network predicts."""

    pose: PoseNumbers = "6d"
    """Parametrization of the rotation."""
    frame: PoseFrame = "allocentric"
    """Whether the rotation is relative to the ray through the object's center ("allocentric") or to the optical axis
    ("egocentric").
    """
    size: SizeCode = "exp"
    """"exp" is mean * exp(x) with the mean of the class prior, "sigmoid" lies within 3 standard deviations of that
    mean, "plain" is exp(x) metres.
    """
    depth: DepthCode = "direct"
    """"direct" metres, "log", "sigmoid" (of 100 m), "clusters" (within 3 standard deviations of the mean of the class
    at that scale of the box), or "box": exp(x) times the depth at which an object of the mean size of its class has a
    diagonal as long as the region's.
    """
    depth_bins: int = Field(default=1, ge=1)
    """Number of scales of the box with a depth of their own, as in the prior; the nearest one applies."""
    virtual_focal: float | None = Field(default=VIRTUAL_FOCAL, gt=0)
    """Focal length in pixels of the virtual camera in which depths are predicted; null for the actual camera. "box"
    contains the focal length already.
    """

    @property
    def needs_depths(self) -> bool:
        """Whether depths need priors."""
        return self.depth == "clusters" or self.depth_bins > 1


class LossConfig(Config):
    """Losses of the boxes."""

    disentangled: bool = True
    """Whether each group of numbers is compared by the corners of the ground-truth box with that group replaced
    (Simonelli et al., 2019), instead of by the numbers themselves.
    """
    corners: Corners = "symmetric"
    """Which corners of two boxes are compared: "own" ones, as annotated; "nearest" ones, as in Cube R-CNN, with which
    front and back are not learned, since a turn by 180 degrees gives the same corners; "symmetric": own ones, after the
    turn, of those that the symmetry of the class in the vocabulary allows, that brings the ground truth nearest to the
    prediction.
    """
    joint: bool = True
    """Whether the corners of the whole box are compared too."""
    inverse_depth: bool = False
    """Whether objects beyond e metres are weighted by 1 / log(depth)."""


class Boxes3DConfig(Config):
    """Options of the 3D box head.

    Cube R-CNN as it was released has `loss: {corners: nearest}` and `first_uncertainty: 5`. A small model learns faster
    with `fcs: [128, 128]`, `towers: separate` (rotations above all), `code: {depth: box}` and `position_width: 128`.
    """

    pooled: int = Field(default=7, ge=1)
    """Side of the RoI features."""
    fcs: tuple[Annotated[int, Field(ge=1)], ...] = (1024, 1024)
    """Widths of the fully connected layers."""
    towers: Towers = "shared"
    """Whether one tower predicts all numbers ("shared"), or one each kind ("separate")."""
    position_width: int = Field(default=0, ge=0)
    """Hidden width of an embedding of the region's position in its camera's view, which is added to its features; 0 for
    none, as in Cube R-CNN. RoI features hardly contain the position, on which depth depends if height and tilt of the
    cameras are similar.
    """
    code: CodeConfig = CodeConfig()
    """Meaning of the predicted numbers."""
    loss: LossConfig = LossConfig()
    """Losses."""
    uncertainty: bool = True
    """Whether the head predicts its own error, which weights losses and scores."""
    first_uncertainty: float = Field(default=1.0, ge=0)
    """Initial uncertainty: losses are weighted by sqrt(2) exp(-uncertainty), so 5 (Cube R-CNN) suits long runs only."""
    refine: bool = True
    """Whether a box of an image that comes with depth moves along its ray so that its visible surface lies at the depth
    inside of the object's mask, or of the middle of its region without masks. Nothing is learned for it.
    """
    depth: DepthUse | None = None
    """How depth that images come with corrects boxes beyond that; it has to be trained, on data with
    `data.inputs: [depth]`. "pooled": a small network corrects depth, size, rotation and center of the moved boxes by
    the depth of the cells of a region relative to them. Without depth nothing changes, to the bit.
    """
    depth_width: int = Field(default=256, ge=1)
    """Hidden width of that network."""
    depth_alone: bool = False
    """Whether this task trains nothing but that network, so that results without depth stay as they are, to the bit."""
    priors: Priors | None = None
    """Priors by class; if null, they are computed from the training data (see `scenekit_plugins.boxes3d.priors`).
    Classes without boxes there get those of all classes together, and without any data 1 m in each direction.
    """
    classes: tuple[str, ...] | None = None
    """Names of the things that get a box; all if null. Name those that the data has boxes of, where it lacks them for
    others: these would get boxes that nothing taught.
    """
    kitti: Mapping[str, str] | None = None
    """With this option the evaluation adds AP by KITTI's protocol for Car, Pedestrian and Cyclist. It maps class names
    to KITTI's, such as {"person": "Pedestrian"}; names that differ by case only need no entry.
    """

    @model_validator(mode="after")
    def _corrects_moved_boxes(self) -> Boxes3DConfig:
        if self.depth is not None and not self.refine:
            raise ValueError("depth: pooled corrects boxes that refine has moved to the depth; leave refine on")
        if self.depth_alone and self.depth is None:
            raise ValueError("depth_alone trains the network of depth, which is missing; set depth: pooled")
        return self


def relabeled(config: Boxes3DConfig, names: Mapping[str, str]) -> Boxes3DConfig:
    """Return the options with other class names.

    Args:
        config: The options.
        names: New names by old ones.

    Returns:
        The options.
    """

    def moved(entries: Mapping[str, Any]) -> dict[str, Any]:
        return {names.get(name, name): entry for name, entry in entries.items()}

    priors = config.priors
    changes: dict[str, Any] = {}
    if priors is not None:
        by_class = {part: moved(getattr(priors, part)) for part in ("sizes", "depths") if getattr(priors, part)}
        changes["priors"] = priors.model_copy(update=by_class)
    if config.kitti is not None:
        changes["kitti"] = moved(config.kitti)
    if config.classes is not None:
        changes["classes"] = tuple(names.get(name, name) for name in config.classes)
    return config.model_copy(update=changes)
