"""Occupancy grids as values of a scene: packed, mirrored, written and read."""

import json
from collections.abc import Callable

import pytest
import torch

from scenekit.errors import InputError
from scenekit.keys import VOXELS
from scenekit.structures.geometry import Geometry
from scenekit.structures.vocabulary import Vocabulary

WORDS = Vocabulary(things=("chair",))
SIZE = (8, 12)


def grids(count: int, side: int = 5) -> torch.Tensor:
    return torch.rand(count, side, side, side) > 0.6


@pytest.mark.parametrize(
    "make", [lambda: grids(3), lambda: grids(3, 24), lambda: torch.rand(2, 3, 3, 3), lambda: grids(0)],
    ids=["odd", "large", "fractions", "none"],
)  # fmt: skip
def test_json_brings_the_same_grids_back(make: Callable[[], torch.Tensor]) -> None:
    value = make()
    text = json.dumps(VOXELS.field.encode(value, WORDS))
    back = VOXELS.field.decode(json.loads(text), SIZE, WORDS)
    assert back.dim() == 4 and len(back) == len(value)
    if len(value):
        assert torch.equal(back, value) and back.dtype == value.dtype


def test_a_grid_of_bits_is_small() -> None:
    """A byte holds eight cells, the first one in its highest bit."""
    grid = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    grid[0, 0, 0, 0] = grid[0, 1, 1, 1] = True
    assert VOXELS.field.encode(grid, WORDS) == [{"side": 2, "bits": "gQ=="}]  # 0b10000001 in base64
    assert len(json.dumps(VOXELS.field.encode(grids(1, 24), WORDS))) < 2400


def test_mirroring_turns_the_width_and_resizing_nothing() -> None:
    value = grids(2)
    assert torch.equal(VOXELS.field.transform(value, Geometry.flip(SIZE), WORDS), value.flip(1))
    assert torch.equal(VOXELS.field.transform(value, Geometry.resize(SIZE, (4, 6)), WORDS), value)
    assert torch.equal(VOXELS.field.transform(value, Geometry.crop(SIZE, (2, 2, 6, 6)), WORDS), value)


def test_batches_hold_grids_of_one_size() -> None:
    parts = [grids(2), grids(0), grids(1)]
    assert torch.equal(VOXELS.field.collate(parts, SIZE), torch.cat([parts[0], parts[2]]))
    nothing = VOXELS.field.decode([], SIZE, WORDS)
    assert torch.equal(VOXELS.field.collate([nothing, parts[0]], SIZE), parts[0])
    assert VOXELS.field.collate([nothing], SIZE).shape[0] == 0
    with pytest.raises(InputError, match="voxel grids of 4 and 5 cells a side in one batch; give all data sets"):
        VOXELS.field.collate([grids(1), grids(1, 4)], SIZE)


def test_rows_without_a_grid_are_empty() -> None:
    spread = VOXELS.field.scatter(grids(1), torch.tensor([1]), 3)
    assert spread.shape == (3, 5, 5, 5) and not spread[0].any() and not spread[2].any()


def test_a_graph_says_how_full_the_box_is() -> None:
    half = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    half[0, :2] = True
    assert VOXELS.field.describe(half, WORDS, 0.5) == [{"shape": [4, 4, 4], "filled": 0.5}]
