"""Images to network input, held against torchvision's and detectron2's rules and numbers worked by hand."""

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from scenekit.model.preprocess import make_batch, normalize, pack, resize, resized
from scenekit.recipe import InputConfig
from scenekit.structures.cameras import Camera

SMALL = InputConfig(min_size=224, max_size=288)


@pytest.mark.parametrize(
    ("source", "config", "expected"),
    [
        ((240, 320), SMALL, (216, 288)),  # the longer side decides
        ((320, 240), SMALL, (288, 216)),
        ((300, 300), SMALL, (224, 224)),  # the shorter side decides
        ((480, 640), InputConfig(min_size=800, max_size=1333), (800, 1067)),  # detectron2: 640 * 800 / 480 + 0.5, cut
        ((427, 640), InputConfig(min_size=800, max_size=1333), (800, 1199)),
        ((10, 12000), SMALL, (1, 288)),
        ((12000, 10), SMALL, (288, 1)),
        ((1, 1), SMALL, (224, 224)),
    ],
)
def test_size(source, config, expected):
    assert resized(source, config) == expected


def test_factor_scales_both_limits():
    assert resized((240, 320), SMALL, factor=0.5) == (108, 144)


@pytest.mark.parametrize("size", [(10, 12000), (12000, 10), (1, 1), (240, 320)])
def test_batch_of_extreme_sizes(size):
    batch = make_batch([torch.randint(0, 256, (3, *size), dtype=torch.uint8)], SMALL)
    assert batch.original_sizes == (size,)
    assert batch.sizes == (resized(size, SMALL),)
    assert all(side % 32 == 0 and side >= own for side, own in zip(batch.padded_size, batch.sizes[0], strict=True))
    assert batch.pixels.isfinite().all()


def test_normalize_by_hand():
    config = InputConfig(mean=(0.5, 0.0, 0.25), std=(0.5, 1.0, 0.25))
    pixel = torch.tensor([255, 51, 0], dtype=torch.uint8).view(3, 1, 1)
    assert normalize(pixel, config).flatten().tolist() == pytest.approx([1.0, 0.2, -1.0])


def test_bgr_turns_channels_before_normalizing():
    # detectron2's Caffe weights: BGR, mean of 103.53, 116.28, 123.675 and std 1 on the scale of 0..255
    config = InputConfig(bgr=True, mean=(103.53 / 255, 116.28 / 255, 123.675 / 255), std=(1 / 255,) * 3)
    pixel = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1)
    assert normalize(pixel, config).flatten().tolist() == pytest.approx(
        [30 - 103.53, 20 - 116.28, 10 - 123.675], abs=1e-3
    )


def test_resizing_down_averages():
    stripes = torch.zeros((3, 8, 8), dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    assert (resize(stripes, (2, 2)).float() - 100).abs().max() <= 15  # without antialiasing: 0 or 200


def test_padding_is_zero_after_normalizing():
    config = InputConfig(min_size=8, max_size=8, divisor=16)
    batch = pack([torch.full((3, 8, 8), 255, dtype=torch.uint8), torch.full((3, 4, 8), 255, dtype=torch.uint8)], config)
    assert batch.padded_size == (16, 16)
    assert (batch.pixels[0, :, 8:] == 0).all() and (batch.pixels[1, :, 4:] == 0).all()
    assert (batch.pixels[1, :, :4, :8] > 0).all()


def test_cameras_follow_the_size():
    camera = Camera(torch.tensor([[100.0, 0, 160], [0, 100, 120], [0, 0, 1]]))
    batch = make_batch([torch.zeros((3, 240, 320), dtype=torch.uint8)] * 2, SMALL, cameras=[camera, None])
    expected = torch.tensor([[90.0, 0, 144], [0, 90, 108], [0, 0, 1]])
    torch.testing.assert_close(batch.cameras[0].matrix, expected)
    assert batch.cameras[1] is None


@pytest.mark.parametrize("size", [(240, 320), (427, 640), (100, 333), (37, 21)])
def test_plain_resampling_is_torchvisions(size):
    config = InputConfig(min_size=90, max_size=160, resampling="plain")
    images = [torch.rand(3, *size), torch.rand(3, *size[::-1])]
    theirs, _ = GeneralizedRCNNTransform(90, 160, config.mean, config.std).eval()(images)
    ours = make_batch([image * 255 for image in images], config)
    assert list(ours.sizes) == theirs.image_sizes
    torch.testing.assert_close(ours.pixels, theirs.tensors, atol=1e-5, rtol=0)


def test_plain_resampling_does_not_round_to_eight_bits():
    config = InputConfig(min_size=9, max_size=9, resampling="plain", mean=(0.0,) * 3, std=(1 / 255,) * 3)
    steps = make_batch([torch.tensor([0, 1], dtype=torch.uint8).expand(3, 1, 2)], config).pixels[0, 0, 0, :9]
    assert len(steps.unique()) > 2


def test_a_fixed_size_ignores_the_aspect_ratio() -> None:
    config = SMALL.model_copy(update={"fixed_size": (96, 64)})
    assert resized((240, 320), config) == resized((50, 10), config) == (96, 64)
    assert resized((240, 320), config, factor=0.5) == (48, 32)
    batch = make_batch([torch.zeros(3, 120, 160, dtype=torch.uint8)], config)
    assert batch.sizes == ((96, 64),) and batch.to_original(0).scale == (2.5, 1.25)
