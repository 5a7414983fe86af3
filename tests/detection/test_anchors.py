"""Anchors against torchvision and against detectron2's documented numbers."""

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchors
from torchvision.models.detection.image_list import ImageList

from scenekit.detection import AnchorConfig, AnchorGenerator
from scenekit.errors import InputError
from scenekit.structures import FeaturePyramid


def pyramid(height: int, width: int, strides: tuple[int, ...]) -> FeaturePyramid:
    maps = tuple(torch.zeros(1, 1, math.ceil(height / s), math.ceil(width / s)) for s in strides)
    return FeaturePyramid(maps, strides)


@pytest.mark.parametrize("size", [(800, 1088), (224, 288), (96, 97)])
def test_equal_to_torchvision(size: tuple[int, int]) -> None:
    sizes, ratios = ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)), (0.5, 1.0, 2.0)
    features = pyramid(*size, (4, 8, 16, 32, 64))
    theirs = TorchvisionAnchors(sizes, (ratios,) * 5)(ImageList(torch.zeros(1, 3, *size), [size]), list(features.maps))
    config = AnchorConfig(sizes=sizes, ratios=ratios, rounded=True, stride="grid")
    assert torch.equal(torch.cat(AnchorGenerator(config, 5)(features, size)), theirs[0])


def test_several_sizes_a_level_in_torchvisions_order() -> None:
    sizes, ratios = ((8.0, 16.0), (32.0, 48.0)), (0.5, 2.0)
    features = pyramid(32, 48, (8, 16))
    theirs = TorchvisionAnchors(sizes, (ratios,) * 2)(
        ImageList(torch.zeros(1, 3, 32, 48), [(32, 48)]), [*features.maps]
    )
    config = AnchorConfig(sizes=sizes, ratios=ratios, rounded=True)
    assert torch.equal(torch.cat(AnchorGenerator(config, 2)(features, (32, 48))), theirs[0])


def test_unrounded_cell_anchors_are_those_that_detectron2_documents() -> None:
    """Its DefaultAnchorGenerator test: size 32 with ratios 0.25, 1, 4 around cells 4 pixels apart."""
    features = pyramid(4, 8, (4,))
    config = AnchorConfig(sizes=((32.0,),), ratios=(0.25, 1.0, 4.0))
    first = [[-32.0, -8, 32, 8], [-16, -16, 16, 16], [-8, -32, 8, 32]]
    expected = torch.tensor([first, [[x0 + 4, y0, x1 + 4, y1] for x0, y0, x1, y1 in first]]).reshape(-1, 4)
    torch.testing.assert_close(AnchorGenerator(config, 1)(features, (4, 8))[0], expected)


def test_offset_moves_by_half_a_stride() -> None:
    features = pyramid(16, 16, (8,))
    at_corner, at_center = (
        AnchorGenerator(AnchorConfig(sizes=((32.0,),), offset=offset), 1)(features, (16, 16))[0] for offset in (0, 0.5)
    )
    torch.testing.assert_close(at_center, at_corner + 4)


def test_cached_anchors_of_inference_can_be_trained_with() -> None:
    config, features = AnchorConfig(sizes=((24.0,),)), pyramid(16, 24, (8,))
    with torch.inference_mode():
        AnchorGenerator(config, 1)(features, (16, 24))
    anchors = AnchorGenerator(config, 1)(features, (16, 24))[0]
    factor = torch.ones(1, requires_grad=True)
    (anchors * factor).sum().backward()
    assert factor.grad is not None and not anchors.is_inference()


def test_wrong_number_of_levels_is_named() -> None:
    with pytest.raises(InputError, match=r"anchors\.sizes has 5 levels, expected 4"):
        AnchorGenerator(AnchorConfig(), 4)
