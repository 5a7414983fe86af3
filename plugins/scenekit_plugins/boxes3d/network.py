"""The network: numbers of a box for each class from RoI features.

Letters: N regions, D features of a region, C classes, B depth bins, P numbers of a pose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.head import AxisNames, ParameterNames, rows_by_name
from scenekit_plugins.boxes3d.config import Boxes3DConfig, PoseNumbers

POSE_NUMBERS: Mapping[PoseNumbers, int] = {"6d": 6, "quaternion": 4, "euler": 3}

LEAST_UNCERTAINTY = 0.01
"""Lower limit of the uncertainty."""

POSITION_MEAN, POSITION_STD = (0.0, 0.0, -1.75, -1.75, 0.125), (0.25, 0.125, 0.5, 0.5, 0.125)
"""Approximate statistics of positions in everyday images: an object of a sixth of the focal length near the center."""

_IDENTITY: Mapping[PoseNumbers, tuple[float, ...]] = {
    "6d": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "quaternion": (1.0, 0.0, 0.0, 0.0),
    "euler": (0.0, 0.0, 0.0),
}


@dataclass(frozen=True, eq=False)
class ClassNumbers:
    """Predicted numbers of each region for each class."""

    deltas: Float[Tensor, "N C 2"]
    """Offset of the center."""
    depth: Float[Tensor, "N B C"]
    """Depth."""
    size: Float[Tensor, "N C 3"]
    """Size."""
    pose: Float[Tensor, "N C P"]
    """Rotation."""
    uncertainty: Float[Tensor, "N C"]
    """Uncertainty."""

    def of(self, labels: Int[Tensor, " N"]) -> Numbers:
        """Select the numbers of one class for each region.

        Args:
            labels: Class of each region.

        Returns:
            The numbers of the regions.
        """
        rows = torch.arange(len(labels), device=labels.device)
        return Numbers(
            deltas=self.deltas[rows, labels],
            depth=self.depth[rows, :, labels],
            size=self.size[rows, labels],
            pose=self.pose[rows, labels],
            uncertainty=self.uncertainty[rows, labels],
        )


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of one box per region, in single precision at least; see `CodeConfig` for their meaning."""

    deltas: Float[Tensor, "N 2"]
    """Offset from the center of the region to that of the object, in sides of the region."""
    depth: Float[Tensor, "N B"]
    """Depth in each bin."""
    size: Float[Tensor, "N 3"]
    """Size."""
    pose: Float[Tensor, "N P"]
    """Rotation."""
    uncertainty: Float[Tensor, " N"]
    """Uncertainty u: the expected error is about exp(u)."""

    def __getitem__(self, rows: Int[Tensor, " M"]) -> Numbers:
        return Numbers(**{name: value[rows] for name, value in vars(self).items()})


class CubeNetwork(nn.Module):
    """Towers of fully connected layers and a linear layer for each kind of numbers (Brazil et al., 2023, section 4)."""

    def __init__(self, features: int, classes: tuple[str, ...], config: Boxes3DConfig) -> None:
        super().__init__()
        self.classes, self.bins, self.pose = len(classes), config.code.depth_bins, POSE_NUMBERS[config.code.pose]
        width = config.fcs[-1] if config.fcs else features
        each = {"deltas": 2, "size": 3, "pose": self.pose, "depth": self.bins}
        each |= {"uncertainty": 1} if config.uncertainty else {}
        self.predictors = nn.ModuleDict({kind: nn.Linear(width, count * self.classes) for kind, count in each.items()})
        towers = ("shared",) if config.towers == "shared" else tuple(each)
        self.towers = nn.ModuleDict({name: _tower(features, config.fcs) for name in towers})
        self._initialize(config)
        self.axis_names = _axis_names(classes, each)

    def forward(self, features: Float[Tensor, "N D"]) -> ClassNumbers:
        hidden = {name: tower(features) for name, tower in self.towers.items()}
        values = {k: layer(hidden.get("shared", hidden.get(k))).float() for k, layer in self.predictors.items()}
        deltas = values["deltas"].unflatten(1, (self.classes, 2))
        certain = torch.zeros_like(deltas[..., 0])
        return ClassNumbers(
            deltas=deltas,
            depth=values["depth"].unflatten(1, (self.bins, self.classes)),
            size=values["size"].unflatten(1, (self.classes, 3)),
            pose=values["pose"].unflatten(1, (self.classes, self.pose)),
            uncertainty=values["uncertainty"].clamp(min=LEAST_UNCERTAINTY) if "uncertainty" in values else certain,
        )

    def _initialize(self, config: Boxes3DConfig) -> None:
        """Initialize small weights: every box starts at the center of its region, with the mean size of its class."""
        for layer in self.predictors.values():
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)
        identity = torch.tensor(_IDENTITY[config.code.pose]).repeat(self.classes)
        with torch.no_grad():
            self.get_parameter("predictors.pose.bias").copy_(identity)
            if config.uncertainty:
                self.get_parameter("predictors.uncertainty.bias").fill_(config.first_uncertainty)


class PositionEmbedding(nn.Module):
    """An embedding of a region's position (`Views.positions`), which is added to its features and is zero at first."""

    mean: Float[Tensor, "5"]
    std: Float[Tensor, "5"]

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(len(POSITION_MEAN), width)
        self.added = nn.Linear(width, features)
        nn.init.zeros_(self.added.weight)
        nn.init.zeros_(self.added.bias)
        self.register_buffer("mean", torch.tensor(POSITION_MEAN), persistent=False)
        self.register_buffer("std", torch.tensor(POSITION_STD), persistent=False)

    def forward(self, positions: Float[Tensor, "N 5"]) -> Float[Tensor, "N D"]:
        scaled = ((positions - self.mean) / self.std).to(self.hidden.weight.dtype)
        added: Tensor = self.added(self.hidden(scaled).relu())
        return added


def _tower(features: int, widths: tuple[int, ...]) -> nn.Sequential:
    steps = ((nn.Linear(before, after), nn.ReLU()) for before, after in pairwise((features, *widths)))
    return nn.Sequential(*(layer for step in steps for layer in step))


def _axis_names(classes: tuple[str, ...], each: Mapping[str, int]) -> ParameterNames:
    """Return the class names of the predictors' rows; rows of depths are ordered by bin."""
    layers = {f"predictors.{kind}": AxisNames(classes, each=count) for kind, count in each.items() if kind != "depth"}
    bins = each["depth"]
    names = classes if bins == 1 else tuple(f"{name} (bin {place})" for place in range(bins) for name in classes)
    return rows_by_name({**layers, "predictors.depth": AxisNames(names)})
