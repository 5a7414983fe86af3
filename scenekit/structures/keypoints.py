"""Keypoints of objects. Letters: N objects, K keypoints of the skeleton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.geometry import Geometry

ABSENT, HIDDEN, VISIBLE = 0, 1, 2
"""COCO's visibility flags."""


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of objects that share one skeleton."""

    xy: Float[Tensor, "N K 2"]
    """Positions in pixels."""
    visibility: Int[Tensor, "N K"]
    """COCO's flags: 0 not labelled or outside the image, 1 hidden, 2 visible."""
    scores: Float[Tensor, "N K"] | None = None
    """Confidence of predictions; None in ground truth."""

    def __len__(self) -> int:
        return int(self.xy.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | list[int]) -> Keypoints:
        scores = None if self.scores is None else self.scores[rows]
        return Keypoints(self.xy[rows], self.visibility[rows], scores)

    def transformed(self, geometry: Geometry, mirror: Sequence[int]) -> Keypoints:
        """Transform the keypoints with their image; keypoints that leave the image become absent.

        Args:
            geometry: The crop, resize and flip.
            mirror: `mirror[k]` is the keypoint that k becomes when left and right are exchanged.

        Returns:
            The keypoints in pixels of the result.
        """
        xy = geometry.points(self.xy)
        height, width = geometry.size
        inside = ((xy >= 0) & (xy <= xy.new_tensor([width, height]))).all(
            dim=-1
        )  # with both borders, which a flip swaps
        moved = replace(self, xy=xy, visibility=self.visibility * inside)
        if not geometry.mirrored:
            return moved
        rows = list(mirror)
        scores = None if moved.scores is None else moved.scores[:, rows]
        return Keypoints(moved.xy[:, rows], moved.visibility[:, rows], scores)
