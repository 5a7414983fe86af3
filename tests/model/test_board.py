"""The board: write once, declared reads, own rows, and features that are pooled once.

Letters: N regions, C channels, S pooled side.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit.errors import BoardError
from scenekit.keys import (
    ATTRIBUTES,
    BOXES3D,
    CAPTIONS,
    FEATURES,
    IMAGES,
    KEYPOINTS,
    MASKS,
    MESHES,
    OBJECTS,
    PROPOSALS,
    RPN_FEATURES,
    SEMANTIC,
    VOXELS,
    Key,
)
from scenekit.model.board import Board
from scenekit.structures import FeaturePyramid, ImageBatch, Regions
from tests.structures import worlds

BATCH = ImageBatch(torch.zeros(2, 3, 8, 12), ((8, 12), (8, 12)), ((8, 12), (8, 12)))


class FakePooler:
    """Features of a row are its box times a parameter of the map; remembers which boxes it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def __call__(self, features: FeaturePyramid, regions: Regions, size: int) -> Tensor:
        self.asked.append(regions.boxes[:, 0].tolist())
        weight = features.maps[0].reshape(-1)[0]
        return (regions.boxes.sum(1) * weight)[:, None, None, None].expand(-1, features.channels, size, size)

    @property
    def rows(self) -> list[float]:
        return sorted(row for call in self.asked for row in call)


def pyramid() -> FeaturePyramid:
    return FeaturePyramid((torch.full((2, 1, 2, 3), 3.0, requires_grad=True),), (4,))


def regions(count: int = 4) -> Regions:
    """The first number of box n is n."""
    return Regions(torch.arange(count)[:, None] + torch.zeros(count, 4), torch.zeros(count, dtype=torch.int64))


def filled(pooler: FakePooler | None = None) -> Board:
    board = Board(BATCH, pooler or FakePooler())
    board.put(FEATURES, pyramid())
    board.put(OBJECTS, regions())
    return board


def test_reads_need_declaring() -> None:
    board = filled()
    board.put(SEMANTIC, torch.zeros(2, 3, 2, 3))
    view = board.view("distance", (OBJECTS,), {})
    assert len(view[OBJECTS]) == 4
    with pytest.raises(BoardError, match=r"task 'distance' reads 'semantic' without declaring it; .*declared: objects"):
        view[SEMANTIC]
    with pytest.raises(BoardError, match="reads 'semantic' without declaring it"):
        _ = SEMANTIC in view
    assert view.images is BATCH


def test_what_nobody_wrote() -> None:
    board = filled()
    with pytest.raises(BoardError, match="core reads 'proposals', which is not on the board; it holds features"):
        board[PROPOSALS]
    view = board.view("head", (PROPOSALS,), {})
    assert PROPOSALS not in view


def test_each_key_is_written_once() -> None:
    board = filled()
    view = board.view("masks", (OBJECTS, MASKS), {})
    view.put(MASKS, torch.zeros(4, 7, 7))
    with pytest.raises(BoardError, match="core puts 'masks' on the board, where masks already put it"):
        board.put(MASKS, torch.zeros(4, 7, 7))
    with pytest.raises(BoardError, match="'images' on the board, where the caller already put it"):
        board.put(IMAGES, BATCH)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (MASKS, torch.zeros(3, 7, 7), "put 3 rows of 'masks' on the board, expected 4 rows"),
        (MASKS, torch.zeros(4, 7, 6), r"'masks' of shape \[4, 7, 6\], expected \[N M M\]"),
        (MASKS, torch.zeros(4, 1, 7, 7), r"expected \[N M M\]"),
        (VOXELS, torch.zeros(4, 2, 2, 3), r"expected \[N V V V\]"),
        (SEMANTIC, torch.zeros(1, 3, 2, 3), r"'semantic' of shape \[1, 3, 2, 3\], expected \[B C h w\]"),
        (ATTRIBUTES, torch.tensor(1.0), "put a Tensor without rows of 'attributes' on the board, expected 4 rows"),
        (ATTRIBUTES, None, "put a NoneType without rows of 'attributes'"),
    ],
)
def test_wrong_shapes_are_refused(key: Key[Any, Any], value: object, message: str) -> None:
    with pytest.raises(BoardError, match=message):
        filled().put(key, value)


def test_a_view_has_its_own_rows() -> None:
    board = filled()
    own = board[OBJECTS].subset(torch.tensor([3, 1]))
    view = board.view("head", (OBJECTS, ATTRIBUTES), {OBJECTS: own})
    assert view[OBJECTS] is own
    board.put(ATTRIBUTES, torch.arange(4.0)[:, None])
    assert view[ATTRIBUTES].tolist() == [[3.0], [1.0]]
    assert board[ATTRIBUTES].shape == (4, 1)


def test_values_of_other_rows_are_aligned_and_blank_where_missing() -> None:
    board = filled()
    theirs = board[OBJECTS].subset(torch.tensor([1, 2]))
    values = worlds.row_values(2)
    values[MASKS] = torch.rand(2, 5, 5)
    keys = (MASKS, ATTRIBUTES, KEYPOINTS, BOXES3D, CAPTIONS, MESHES)
    for key in keys:
        board.put(key, values[key], theirs)
    own = board[OBJECTS].subset(torch.tensor([2, 0]))
    view = board.view("reader", (OBJECTS, *keys), {OBJECTS: own})
    assert torch.equal(view[MASKS][0], values[MASKS][1]) and view[MASKS][1].isnan().all()
    assert torch.equal(view[ATTRIBUTES][0], values[ATTRIBUTES][1]) and view[ATTRIBUTES][1].isnan().all()
    assert view[KEYPOINTS].visibility.tolist() == [values[KEYPOINTS].visibility[1].tolist(), [0, 0, 0]]
    assert torch.equal(view[BOXES3D].center[0], values[BOXES3D].center[1]) and view[BOXES3D].center[1].isnan().all()
    assert view[CAPTIONS].texts == (values[CAPTIONS].texts[1], ())
    assert torch.equal(view[MESHES].verts_of(0), values[MESHES].verts_of(1)) and len(view[MESHES].verts_of(1)) == 0
    assert board.rows_of(MASKS) is theirs


def test_values_of_other_regions_are_refused() -> None:
    board = filled()
    board.put(ATTRIBUTES, torch.zeros(2, 3), regions(2))
    view = board.view("reader", (OBJECTS, ATTRIBUTES), {OBJECTS: board[OBJECTS]})
    with pytest.raises(BoardError, match="reader reads 'attributes', which follows other regions than its own"):
        view[ATTRIBUTES]


def test_each_row_is_pooled_once() -> None:
    pooler = FakePooler()
    board = filled(pooler)
    root = board[OBJECTS]
    first = board.pool(root.subset(torch.tensor([2, 0])), size=7)
    second = board.pool(root.subset(torch.tensor([0, 3, 0])), size=7)
    everything = board.pool(OBJECTS, size=7)
    again = board.pool(root.subset(torch.tensor([1])).subset(torch.tensor([0])), size=7)
    assert pooler.rows == [0.0, 1.0, 2.0, 3.0]
    assert first[:, 0, 0, 0].tolist() == [24.0, 0.0]  # box sums 4 n, times 3
    assert second[:, 0, 0, 0].tolist() == [0.0, 36.0, 0.0]
    assert everything[:, 0, 0, 0].tolist() == [0.0, 12.0, 24.0, 36.0]
    assert again[:, 0, 0, 0].tolist() == [12.0]


def test_released_features_are_pooled_again() -> None:
    pooler = FakePooler()
    board = filled(pooler)
    first = board.pool(OBJECTS, size=7)
    board.release(board[OBJECTS].subset(torch.tensor([1])))
    assert torch.equal(board.pool(OBJECTS, size=7), first)
    assert sorted(pooler.rows) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    first.zero_()  # no longer a value of the board, so that it may be changed
    board.check_unchanged("the test")


def test_other_sizes_sources_and_regions_are_pooled_apart() -> None:
    pooler = FakePooler()
    board = filled(pooler)
    board.put(RPN_FEATURES, pyramid())
    board.pool(OBJECTS, size=7)
    assert board.pool(OBJECTS, size=3).shape == (4, 1, 3, 3)
    board.pool(OBJECTS, size=7, source=RPN_FEATURES)
    board.pool(regions(1), size=7)
    assert [len(call) for call in pooler.asked] == [4, 4, 4, 1]


def test_gradients_reach_the_map_through_every_request() -> None:
    board = filled()
    (weights,) = board[FEATURES].maps
    root = board[OBJECTS]
    late = board.pool(root.subset(torch.tensor([3])), size=1).sum()
    total = late + board.pool(OBJECTS, size=1).sum() + board.pool(root.subset(torch.tensor([1, 1])), size=1).sum()
    total.backward()  # type: ignore[no-untyped-call]
    # Box sums are 0, 4, 8, 12: once row 3, once all, twice row 1.
    assert weights.grad is not None and float(weights.grad.sum()) == 12 + 24 + 8


def test_pooling_nothing() -> None:
    board = filled()
    none = board[OBJECTS].subset(torch.zeros(4, dtype=torch.bool))
    assert board.pool(none, size=7).shape == (0, 1, 7, 7)
    assert board.pool(OBJECTS, size=7).shape == (4, 1, 7, 7)
    assert board.pool(none, size=7).shape == (0, 1, 7, 7)


def test_what_may_be_pooled() -> None:
    board = filled()
    board.put(RPN_FEATURES, pyramid())
    view = board.view("head", (OBJECTS,), {})
    assert len(view.pool(OBJECTS, size=2)) == 4
    with pytest.raises(BoardError, match="reads 'rpn_features' without declaring it"):
        view.pool(OBJECTS, size=2, source=RPN_FEATURES)
    bare = Board(BATCH, FakePooler())
    with pytest.raises(BoardError, match="reads 'features', which is not on the board"):
        bare.pool(regions(), size=2)
