"""The classes of a whole image, and the place of its one object.

Letters: k classes, best first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

IMAGE_CLASSES = "image_classes"
"""The list of the vocabulary that the labels of images index."""


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """Classes of one image: its one class in ground truth, the likeliest ones in a prediction; none where unknown."""

    labels: Int[Tensor, " k"]
    """Indices into the vocabulary's list `image_classes`, best first."""
    scores: Float[Tensor, " k"] | None = None
    """Probabilities; None for ground truth."""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, label: int | None) -> ImageClasses:
        """Return the ground truth of an image.

        Args:
            label: Its class; None where it is unknown.

        Returns:
            The class.
        """
        return cls(torch.tensor([] if label is None else [label], dtype=torch.int64))


@dataclass(frozen=True, eq=False)
class LocatedClasses:
    """Classes of one image, each with the box of its object."""

    labels: Int[Tensor, " k"]
    """Indices into the vocabulary's list `image_classes`, best first."""
    boxes: Float[Tensor, "k 4"]
    """xyxy in pixels."""
    scores: Float[Tensor, " k"] | None = None
    """Probabilities of the classes; None for ground truth."""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, label: int, box: Float[Tensor, "4"]) -> LocatedClasses:
        """Return the ground truth of an image.

        Args:
            label: Class of its object.
            box: Its box, xyxy in pixels.

        Returns:
            The class and the box.
        """
        return cls(torch.tensor([label]), box[None].float())
