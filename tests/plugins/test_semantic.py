"""Semantic head: its network against one written down from the paper, its loss and its label maps by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scenekit.config import validated
from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.keys import SEMANTIC
from scenekit.model.head import Core
from scenekit.scene import Scene
from scenekit.structures import Geometry
from scenekit_plugins.semantic.classes import Classes
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.pyramid import PyramidHead
from tests.plugins.kit import CORE, CUP, FLOOR, PERSON, VOCABULARY, WALL, board, finite_gradients, pyramid, targets

LABELS = len(VOCABULARY.labels)


def head(**options: Any) -> PyramidHead:
    return PyramidHead(CORE, SemanticConfig(channels=16, norm_groups=4, **options))


def reference(state: dict[str, Tensor], maps: tuple[Tensor, ...], mode: str) -> Tensor:
    """Kirillov et al. 2019, figure 3: per level log2(stride / 4) stages (one for stride 4), summed, 1x1 convolution."""
    corners = None if mode == "nearest" else False
    merged: Any = 0
    for level, features in enumerate(maps):
        for stage in range(max(level, 1)):
            # A stage has four modules where it upsamples: convolution, normalization, ReLU, upsampling.
            at = f"branches.{level}.{4 * stage}", f"branches.{level}.{4 * stage + 1}"
            features = F.conv2d(features, state[f"{at[0]}.weight"], padding=1)
            features = F.relu(F.group_norm(features, 4, state[f"{at[1]}.weight"], state[f"{at[1]}.bias"]))
            if level:
                features = F.interpolate(features, scale_factor=2, mode=mode, align_corners=corners)
        merged = merged + features
    return F.conv2d(merged, state["predictor.weight"], state["predictor.bias"])


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_network_is_that_of_the_paper(mode: str) -> None:
    ours, features = head(upsampling=mode), pyramid(64, 96)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        expected = reference(ours.state_dict(), features.maps, mode)
        found = ours(board(features))
    assert found.shape == (1, LABELS, 16, 24)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_logits_cover_a_image_of_odd_size() -> None:
    assert head()(board(pyramid(37, 50))).shape == (1, LABELS, 10, 13)


def test_loss_is_the_mean_over_labelled_pixels() -> None:
    ours, logits = head(), torch.randn(1, LABELS, 4, 4)
    labels = torch.randint(LABELS, (1, 16, 16))
    labels[:, :5] = IGNORE
    full = F.interpolate(logits, (16, 16), mode="bilinear", align_corners=False).log_softmax(1)
    rows = [-full[0, labels[0, y, x], y, x] for y in range(5, 16) for x in range(16)]
    loss = ours.loss(logits, board(pyramid(16, 16)), targets({SEMANTIC: labels}))
    torch.testing.assert_close(loss["pixel"], torch.stack(rows).mean())


def test_ignored_pixels_give_no_gradient() -> None:
    logits = torch.randn(1, LABELS, 8, 8, requires_grad=True)
    labels = torch.full((1, 32, 32), FLOOR)
    labels[:, :, 16:] = IGNORE
    head().loss(logits, board(pyramid(32, 32)), targets({SEMANTIC: labels}))["pixel"].backward()
    assert logits.grad is not None
    assert logits.grad[..., :4].abs().sum() > 0
    # The column beside the border still takes part in interpolating labelled pixels.
    assert logits.grad[..., 5:].abs().sum() == 0


@pytest.mark.parametrize("loss_at", ["input", "logits"])
def test_classes_that_an_image_does_not_cover_get_exactly_no_gradient(loss_at: str) -> None:
    """The softmax of the second image has the covered classes alone; a pixel of another one counts as unlabelled."""
    ours, logits = head(loss_at=loss_at), torch.randn(2, LABELS, 8, 8, requires_grad=True)
    labels = torch.full((2, 32, 32), FLOOR)
    labels[1, :16] = PERSON
    labels[1, :, 16:] = WALL
    covered = torch.ones(2, LABELS, dtype=torch.bool)
    covered[1, [CUP, WALL]] = False
    given = replace(targets({SEMANTIC: labels}), covered={SEMANTIC: covered})
    loss = ours.loss(logits, board(pyramid(32, 32)), given)["pixel"]
    loss.backward()
    assert logits.grad is not None and bool((logits.grad[0] != 0).all())
    assert torch.equal(logits.grad[1, [CUP, WALL]], torch.zeros(2, 8, 8))
    assert bool((logits.grad[1, [PERSON, FLOOR], :, :4] != 0).all())
    if loss_at == "logits":
        kept = [PERSON, FLOOR]
        first = -logits[0].log_softmax(0)[FLOOR].flatten()
        second = -logits[1, kept].log_softmax(0)[[0] * 4 + [1] * 4, range(8), :4].flatten()
        torch.testing.assert_close(loss, torch.cat((first, second)).mean())


def test_an_image_that_covers_nothing_gives_no_gradient() -> None:
    logits = torch.randn(1, LABELS, 8, 8, requires_grad=True)
    given = replace(
        targets({SEMANTIC: torch.full((1, 32, 32), FLOOR)}), covered={SEMANTIC: torch.zeros(1, LABELS).bool()}
    )
    loss = head().loss(logits, board(pyramid(32, 32)), given)["pixel"]
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad is not None and not bool(logits.grad.any())


def test_full_coverage_changes_no_bit() -> None:
    ours, logits = head(), torch.randn(1, LABELS, 8, 8)
    given = targets({SEMANTIC: torch.randint(LABELS, (1, 32, 32))})
    known = replace(given, covered={SEMANTIC: torch.ones(1, LABELS, dtype=torch.bool)})
    losses = [ours.loss(logits, board(pyramid(32, 32)), each)["pixel"] for each in (given, known)]
    assert torch.equal(*losses)


def test_things_together_are_covered_where_any_thing_is() -> None:
    classes = Classes.of(VOCABULARY, "together")
    stuff = len(VOCABULARY.stuff)
    labels = torch.zeros(2, LABELS, dtype=torch.bool)
    labels[0, PERSON] = labels[1, WALL] = True
    assert classes.covered(labels).tolist() == [[True] + [False] * stuff, [False, *labels[1, -stuff:].tolist()]]


@pytest.mark.parametrize("loss_at", ["input", "logits"])
def test_no_labelled_pixel_gives_zero_and_no_gradient(loss_at: str) -> None:
    ours, view = head(loss_at=loss_at), board(pyramid(32, 32))
    loss = ours.loss(ours(view), view, targets({SEMANTIC: torch.full((1, 32, 32), IGNORE)}))["pixel"]
    assert loss == 0
    gradients = torch.autograd.grad(loss, list(ours.parameters()))
    assert all(not gradient.any() for gradient in gradients)


def test_loss_at_logits_takes_the_label_in_the_middle_of_each_cell() -> None:
    logits = torch.randn(1, LABELS, 2, 2)
    labels = torch.full((1, 8, 8), IGNORE)
    labels[0, 2, 2], labels[0, 2, 6], labels[0, 6, 2], labels[0, 6, 6] = 0, 1, 2, 3
    loss = head(loss_at="logits").loss(logits, board(pyramid(8, 8)), targets({SEMANTIC: labels}))
    expected = F.cross_entropy(logits, torch.tensor([[[0, 1], [2, 3]]]))
    torch.testing.assert_close(loss["pixel"], expected)


@pytest.mark.parametrize("loss_at", ["input", "logits"])
def test_loss_of_a_image_of_odd_size(loss_at: str) -> None:
    """Padding to a multiple of 1, as other libraries' weights may want: the last cells reach beyond the image."""
    ours, view = head(loss_at=loss_at), board(pyramid(37, 50))
    loss = ours.loss(ours(view), view, targets({SEMANTIC: torch.full((1, 37, 50), FLOOR)}))["pixel"]
    assert loss.isfinite() and finite_gradients(loss, ours)


@pytest.mark.parametrize("factor", [1, 2])
def test_planted_logits_come_out_at_their_pixels(factor: int) -> None:
    """An image of 32 x 48 in a network input of 64 x 64; the padding says something else."""
    logits = torch.zeros(LABELS, 16, 16)
    logits[0] = 1.0
    logits[FLOOR, 2:4, 3:6] = 9.0
    logits[WALL, 8:] = 9.0
    logits[WALL, :, 12:] = 9.0
    size = (32 * factor, 48 * factor)
    found = head().finish(logits, Scene(size, VOCABULARY), Geometry.resize((32, 48), size))
    assert found.shape == size and found.dtype == torch.int64
    patch = torch.zeros(size, dtype=torch.bool)
    patch[8 * factor : 16 * factor, 12 * factor : 24 * factor] = True
    # Interpolation moves the border by less than half a cell of four pixels.
    core = found[10 * factor : 14 * factor, 14 * factor : 22 * factor]
    assert (core == FLOOR).all()
    outside = torch.ones(size, dtype=torch.bool)
    outside[6 * factor : 18 * factor, 10 * factor : 26 * factor] = False
    outside[-2 * factor :], outside[:, -2 * factor :] = False, False
    assert (found[outside] == 0).all()
    assert (found[patch] == FLOOR).float().mean() > 0.9


def test_whole_pixels_map_back_to_a_smaller_original() -> None:
    """Left half one label, right half another, at a third of the network's size."""
    logits = torch.zeros(LABELS, 12, 12)
    logits[FLOOR, :, :6], logits[WALL, :, 6:] = 5.0, 5.0
    found = head().finish(logits, Scene((16, 16), VOCABULARY), Geometry.resize((48, 48), (16, 16)))
    assert (found[:, :8] == FLOOR).all() and (found[:, 8:] == WALL).all()


def test_things_together_are_one_class_before_the_stuff() -> None:
    """Of two things and two kinds of stuff: a person and a cup teach class 0, the floor 1 and the wall 2."""
    ours, logits = head(things="together", loss_at="logits"), torch.randn(1, 3, 2, 2)
    labels = torch.full((1, 8, 8), IGNORE)
    labels[0, 2, 2], labels[0, 2, 6], labels[0, 6, 2], labels[0, 6, 6] = PERSON, CUP, FLOOR, WALL
    loss = ours.loss(logits, board(pyramid(8, 8)), targets({SEMANTIC: labels}))
    torch.testing.assert_close(loss["pixel"], F.cross_entropy(logits, torch.tensor([[[0, 0], [1, 2]]])))
    labels[0, 6, 6] = IGNORE
    loss = ours.loss(logits, board(pyramid(8, 8)), targets({SEMANTIC: labels}))
    torch.testing.assert_close(loss["pixel"], F.cross_entropy(logits, torch.tensor([[[0, 0], [1, -100]]])))


def test_where_things_together_win_the_label_is_open() -> None:
    ours, logits = head(things="together"), torch.zeros(3, 6, 6)
    logits[0, :, :2], logits[1, :, 2:4], logits[2, :, 4:] = 5.0, 5.0, 5.0
    found = ours.finish(logits, Scene((24, 24), VOCABULARY), Geometry.resize((24, 24), (24, 24)))
    assert [found[:, column].unique().tolist() for column in (4, 12, 20)] == [[IGNORE], [FLOOR], [WALL]]
    assert ours(board(pyramid(64, 96))).shape == (1, 3, 16, 24)


def test_more_levels_than_the_pyramid_has_are_refused() -> None:
    with pytest.raises(InputError, match="merges 4 levels, but the pyramid has 2"):
        PyramidHead(Core(8, (4, 8), VOCABULARY), SemanticConfig())


def test_channels_must_fill_whole_groups() -> None:
    with pytest.raises(InputError, match=r"task 'semantic'.*multiple of norm_groups"):
        validated(SemanticConfig, {"channels": 20}, "task 'semantic'")
