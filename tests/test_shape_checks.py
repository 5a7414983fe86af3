"""The tests run with shapes and types checked."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from scenekit.metrics.common import ratio
from scenekit.ops.boxes import intersection_over_area
from tests.shape_checks import checked


@jaxtyped(typechecker=checked)
def first_of(boxes: Float[Tensor, "N 4"], count: int) -> Float[Tensor, " N"]:
    return boxes[:count, 0]


def test_a_wrong_shape_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="intersection_over_area"):
        intersection_over_area(torch.rand(2, 5), torch.rand(3, 4))


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="ratio"):
        ratio("1", 2)  # type: ignore[arg-type]


def test_a_result_that_does_not_suit_the_arguments_is_an_error() -> None:
    assert len(first_of(torch.rand(3, 4), 3)) == 3
    with pytest.raises(TypeCheckError, match=r"the return value of .*first_of"):
        first_of(torch.rand(3, 4), 2)
