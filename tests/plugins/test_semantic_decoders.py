"""Decoders on the images: against networks written down plainly, crops cut by hand, and their own twins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import scenekit as sk
from scenekit.config import validated
from scenekit.detection import RoIPooler
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.keys import FEATURES, IMAGES, SEMANTIC
from scenekit.model.board import Board
from scenekit.recipe import ModelConfig
from scenekit.structures import ImageBatch, pad_batch
from scenekit.testing import check_task
from scenekit_plugins.semantic import build
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.head import SemanticHead
from scenekit_plugins.semantic.patches import PatchHead
from tests.plugins.kit import CORE, FLOOR, VOCABULARY, WALL, finite_gradients, targets

LABELS = len(VOCABULARY.labels)

UPSAMPLINGS = ("nearest", "bed_of_nails", "max_unpool", "transposed", "bilinear")

SMALL: dict[str, dict[str, Any]] = {
    "patches": {"stages": 1, "channels": 8, "hidden": 8, "stride": 4},
    "patches shared": {"stages": 1, "channels": 8, "hidden": 8, "stride": 4, "shared": True},
    "full_resolution": {"channels": 8, "convs": 2},
    **{f"encoder_decoder {name}": {"channels": 8, "stages": 2, "upsampling": name} for name in UPSAMPLINGS},
    "encoder_decoder strided": {"channels": 8, "stages": 2, "downsampling": "strided"},
    "encoder_decoder mean": {"channels": 8, "stages": 2, "upsampling": "transposed", "overlap": "mean"},
}


def options(name: str) -> dict[str, Any]:
    """Options of the task for an entry of SMALL."""
    decoder = name.split()[0]
    return {"decoder": decoder, decoder: SMALL[name]}


def head(name: str) -> SemanticHead:
    torch.manual_seed(0)
    return build(CORE, SemanticConfig.model_validate(options(name)))


def patches(**more: Any) -> PatchHead:
    torch.manual_seed(0)
    small = {"channels": 6, "hidden": 8, "stages": 2, **more}
    made = build(CORE, SemanticConfig.model_validate({"decoder": "patches", "patches": small}))
    assert isinstance(made, PatchHead)
    return made


def board(*images: Tensor, divisor: int = 1) -> Board:
    """The view of a head that reads images alone."""
    sizes = tuple((int(image.shape[1]), int(image.shape[2])) for image in images)
    batch = ImageBatch(pad_batch(images, divisor), sizes, sizes, divisor=divisor)
    return Board(batch, RoIPooler()).view("head", (), {})


# Patches


def crop(image: Tensor, row: int, column: int, side: int) -> Tensor:
    """The crop around a pixel, pixel by pixel; zeros beyond the image."""
    result, half = torch.zeros(3, side, side), side // 2
    for y in range(side):
        for x in range(side):
            i, j = row - half + y, column - half + x
            if 0 <= i < image.shape[1] and 0 <= j < image.shape[2]:
                result[:, y, x] = image[:, i, j]
    return result


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_each_logit_is_that_of_the_crop_around_its_pixel(stride: int) -> None:
    ours, image = patches(stages=1, stride=stride), torch.randn(3, 9, 11)
    first, second, third = ours.stages[0], ours.connected, ours.predictor
    plain = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.Flatten())
    rows, columns = range(stride // 2, 9 + stride // 2, stride), range(stride // 2, 11 + stride // 2, stride)
    crops = torch.stack([crop(image, row, column, 7) for row in rows for column in columns])
    expected = plain(crops).T.reshape(1, LABELS, len(rows), len(columns))
    torch.testing.assert_close(ours(board(image)), expected, rtol=1e-4, atol=1e-5)
    assert ours.passes == len(rows) * len(columns)


@pytest.mark.parametrize(("stages", "side"), [(1, 7), (2, 15), (3, 31)])
def test_a_crop_is_consumed_to_its_last_pixel(stages: int, side: int) -> None:
    ours = patches(stages=stages)
    assert ours.side == side and ours.classify(torch.randn(5, 3, side, side)).shape == (5, LABELS)
    with pytest.raises(RuntimeError):
        ours.classify(torch.randn(5, 3, side - 1, side - 1))


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6, 8, 12, 16, 40])
def test_the_shared_twin_gives_the_same_scores_in_one_pass(stages: int, stride: int) -> None:
    many, once = (patches(stages=stages, stride=stride, shared=shared) for shared in (False, True))
    view = board(torch.randn(3, 33, 22), torch.randn(3, 33, 22))
    with torch.no_grad():
        expected, found = many(view), once(view)
    cells = -(-33 // stride), -(-22 // stride)
    assert found.shape == (2, LABELS, *cells)
    assert (found - expected).abs().max() < 1e-4
    assert (many.passes, once.passes) == (2 * cells[0] * cells[1], 2)


def test_both_twins_get_the_same_gradients() -> None:
    many, once = (patches(stride=2, shared=shared, chunk=16) for shared in (False, True))
    image = torch.randn(3, 12, 14)
    for ours in (many, once):
        ours(board(image)).square().mean().backward()
    for (name, one), (_, other) in zip(many.named_parameters(), once.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_crops_are_classified_in_chunks_that_never_are_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, sizes = patches(stride=2, chunk=16), []
    classify = ours.classify

    def recording(crops: Tensor) -> Tensor:
        sizes.append(len(crops))
        return classify(crops)

    monkeypatch.setattr(ours, "classify", recording)
    image = torch.randn(3, 12, 14)
    with torch.no_grad():
        chunked = ours(board(image))
    assert sizes == [16, 16, 10] and ours.passes == 42
    ours.chunk = 1000
    torch.testing.assert_close(ours(board(image)), chunked)
    assert sizes[3:] == [42]


def test_as_many_passes_as_pixels_with_stride_1() -> None:
    ours = patches(stages=1, stride=1)
    ours(board(torch.randn(3, 10, 12), torch.randn(3, 8, 12)))
    assert ours.passes == 10 * 12 + 8 * 12


# Full resolution, encoder and decoder


def conv_norm_relu(maps: Tensor, state: dict[str, Tensor], name: str, groups: int = 8) -> Tensor:
    maps = F.conv2d(maps, state[f"{name}.0.weight"], padding=1)
    return F.relu(F.group_norm(maps, groups, state[f"{name}.1.weight"], state[f"{name}.1.bias"]))


def test_full_resolution_is_a_stack_of_convolutions() -> None:
    ours, image = head("full_resolution"), torch.randn(1, 3, 9, 11)
    second = {
        "layers.3.weight": "second.0.weight",
        "layers.4.weight": "second.1.weight",
        "layers.4.bias": "second.1.bias",
    }
    state = {second.get(name, name): value for name, value in ours.state_dict().items()}
    maps = conv_norm_relu(conv_norm_relu(image, state, "layers"), state, "second")
    expected = F.conv2d(maps, state["predictor.weight"], state["predictor.bias"])
    torch.testing.assert_close(ours(board(image[0])), expected)


def of_torch(name: str, maps: Tensor, places: Tensor, state: dict[str, Tensor], at: str) -> Tensor:
    """Each upsampling by an operator of torch itself."""
    if name == "transposed":
        kernel = state[f"{at}.conv.weight"], state[f"{at}.conv.bias"]
        return F.conv_transpose2d(maps, *kernel, stride=2, padding=1, output_padding=1)
    if name == "max_unpool":
        return F.max_unpool2d(maps, places, 2)
    if name == "bed_of_nails":
        corner = torch.zeros(maps.shape[1], 1, 2, 2)
        corner[..., 0, 0] = 1.0
        return F.conv_transpose2d(maps, corner, stride=2, groups=maps.shape[1])
    return F.interpolate(maps, scale_factor=2, mode=name, align_corners=None if name == "nearest" else False)


@pytest.mark.parametrize("name", UPSAMPLINGS)
def test_encoder_and_decoder_mirror_each_other(name: str) -> None:
    ours, image = head(f"encoder_decoder {name}"), torch.randn(1, 3, 8, 12)
    state, maps, places = ours.state_dict(), image, []
    for stage in range(2):
        maps, where = F.max_pool2d(conv_norm_relu(maps, state, f"encoder.{stage}"), 2, return_indices=True)
        places.append(where)
    assert maps.shape == (1, 16, 2, 3)
    for stage in range(2):
        maps = conv_norm_relu(of_torch(name, maps, places.pop(), state, f"up.{stage}"), state, f"decoder.{stage}")
    expected = F.conv2d(maps, state["predictor.weight"], state["predictor.bias"])
    torch.testing.assert_close(ours(board(image[0])), expected, rtol=1e-4, atol=1e-5)


def test_max_unpooling_puts_values_where_its_twin_found_them() -> None:
    """Without anything between, two stages leave the maximum of every 4 x 4 window in its place."""
    ours: Any = head("encoder_decoder max_unpool")
    ours.encoder = ours.decoder = nn.ModuleList([nn.Identity(), nn.Identity()])
    ours.predictor = nn.Identity()
    image = torch.rand(1, 3, 8, 12)
    values, places = F.max_pool2d(image, 4, return_indices=True)
    assert torch.equal(ours.logits([image]), F.max_unpool2d(values, places, 4))


def test_max_unpooling_without_its_twin_says_what_is_missing() -> None:
    ours: Any = head("encoder_decoder max_unpool")
    ours.down = head("encoder_decoder strided").down
    with pytest.raises(InputError, match="max_unpool needs the positions of the max pooling that it mirrors"):
        ours(board(torch.randn(3, 8, 8)))


def test_overlapping_kernels_sum_up_or_average() -> None:
    pair: list[Any] = [head(f"encoder_decoder {name}") for name in ("transposed", "mean")]
    for ours in pair:
        nn.init.ones_(ours.up[0].conv.weight)
        nn.init.zeros_(ours.up[0].conv.bias)
    summed, mean = (ours.up[0](torch.ones(1, 16, 3, 3), None) for ours in pair)
    assert summed.unique().tolist() == [16.0, 32.0, 64.0] and mean.unique().tolist() == [16.0]


# All of them


@pytest.mark.parametrize("name", SMALL)
def test_logits_cover_an_image_of_odd_size(name: str) -> None:
    ours = head(name)
    view = board(torch.randn(3, 37, 50))
    raw = ours(view)
    assert raw.shape == (1, LABELS, -(-37 // ours.stride), -(-50 // ours.stride))
    loss = ours.loss(raw, view, targets({SEMANTIC: torch.full((1, 37, 50), FLOOR)}))["pixel"]
    assert loss.isfinite() and finite_gradients(loss, ours)


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_of_unequal_sizes_gives_what_each_image_gives_alone(name: str) -> None:
    ours, images = head(name), (torch.randn(3, 16, 24), torch.randn(3, 24, 20), torch.randn(3, 16, 24))
    with torch.no_grad():
        together = ours(board(*images, divisor=8))
        for raw, image in zip(together, images, strict=True):
            alone = ours(board(image, divisor=8))[0]
            torch.testing.assert_close(raw[:, : alone.shape[1], : alone.shape[2]], alone, rtol=1e-4, atol=1e-5)


def halves(size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Two images of two halves that differ in brightness, and their labels."""
    labels = torch.full((2, *size), FLOOR)
    labels[0, :, size[1] // 2 :] = WALL
    labels[1, : size[0] // 2] = WALL
    noise = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    return noise * 0.3 + (labels == WALL)[:, None] * 2.0 - 1.0, labels


@pytest.mark.parametrize("name", SMALL)
def test_it_learns(name: str) -> None:
    ours, (images, labels) = head(name), halves((16, 24))
    view, optimizer = board(*images), torch.optim.Adam(ours.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = ours.loss(ours(view), view, targets({SEMANTIC: labels}))["pixel"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0], losses


def test_passes_of_a_network_on_whole_images() -> None:
    ours = head("full_resolution")
    ours(board(torch.randn(3, 8, 8), torch.randn(3, 8, 8)))
    assert ours.passes == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["patches", "full_resolution", "encoder_decoder max_unpool"])
def test_it_keeps_the_rules_of_tasks(name: str) -> None:
    report = check_task(registry().get("task", "semantic"), options=options(name))
    assert report.ok, str(report)


# In a model


def model(name: str, **more: Any) -> sk.SceneModel:
    config = {
        "input": {"min_size": 32, "max_size": 48},
        "backbone": {"name": "mobilenet_v2"},
        "tasks": {"semantic": options(name)},
        **more,
    }
    return sk.build(ModelConfig.model_validate(config), VOCABULARY).eval()


@pytest.mark.parametrize("more", [{}, {"detector": None, "pyramid": None}], ids=["default", "alone"])
def test_no_trunk_runs_for_a_decoder_on_the_images(more: dict[str, Any]) -> None:
    ours = model("encoder_decoder max_unpool", **more)
    assert ours.plan.needed(["semantic"]) == ["semantic"]
    batch = ImageBatch(torch.randn(1, 3, 32, 64), ((30, 44),), ((15, 22),))
    with torch.no_grad():
        outputs = ours(batch, tasks=["semantic"])
    assert list(outputs.seconds) == ["semantic"]
    assert ours.scenes(outputs)[0][SEMANTIC].shape == (15, 22)


def test_alone_it_learns_without_its_trunk() -> None:
    ours = model("patches", detector=None, pyramid=None)
    batch = ImageBatch(torch.randn(1, 3, 32, 64), ((32, 64),), ((32, 64),))
    outputs = ours(batch, targets({SEMANTIC: torch.full((1, 32, 64), WALL)}))
    assert list(outputs.seconds) == ["semantic"] and outputs.losses["semantic.pixel"] > 0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"decoder": "patch"}, "'decoder': input should be 'pyramid', 'patches'"),
    (
        {"decoder": "encoder_decoder", "encoder_decoder": {"upsampling": "max_unpool", "downsampling": "strided"}},
        "'encoder_decoder': .*needs the positions of max pooling, but downsampling is 'strided'; set downsampling",
    ),
    ({"encoder_decoder": {"upsampling": "unpool"}}, "'encoder_decoder.upsampling': input should be 'nearest'"),
    ({"encoder_decoder": {"channels": 12}}, r"'encoder_decoder': .*multiple of norm_groups \(8\)"),
    ({"full_resolution": {"channels": 12}}, r"'full_resolution': .*multiple of norm_groups \(8\)"),
    ({"patches": {"stride": 0}}, "'patches.stride': input should be greater than or equal to 1, got 0"),
    ({"patches": {"chunks": 8}}, "unknown key 'patches.chunks'; did you mean 'chunk'"),
    (
        {"decoder": "patches", "channels": 64, "norm_groups": 8},
        "channels and norm_groups would change nothing, being of the decoder \"pyramid\".*options of 'patches'",
    ),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_options_that_cannot_be_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"task 'semantic': .*{message}"):
        validated(SemanticConfig, given, "task 'semantic'")


def test_the_decoder_on_the_pyramid_needs_one() -> None:
    config = ModelConfig.model_validate(
        {"backbone": {"name": "mobilenet_v2"}, "detector": None, "pyramid": None, "tasks": {"semantic": {}}}
    )
    with pytest.raises(InputError, match="'semantic' reads the feature pyramid, which this model does not have"):
        sk.build(config, VOCABULARY)


RECIPES = ("patches", "full_resolution", "encoder_decoder", "pyramid")


@pytest.mark.parametrize("decoder", RECIPES)
def test_a_recipe_for_each_decoder(decoder: str, repository: Path) -> None:
    path = repository / "recipes" / "line" / f"semantic_{decoder}.yaml"
    assert path.read_text(encoding="utf-8").startswith("# Semantic segmentation ")
    recipe = sk.Recipe.load(path)
    assert recipe.model.tasks["semantic"]["decoder"] == decoder and recipe.model.detector is None
    ours = sk.build(recipe.model, VOCABULARY)
    assert set(ours.plan.reads("semantic")) == ({IMAGES, FEATURES} if decoder == "pyramid" else {IMAGES})
