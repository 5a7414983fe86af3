"""Which of torchvision's networks a file is of, for the error about a file that is not of the named one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.models import get_model

from scenekit.backbones.torchvision import AUXILIARY
from scenekit_plugins.torchvision_weights.classifiers import CLASSIFIERS
from scenekit_plugins.torchvision_weights.networks import NETWORKS

UNTRAINED: Mapping[str, Mapping[str, object]] = {
    **{name: {"weights_backbone": None} for name in NETWORKS},
    **{name: {"init_weights": False} for name in ("googlenet", "inception_v3")},
}
"""Options without which torchvision's builders would download or initialize weights."""


def likely_cause(name: str, state: Mapping[str, Tensor]) -> str:
    """Return why a file does not fit a network, and what to do.

    Args:
        name: Name of the network that the file should be of.
        state: torchvision's state dict.

    Returns:
        The end of an error message.
    """
    found = most_alike(state)
    if found == name:
        return (
            "the names of all parameters are right, so that most likely the numbers of its classes, keypoints or "
            "anchors contradict each other, or its options are not the builder's defaults"
        )
    if found is None:
        return "most likely it is of another architecture, which torchvision does not have or scenekit does not convert"
    return f"most likely it is of another architecture: its parameters are those of {found}, use torchvision/{found}"


def most_alike(state: Mapping[str, Tensor]) -> str | None:
    """Find the network whose parameters have the names of those of a file, and most of their shapes.

    Counters and auxiliary classifiers do not count: many files lack them.

    Args:
        state: torchvision's state dict.

    Returns:
        The name of its builder; None where no network has these names.
    """
    own = _shapes(state)
    equal: dict[str, int] = {}
    for name in (*CLASSIFIERS, *NETWORKS):
        with torch.device("meta"):
            shapes = _shapes(get_model(name, weights=None, **UNTRAINED.get(name, {})).state_dict())
        if shapes.keys() == own.keys():
            equal[name] = sum(shape == own[parameter] for parameter, shape in shapes.items())
    return max(equal, key=lambda name: equal[name], default=None)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {
        name: value.shape
        for name, value in state.items()
        if not name.startswith(AUXILIARY) and not name.endswith(".num_batches_tracked")
    }
