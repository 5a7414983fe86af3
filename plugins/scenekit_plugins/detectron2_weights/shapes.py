"""Sizes of a checkpoint's tensors, from which networks are determined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scenekit.errors import InputError


class Shapes:
    """Sizes of a checkpoint's tensors; a missing or empty one raises an error that names the file.

    Args:
        state: The state dict.
        file: Path of the checkpoint, for error messages.
        expected: What the checkpoint should hold, for error messages.
    """

    def __init__(self, state: Mapping[str, Tensor], file: Path, expected: str) -> None:
        self.state, self.file, self.expected = state, file, expected

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a layer."""
        return self._size(name, axis=0)

    def inputs(self, name: str) -> int:
        """Return the number of inputs of each output (of its group)."""
        return self._size(name, axis=1)

    def count(self, template: str, first: int) -> int:
        """Count consecutive numbers from `first` on for which a layer of this name exists."""
        number = first
        while template.format(number) in self:
            number += 1
        return number - first

    def convs(self, template: str) -> dict[str, Any]:
        """Return number and channels of a region head's convolutions, which are counted from 1."""
        return {"convs": self.count(template, first=1), "channels": self.outputs(template.format(1))}

    def fcs(self, template: str) -> list[int]:
        """Return the widths of fully connected layers, which are counted from 1."""
        return [self.outputs(template.format(layer + 1)) for layer in range(self.count(template, first=1))]

    def refusal(self, reason: str) -> InputError:
        """Return the error about a network that is not converted."""
        return InputError(f"{self.file}: expected {self.expected}; {reason}")

    def _size(self, name: str, axis: int) -> int:
        shape = self.state[name].shape if name in self else ()
        if len(shape) <= axis or not all(shape):
            raise self.refusal(f"this network has {'an empty' if name in self else 'no'} {name}")
        return int(shape[axis])
