"""Subsets of regions and of objects, and how they compose."""

import pytest
import torch

from scenekit.errors import InputError
from scenekit.scene import Objects
from scenekit.structures import Regions


def regions(count: int = 5) -> Regions:
    return Regions(
        torch.arange(count * 4.0).reshape(count, 4),
        torch.tensor([0, 1] * count)[:count],
        labels=torch.arange(count),
        scores=torch.rand(count),
        class_logits=torch.rand(count, 3),
        class_boxes=torch.rand(count, 2, 4),
    )


def test_a_subset_knows_its_root_and_rows() -> None:
    root = regions()
    subset = root.subset(torch.tensor([4, 1]))
    assert subset.root is root and subset.root_rows.tolist() == [4, 1]
    assert subset.labels is not None and subset.labels.tolist() == [4, 1]
    assert subset.matched is None
    assert root.root is root and root.root_rows.tolist() == [0, 1, 2, 3, 4]


def test_subsets_of_subsets_point_to_the_root() -> None:
    root = regions()
    twice = root.subset(torch.tensor([4, 1, 0])).subset(torch.tensor([False, True, True]))
    assert twice.root is root and twice.root_rows.tolist() == [1, 0]
    assert torch.equal(twice.boxes, root.boxes[[1, 0]])
    again = twice.subset(torch.tensor([0, 0]))
    assert again.root_rows.tolist() == [1, 1]
    nothing = twice.subset(torch.zeros(2, dtype=torch.bool))
    assert (len(nothing), nothing.root is root, nothing.boxes.shape) == (0, True, (0, 4))


def test_rows_of_a_image() -> None:
    own = regions().of_image(1)
    assert own.root_rows.tolist() == [1, 3] and own.image_index.tolist() == [1, 1]


def test_detached_subsets_stay_subsets() -> None:
    root = regions()
    root.boxes.requires_grad_()
    subset = root.subset(torch.tensor([2])).detach()
    assert not subset.boxes.requires_grad and subset.root is root


def test_joining_keeps_what_all_parts_have() -> None:
    bare = Regions(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64), labels=torch.tensor([9]))
    joined = Regions.cat([regions(2).subset(torch.tensor([0])), bare])
    assert joined.labels is not None and joined.labels.tolist() == [0, 9]
    assert joined.scores is None and joined.parent is None


def test_objects_fill_in_what_is_not_said() -> None:
    objects = Objects(torch.tensor([[0.0, 0.0, 4.0, 3.0], [1.0, 1.0, 2.0, 2.0]]), torch.tensor([0, 1]))
    assert objects.area.tolist() == [12.0, 1.0] and objects.ids.tolist() == [0, 1]
    assert not objects.crowd.any() and not objects.ignore.any() and objects.scores is None
    last = objects[torch.tensor([1])]
    assert last.ids.tolist() == [1] and last.area.tolist() == [1.0]
    assert len(objects[torch.tensor([False, False])]) == 0
    assert Objects.empty().boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"crowd": torch.zeros(1, dtype=torch.bool)}, "crowd has 1 entries for 2 regions"),
        ({"boxes": torch.zeros(2, 3)}, r"2 labels need boxes of shape \[2, 4\], got \[2, 3\]"),
    ],
)
def test_uneven_columns_are_refused(columns: dict, message: str) -> None:
    """Also where no shape checker runs, so the checks themselves are called."""
    objects = Objects(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    for name, value in columns.items():
        object.__setattr__(objects, name, value)
    with pytest.raises(InputError, match=message):
        objects.__post_init__()
