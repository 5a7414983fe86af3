"""What the classes of a semantic head stand for. Letters: B images, L labels, C classes of the head, H W pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.fields.semantic import IGNORE
from scenekit.structures import Vocabulary

THINGS = "(things)"
"""Name of the class that all things share where they are one class."""


@dataclass(frozen=True)
class Classes:
    """Classes of the head."""

    names: tuple[str, ...]
    """Names of the classes; the first one may stand for all things."""
    merged: int = 1
    """Number of things that the first class stands for."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, things: Literal["apart", "together"]) -> Classes:
        """Return every label, or one class for all things and every stuff.

        Args:
            vocabulary: Vocabulary of the model.
            things: Whether things are classes of their own.

        Returns:
            The classes.
        """
        if things == "apart":
            return cls(vocabulary.labels)
        return cls((THINGS, *vocabulary.stuff), merged=len(vocabulary.things))

    def from_labels(self, labels: Int[Tensor, "B H W"]) -> Int[Tensor, "B H W"]:
        """Convert labels to classes; IGNORE stays.

        Args:
            labels: Labels of the vocabulary.

        Returns:
            Classes of the head.
        """
        return torch.where(labels == IGNORE, IGNORE, (labels - self.merged + 1).clamp(min=0))

    def covered(self, labels: Bool[Tensor, "B L"]) -> Bool[Tensor, "B C"]:
        """Convert coverage of labels to coverage of classes; all things together are covered where any of them is.

        Args:
            labels: Which labels of the vocabulary each image covers.

        Returns:
            Which classes of the head each image covers.
        """
        merged, rest = labels[:, : self.merged], labels[:, self.merged :]
        return torch.cat((merged.any(dim=1, keepdim=True), rest), dim=1)

    def to_labels(self, classes: Int[Tensor, "*B H W"]) -> Int[Tensor, "*B H W"]:
        """Convert classes to labels; IGNORE for a class of several labels.

        Args:
            classes: Classes of the head.

        Returns:
            Labels of the vocabulary.
        """
        labels = classes + self.merged - 1
        return labels if self.merged == 1 else labels.masked_fill(classes == 0, IGNORE)
