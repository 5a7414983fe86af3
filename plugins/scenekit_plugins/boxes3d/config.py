"""The options of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

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
DepthCode = Literal["direct", "log", "sigmoid", "clusters", "box"]


class SizePrior(Config):
    """`mean` and `std` of width, height and length in metres."""

    mean: Sizes = (1.0, 1.0, 1.0)
    std: Sizes = (0.25, 0.25, 0.25)


class DepthPrior(Config):
    """What the size of a box in the image says of the depth of a class, for an image and a focal length of 1 pixel.

    `scales` [bins] of boxes: their diagonal by the height of the image. `mean` and `std` [bins] of the depth of
    objects of about that scale: metres times the height of the image by the focal length.
    """

    scales: tuple[Metres, ...]
    mean: tuple[float, ...]
    std: tuple[Metres, ...]

    @model_validator(mode="after")
    def _complete(self) -> DepthPrior:
        if not (len(self.scales) == len(self.mean) == len(self.std) > 0):
            raise ValueError("scales, mean and std of a depth prior need one entry a bin")
        return self


class Priors(Config):
    """By the name of the class what its boxes are like: their `sizes` and, where there are bins, their `depths`.

    `other_sizes` and `other_depths` stand for classes that are not named.
    """

    sizes: Mapping[str, SizePrior] = Field(default_factory=dict)
    other_sizes: SizePrior = SizePrior()
    depths: Mapping[str, DepthPrior] = Field(default_factory=dict)
    other_depths: DepthPrior | None = None


class CodeConfig(Config):
    """What the numbers of the network mean.

    `pose` numbers of a rotation, which is relative to the ray through the object's center ("allocentric") or to the
    optical axis ("egocentric"). `size`: "exp" and "sigmoid" are relative to the class prior (mean * exp(x), or within
    3 standard deviations of the mean), "plain" is exp(x) metres.

    `depth`: "direct" metres, "log", "sigmoid" (of 100 m), "clusters" (within 3 standard deviations of the mean of the
    class at that scale of the box), or "box" (relative to where an object of the mean size of its class is, whose
    diagonal is as long as that of the region: times exp(x)). With `depth_bins` there is a depth for each of so many
    scales of the box, as the prior has them, and the nearest one holds. All but "box", which knows the focal length
    already, are counted as by a camera with `virtual_focal` pixels, unless that is None.
    """

    pose: PoseNumbers = "6d"
    frame: PoseFrame = "allocentric"
    size: SizeCode = "exp"
    depth: DepthCode = "direct"
    depth_bins: int = Field(default=1, ge=1)
    virtual_focal: float | None = Field(default=VIRTUAL_FOCAL, gt=0)

    @property
    def needs_depths(self) -> bool:
        """Whether the numbers mean nothing without priors of the depth."""
        return self.depth == "clusters" or self.depth_bins > 1


class LossConfig(Config):
    """`disentangled`: each group of numbers is judged by the corners of the true box with that group replaced
    (Simonelli et al., 2019), otherwise by the numbers themselves. `joint` adds the corners of the whole box.

    `corners` says which ones of a turned box belong together. "own" ones, as the objects are labelled. "nearest" ones,
    as Cube R-CNN has it: what is front and what is back is then not learned, as turning by 180 degrees leaves all
    corners. "symmetric": their own, after that turn which the vocabulary's symmetry allows the class that brings the
    true box nearest to what was found. Where a class has no front, no front is learned, and elsewhere it is.

    `inverse_depth` lets objects beyond e metres weigh less, by 1 / log(depth).
    """

    disentangled: bool = True
    corners: Corners = "symmetric"
    joint: bool = True
    inverse_depth: bool = False


class Boxes3DConfig(Config):
    """`pooled` RoIAlign side; fully connected layers of the widths `fcs`, one tower for all numbers ("shared") or one
    for each kind ("separate"). `code` says what its numbers mean, `loss` how they are learned.

    `position_width` is the hidden width of an embedding of where the region is, as its camera sees it, that is added
    to its features; 0 for none, as in Cube R-CNN. RoI features hardly tell it, and depth hangs on it, as far as cameras
    stand alike: their usual height and tilt are learned with it.

    `uncertainty` has the head judge its own error: it weighs what is learned, and scores. `first_uncertainty` is where
    it starts: losses weigh sqrt(2) exp(-uncertainty), so 5 (Cube R-CNN) suits long runs only.

    Cube R-CNN as it was released has `loss: {corners: nearest}` and `first_uncertainty: 5`. A small model learns faster
    with `fcs: [128, 128]`, `towers: separate` (turns above all), `code: {depth: box}` and `position_width: 128`.

    `priors` are found in the training data (see `scenekit_plugins.boxes3d.priors`); classes that these lack are taken
    to be as all others together, and without any data 1 m in each direction.

    With `kitti` the evaluation adds AP by KITTI's protocol for Car, Pedestrian and Cyclist; it says what other things
    are called there, such as {"person": "Pedestrian"}, and is {} where none is called otherwise but for its case.
    """

    pooled: int = Field(default=7, ge=1)
    fcs: tuple[Annotated[int, Field(ge=1)], ...] = (1024, 1024)
    towers: Towers = "shared"
    position_width: int = Field(default=0, ge=0)
    code: CodeConfig = CodeConfig()
    loss: LossConfig = LossConfig()
    uncertainty: bool = True
    first_uncertainty: float = Field(default=1.0, ge=0)
    priors: Priors | None = None
    kitti: Mapping[str, str] | None = None
