"""Functions that runtimes lack, in terms of those that they have.

Letters: *B any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Lowering(TorchFunctionMode):
    """A context in which torch.export records other functions for those without a counterpart in ONNX.

    They compute the same, up to rounding.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _REPLACED.get(func, func)(*args, **(kwargs or {}))


def inverse(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """Compute the inverse of 3x3 matrices, such as those of cameras, from their cofactors.

    Args:
        matrix: Invertible matrices.

    Returns:
        Their inverses.
    """
    a, b, c = matrix.unbind(dim=-2)
    cofactors = torch.stack((torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)), dim=-1)
    return cofactors / (a * cofactors[..., 0]).sum(dim=-1)[..., None, None]


def _argsort(values: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Sort by TopK, of which ONNX says that it prefers the first of equal values."""
    return values.topk(values.shape[dim], dim, largest=descending).indices


_REPLACED: Mapping[Callable[..., Any], Callable[..., Any]] = {
    torch.linalg.inv: inverse,
    torch.Tensor.argsort: _argsort,
}
