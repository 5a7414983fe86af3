"""Visibility of objects, from their masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scenekit.keys import AMODAL_MASKS, MASKS, VISIBILITY, Key
from scenekit.scene import Scene


def visible_shares(scene: Scene) -> Mapping[Key[Any, Any], Tensor]:
    """Return VISIBILITY [N]: the area of each mask over that of its amodal mask, NaN where the amodal mask is empty."""
    visible, whole = scene[MASKS].area, scene[AMODAL_MASKS].area
    return {VISIBILITY: torch.where(whole > 0, (visible / whole).clamp(max=1), torch.nan)}
