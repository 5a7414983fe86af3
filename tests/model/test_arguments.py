"""Arguments that functions of a model share: what they take, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit.model.arguments import image_size, least_score, positive_integer, task_names


def test_what_they_take() -> None:
    assert task_names("masks") == ("masks",) and task_names(["a", "b"]) == ("a", "b") and task_names(None) is None
    assert least_score(np.float32(0.5)) == 0.5 and least_score(0) == 0.0
    assert positive_integer("detections", np.int64(3)) == 3
    assert image_size([48, np.int64(64)]) == image_size(torch.Size((48, 64))) == (48, 64)


@pytest.mark.parametrize("names", [5, [1], ["a", None]])
def test_no_names(names: object) -> None:
    with pytest.raises(InputError, match=r"tasks: expected names such as \['masks'\], got "):
        task_names(names)


@pytest.mark.parametrize("score", ["0.5", None, float("nan"), True])
def test_no_score(score: object) -> None:
    with pytest.raises(InputError, match=r"threshold: expected a score such as 0.5, got "):
        least_score(score)


@pytest.mark.parametrize("number", [0, -1, 2.5, True, "3", None])
def test_no_number(number: object) -> None:
    with pytest.raises(InputError, match="repeats: expected a whole number from 1, got "):
        positive_integer("repeats", number)


@pytest.mark.parametrize(
    "size", [5, "ab", (64,), (64, 96, 3), (64.0, 96.0), (0, 64), (64, 32769), (999999, 999999), (True, 64), {64: 96}]
)
def test_no_size(size: object) -> None:
    with pytest.raises(InputError, match=r"size: expected \(height, width\), each 1 to 32768 pixels, got "):
        image_size(size)
