"""The tests run with shapes and types checked."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from scenekit.metrics.common import ratio
from scenekit.ops.boxes import intersection_over_area


def test_a_wrong_shape_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="intersection_over_area"):
        intersection_over_area(torch.rand(2, 5), torch.rand(3, 4))


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="ratio"):
        ratio("1", 2)  # type: ignore[arg-type]
