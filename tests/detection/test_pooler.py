"""RoIAlign over the pyramid against torchvision's class and cases worked by hand."""

from collections import OrderedDict

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, RoIPool

from scenekit.detection import DetectorConfig, PoolerConfig, RoIPooler, build_pooler
from scenekit.structures import FeaturePyramid, Regions

STRIDES = (4, 8, 16, 32, 64)


def pyramid(images: int = 2, dtype: torch.dtype = torch.float32) -> FeaturePyramid:
    return FeaturePyramid(tuple(torch.randn(images, 3, 512 // s, 512 // s, dtype=dtype) for s in STRIDES), STRIDES)


def regions(count: int = 60, images: int = 2) -> Regions:
    corner, size = torch.rand(count, 2) * 200, torch.rand(count, 2) ** 3 * 500 + 2
    return Regions(torch.cat((corner, corner + size), dim=1), torch.randint(0, images, (count,)))


@pytest.mark.parametrize("size", [7, 14])
def test_preset_torchvision_equals_torchvision(size: int) -> None:
    features, found = pyramid(), regions()
    order = found.image_index.argsort(stable=True)
    named = OrderedDict((str(level), features.maps[level]) for level in range(5))
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=size, sampling_ratio=2)
    boxes = [found.boxes[found.image_index == image] for image in range(2)]
    expected = theirs(named, boxes, [(512, 512), (400, 512)])
    pooled = build_pooler(DetectorConfig.preset("torchvision"))(features, found, size)
    torch.testing.assert_close(pooled[order], expected)


def test_levels_by_equation_1() -> None:
    """k = floor(4 + log2(sqrt(area) / 224)), within P2 to P5."""
    sides = torch.tensor([10.0, 111.9, 112.0, 223.9, 224.0, 447.0, 448.0, 5000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides * 2, sides / 2), dim=1)
    assert RoIPooler().level_of(boxes, STRIDES[:4]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_of_levels_that_share_a_stride_the_first_one_is_taken() -> None:
    sides = torch.tensor([10.0, 447.0, 448.0, 5000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    assert RoIPooler().level_of(boxes, (32, 32)).tolist() == [0, 0, 0, 0]
    assert RoIPooler().level_of(boxes, (16, 16, 32)).tolist() == [0, 0, 2, 2]


def test_canonical_size_and_where_epsilon_stands() -> None:
    """Just under a boundary by 1e-7 of its octave: added to the logarithm, 1e-6 crosses it; 1e-8 inside does not."""
    side = 112 * 2**-2e-7
    boxes = torch.tensor([[0.0, 0, side, side]], dtype=torch.float64)
    small = RoIPooler(PoolerConfig(canonical_size=112))
    assert small.level_of(boxes.float() * 2, STRIDES[:4]).tolist() == [3]
    assert small.level_of(boxes, STRIDES[:4]).tolist() == [2]
    inside = RoIPooler(PoolerConfig(canonical_size=112, level_epsilon=1e-8, epsilon_inside_log=True))
    assert inside.level_of(boxes, STRIDES[:4]).tolist() == [1]


def test_aligned_pooling_of_a_ramp_gives_the_coordinates() -> None:
    """On a map of stride 4 that holds the centres of its own cells, a box reads the centres of its bins."""
    ramp = (torch.arange(64) + 0.5) * 4
    features = FeaturePyramid((ramp.expand(1, 1, 64, 64).contiguous(),), (4,))
    pooled = RoIPooler()(features, Regions(torch.tensor([[40.0, 60, 68, 88]]), torch.tensor([0])), 7)
    torch.testing.assert_close(pooled[0, 0, 0], torch.tensor([42.0, 46, 50, 54, 58, 62, 66]))


def test_each_row_is_pooled_on_its_own() -> None:
    features, found = pyramid(), regions()
    rows = torch.tensor([40, 3, 17, 3])
    torch.testing.assert_close(RoIPooler()(features, found.subset(rows), 7), RoIPooler()(features, found, 7)[rows])


def test_no_regions() -> None:
    maps = tuple(level.requires_grad_() for level in pyramid().maps)
    pooled = RoIPooler()(FeaturePyramid(maps, STRIDES), regions(0), 7)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert maps[0].grad is not None and not bool(maps[0].grad.any())


def test_coordinates_stay_precise_with_half_precision_features() -> None:
    features, found = pyramid(), regions()
    half = FeaturePyramid(tuple(level.bfloat16() for level in features.maps), STRIDES)
    pooled = RoIPooler()(half, found, 7)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), RoIPooler()(features, found, 7), atol=0.05, rtol=0.02)


def test_without_gradients_maps_get_their_layout_once() -> None:
    """RoIAlign sums pixels of channels-last maps; converting them anew for each head would take most of its time."""
    maps, found = tuple(level.requires_grad_() for level in pyramid().maps), regions()
    features = FeaturePyramid(maps, STRIDES)
    with torch.no_grad():
        first = RoIPooler()(features, found, 7)
        converted = features.channels_last
        assert torch.equal(RoIPooler()(features, found, 7), first)
    assert features.channels_last is converted
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in converted)
    RoIPooler()(features, found, 7).sum().backward()  # conversions without gradients are not those of training
    assert maps[0].grad is not None and bool(maps[0].grad.any())


def test_gradient_is_right() -> None:
    features, found = pyramid(1, torch.float64), regions(6, 1)
    level = features.maps[4][:, :1, :3, :3].clone().requires_grad_()

    def pool(features: torch.Tensor) -> torch.Tensor:
        return RoIPooler(PoolerConfig(levels=1))(FeaturePyramid((features,), (64,)), found, 2)

    assert torch.autograd.gradcheck(pool, (level,))


def test_pooling_by_rounding_equals_torchvisions_operator() -> None:
    """RoI pooling of one map at stride 16, as Fast R-CNN has it."""
    features = FeaturePyramid((torch.randn(2, 3, 32, 32, requires_grad=True),), (16,))
    found = regions()
    pooled = build_pooler(DetectorConfig.preset("single_map"))(features, found, 7)
    theirs = RoIPool(7, 1 / 16)
    rois = torch.cat((found.image_index[:, None].float(), found.boxes), dim=1)
    torch.testing.assert_close(pooled, theirs(features.maps[0], rois), rtol=0, atol=0)
    empty = RoIPooler(PoolerConfig(kind="pool"))(features, found.subset(torch.arange(0)), 7)
    assert empty.shape == (0, 3, 7, 7)
    empty.sum().backward()


def test_pooling_by_rounding_by_hand() -> None:
    """Cells number themselves; a box from 0.6 to 3.4 cells is rounded to cells 1 to 3: bins of 1.5 cells, both of two.

    RoIAlign on the same ramp reads the centers of the bins, 1.3 and 2.7 cells, less half a cell.
    """
    features = FeaturePyramid((torch.arange(8.0).expand(1, 1, 8, 8).contiguous(),), (16,))
    box = Regions(torch.tensor([[9.6, 9.6, 54.4, 54.4]]), torch.tensor([0]))
    pooled = RoIPooler(PoolerConfig(kind="pool"))(features, box, 2)
    assert pooled[0, 0].tolist() == [[2.0, 3.0], [2.0, 3.0]]
    aligned = RoIPooler()(features, box, 2)
    torch.testing.assert_close(aligned[0, 0, 0], torch.tensor([0.8, 2.2]))
