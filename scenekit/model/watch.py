"""Noticing that a step changes in place what others read."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from scenekit.errors import BoardError
from scenekit.model.tracing import untraced
from scenekit.structures.tensors import tensors_in


@dataclass(frozen=True)
class Watch:
    """Remembers tensors and how often each was changed in place, which torch counts.

    Tensors made under `torch.inference_mode` have no such count and are not watched.
    """

    _seen: dict[Hashable, tuple[str, list[tuple[Tensor, int]]]] = field(default_factory=dict)

    def add(self, name: str, value: Any, place: Hashable = None) -> None:
        """Add the tensors of a value to those that are watched.

        Args:
            name: What the value is, for messages.
            value: A tensor or a nested value.
            place: A former value of that place is forgotten; by default the name.
        """
        tensors = [(tensor, tensor._version) for tensor in tensors_in(value) if not tensor.is_inference()]
        self._seen[name if place is None else place] = (name, tensors)

    def remove(self, place: Hashable) -> None:
        """Remove the value of a place.

        Args:
            place: As in `add`.
        """
        self._seen.pop(place, None)

    @untraced
    def check(self, owner: str) -> None:
        """Check that nothing was changed since.

        Args:
            owner: The step that ran.

        Raises:
            BoardError: A watched tensor was changed in place.
        """
        for name, tensors in self._seen.values():
            if any(tensor._version != version for tensor, version in tensors):
                raise BoardError(
                    f"{owner} changes {name} in place, which other steps read; change a copy: x.clone(), relu(x) "
                    "instead of relu_(x), nn.ReLU() instead of nn.ReLU(inplace=True)"
                )
