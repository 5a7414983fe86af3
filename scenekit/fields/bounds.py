"""How far a value may reach out of the box of its region. Letter: N regions."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

SLACK, RELATIVE_SLACK = 2.0, 0.05
"""How far a mask or a point may be out of its box: pixels, or the share of the box's longer side if that is more."""


def slack(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 1"]:
    """Return how far the value of each region may reach out of its box.

    Args:
        boxes: Boxes of the regions, xyxy in pixels.

    Returns:
        The tolerance, in pixels.
    """
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return (RELATIVE_SLACK * longer).clamp(min=SLACK)
