"""Matching against torchvision's matcher and cases worked by hand."""

import pytest
import torch
from torchvision.models.detection._utils import Matcher as TorchvisionMatcher
from torchvision.ops import box_iou

from scenekit.ops.matching import Matcher, match_same_label

NO_CROWD = torch.zeros(1, dtype=torch.bool)


def boxes(count: int) -> torch.Tensor:
    corner, size = torch.rand(count, 2) * 60, torch.rand(count, 2) * 60 + 5
    return torch.cat((corner, corner + size), dim=1)


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize(("foreground", "background"), [(0.7, 0.3), (0.5, 0.5)])
def test_equal_to_torchvision(foreground: float, background: float, low_quality: bool) -> None:
    candidates, truth = boxes(400), boxes(9)
    expected = TorchvisionMatcher(foreground, background, low_quality)(box_iou(truth, candidates))
    matches = Matcher(foreground, background, low_quality)(candidates, truth, torch.zeros(9, dtype=torch.bool))
    assert torch.equal(matches.matched, expected.clamp(min=-1))
    assert torch.equal(matches.negative, expected == TorchvisionMatcher.BELOW_LOW_THRESHOLD)


def test_by_hand() -> None:
    """IoU with (0, 0, 10, 10): itself 1, its left 0.6 part, its left 0.5 part, its left 0.2 part, far away 0."""
    widths = [(0.0, 0.0, w, 10.0) for w in (10.0, 6.0, 5.0, 2.0)]
    candidates = torch.tensor([*widths, (50.0, 50, 60, 60)])
    matches = Matcher(foreground=0.6, background=0.3)(candidates, torch.tensor([[0.0, 0, 10, 10]]), NO_CROWD)
    assert matches.matched.tolist() == [0, 0, -1, -1, -1]
    assert matches.negative.tolist() == [False, False, False, True, True]


def test_low_quality_rescues_the_best_candidate_but_never_one_that_does_not_touch() -> None:
    candidates = torch.tensor([[0.0, 0, 2, 10], [0, 0, 1, 10]])
    truth = torch.tensor([[0.0, 0, 10, 10], [500, 500, 510, 510]])
    matches = Matcher(0.7, 0.3, low_quality=True)(candidates, truth, torch.zeros(2, dtype=torch.bool))
    assert matches.matched.tolist() == [0, -1]
    assert matches.negative.tolist() == [False, True]


def test_crowds_are_neither_matched_nor_background() -> None:
    """The first candidate is the crowd itself, the second lies inside it by 0.6, the third by 0.4; the fourth is an
    object that stands in the crowd."""
    crowd, single = (0.0, 0, 100, 100), (40.0, 40, 50, 50)
    candidates = torch.tensor([crowd, (40.0, 0, 140, 100), (60.0, 0, 160, 100), single])
    matches = Matcher(0.5, 0.5)(candidates, torch.tensor([crowd, single]), torch.tensor([True, False]))
    assert matches.matched.tolist() == [-1, -1, -1, 1]
    assert matches.negative.tolist() == [False, False, True, False]


@pytest.mark.parametrize("crowds", [0, 2])
def test_without_objects_all_is_background_but_crowds(crowds: int) -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [200, 200, 210, 210]])
    truth = torch.tensor([[0.0, 0, 50, 50]]).expand(crowds, 4)
    matches = Matcher(0.7, 0.3, low_quality=True)(candidates, truth, torch.ones(crowds, dtype=torch.bool))
    assert matches.matched.tolist() == [-1, -1]
    assert matches.negative.tolist() == [crowds == 0, True]


def test_no_candidates() -> None:
    matches = Matcher(0.5, 0.5)(torch.zeros(0, 4), boxes(2), torch.tensor([True, False]))
    assert len(matches.matched) == len(matches.negative) == 0


def test_detections_match_only_their_own_label() -> None:
    """The second one lies best on the first object, but says what the other one is."""
    found = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 4]])
    truth = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8]])
    matched = match_same_label(found, torch.tensor([3, 5, 3]), truth, torch.tensor([3, 5]), min_iou=0.5)
    assert matched.tolist() == [0, 1, -1]
    assert match_same_label(found, torch.tensor([3, 5, 3]), truth[:0], torch.zeros(0).long(), 0.5).tolist() == [-1] * 3
