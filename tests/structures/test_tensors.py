"""Functions on nested values."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from scenekit.structures.tensors import map_tensors


class Pair(NamedTuple):
    first: Tensor
    second: str


@dataclass
class Counted:
    values: Tensor
    count: int = field(init=False)

    def __post_init__(self) -> None:
        self.count = len(self.values)


def test_named_tuples_and_dataclasses_with_derived_fields_are_mapped() -> None:
    mapped = map_tensors(torch.neg, [Pair(torch.ones(2), "a"), Counted(torch.ones(3))])
    assert isinstance(mapped[0], Pair) and mapped[0].first.tolist() == [-1, -1] and mapped[0].second == "a"
    assert mapped[1].values.tolist() == [-1, -1, -1] and mapped[1].count == 3
