"""Attribute head: weights of the loss worked by hand, what it looks at, and learning from the first step on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.loop import evaluate
from scenekit.keys import ATTRIBUTES, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.ops.losses import effective_number
from scenekit.structures import ImageBatch, Vocabulary
from scenekit_plugins.attributes import (
    AttributeConfig,
    AttributeHead,
    draw_attributes,
    outcome_weights,
    places,
    top_words,
)
from scenekit_plugins.region_encoder import crops
from tests import tiny
from tests.plugins.kit import board, finite_gradients, pyramid, regions, targets

WORDS = ("red", "small", "striped", "wet")
VOCABULARY = Vocabulary(("cup", "box"), attributes=WORDS)
CORE = Core(8, (4, 8, 16, 32), VOCABULARY)
NAN = float("nan")


def head(**options: Any) -> AttributeHead:
    torch.manual_seed(0)
    return AttributeHead(CORE, AttributeConfig(**{"channels": 8, "hidden": 16, "picture_channels": 4, **options}))


def view(count: int = 3) -> Board:
    boxes = [[4.0 + 9 * n, 4, 24 + 9 * n, 30] for n in range(count)]
    return board(pyramid(64, 64), regions(boxes, [n % 2 for n in range(count)]))


def loss_of(ours: AttributeHead, raw: Tensor, truth: Any) -> Tensor:
    where = view(len(raw))
    return ours.loss(raw, where, targets({ATTRIBUTES: torch.tensor(truth)}, where[OBJECTS]))["attribute"]


@pytest.mark.parametrize(
    "options", [{}, {"picture": False}, {"label": 0, "place": False}, {"pooled": 3, "balance": "none", "focal": 2.0}]
)
def test_every_part_learns_and_no_region_is_no_error(options: dict[str, Any]) -> None:
    ours = head(**options).train()
    raw = ours(view())
    assert raw.shape == (3, len(WORDS))
    truth = torch.tensor([[1.0, 0, NAN, 1], [0, 1, 1, NAN], [NAN, 0, 0, 0]])
    where = view()
    assert finite_gradients(
        ours.loss(ours(where), where, targets({ATTRIBUTES: truth}, where[OBJECTS]))["attribute"], ours
    )
    nothing = view(0)
    assert ours.decode(ours(nothing), nothing).shape == (0, len(WORDS))
    empty = targets({ATTRIBUTES: torch.zeros(0, len(WORDS))}, nothing[OBJECTS])
    assert ours.loss(ours(nothing), nothing, empty)["attribute"] == 0


def test_plain_loss_is_cross_entropy_over_known_entries() -> None:
    raw, truth = torch.randn(3, 4), torch.tensor([[1.0, 0, NAN, 1], [0, 1, 1, NAN], [NAN] * 4])
    known = truth.isfinite()
    expected = F.binary_cross_entropy_with_logits(raw[known], truth[known])
    torch.testing.assert_close(loss_of(head(balance="none"), raw, truth.tolist()), expected)


def test_focal_loss_is_that_of_torchvision() -> None:
    from torchvision.ops import sigmoid_focal_loss

    raw, truth = torch.randn(5, 4), (torch.rand(5, 4) < 0.4).float()
    expected = sigmoid_focal_loss(raw, truth, alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(loss_of(head(balance="none", focal=2.0), raw, truth.tolist()), expected)


def test_counts_are_of_what_was_learned_from() -> None:
    ours, truth = head(), [[1.0, 0, NAN, 1], [1, 1, NAN, 0]]
    loss_of(ours.eval(), torch.zeros(2, 4), truth)
    assert not ours.held.any()
    for _ in range(2):
        loss_of(ours.train(), torch.zeros(2, 4), truth)
    assert ours.held.tolist() == [4, 2, 0, 2] and ours.lacking.tolist() == [0, 2, 0, 2]
    assert {"held", "lacking"} <= set(ours.state_dict()) and ours.held.dtype == torch.int64


def test_weights_by_hand() -> None:
    """10 of 100 hold: nine times the weight, which is 5 and 5 / 9 for a mean of 1; or five times, the most allowed."""
    held, lacking = torch.tensor([10]), torch.tensor([90])
    weights = [float(w) for w in outcome_weights(held, lacking, AttributeConfig(balance="positive_weight"))]
    assert weights == pytest.approx([5.0, 5 / 9])
    limited = [
        float(w) for w in outcome_weights(held, lacking, AttributeConfig(balance="positive_weight", max_weight=5.0))
    ]
    assert limited == pytest.approx([5 * 100 / 140, 100 / 140])
    assert [float(w) for w in outcome_weights(held, lacking, AttributeConfig(balance="none"))] == [1, 1]


def test_effective_numbers() -> None:
    """Equation 2: a geometric series, n for beta near 1 and at most 1 / (1 - beta)."""
    count = torch.tensor([1.0, 2, 3, 1e6]).double()
    assert effective_number(count, 0.5).tolist() == pytest.approx([1, 1.5, 1.75, 2])
    assert effective_number(count, 0.0).tolist() == [1, 1, 1, 1]
    config = AttributeConfig(balance="class_balanced", beta=0.99)
    held, lacking = outcome_weights(torch.tensor([2, 10**6]), torch.tensor([10**6, 10**6]), config)
    assert float(held[0] / lacking[0]) == pytest.approx(100 / 1.99) and float(held[1] / lacking[1]) == 1


@pytest.mark.parametrize("balance", ["none", "class_balanced", "positive_weight"])
def test_balancing_keeps_the_mean_weight(balance: str) -> None:
    held, lacking = torch.tensor([1, 50, 500]), torch.tensor([999, 950, 500])
    more, less = outcome_weights(held, lacking, AttributeConfig.model_validate({"balance": balance}))
    torch.testing.assert_close((held * more + lacking * less) / (held + lacking), torch.ones(3))


def test_weights_before_anything_was_seen_are_finite() -> None:
    nothing = torch.zeros(4, dtype=torch.int64)
    assert all(w.isfinite().all() for w in outcome_weights(nothing, nothing, AttributeConfig()))


def test_what_is_cut_out_is_what_the_image_shows() -> None:
    """An image whose values are its x and y: cells hold those of their middle, less half a pixel."""
    ys, xs = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    images = ImageBatch(torch.stack((xs, ys, xs * 0))[None], ((32, 48),), ((32, 48),))
    cut = crops(images, regions([[8, 4, 16, 20]], [0]), 4)
    torch.testing.assert_close(cut[0, 0, 0], torch.tensor([8.5, 10.5, 12.5, 14.5]))
    torch.testing.assert_close(cut[0, 1, :, 0], torch.tensor([5.5, 9.5, 13.5, 17.5]))
    where = places(images, regions([[12, 8, 36, 16]], [0]))
    torch.testing.assert_close(where, torch.tensor([[0.5, 0.375, 0.5, 0.25]]))


def test_a_vocabulary_without_attributes_is_refused() -> None:
    with pytest.raises(InputError, match="needs a vocabulary with attributes"):
        AttributeHead(Core(8, (4, 8), Vocabulary(("cup",))), AttributeConfig())


# In a model

WORDY = replace(tiny.VOCABULARY, attributes=("striped", "dark"))


def worded(number: int) -> sk.Sample:
    """The person is dark, the cup striped."""
    sample = tiny.sample(number, keys=(), values={ATTRIBUTES: torch.tensor([[0.0, 1], [1, 0]])})
    return replace(sample, scene=replace(sample.scene, vocabulary=WORDY))


def small_model() -> sk.SceneModel:
    torch.manual_seed(0)
    tasks = {"attributes": {"channels": 8, "hidden": 16, "picture_channels": 4}}
    return sk.build(tiny.config(()).model_copy(update={"tasks": tasks}), WORDY)


def test_it_learns_and_its_words_come_out() -> None:
    model = small_model().train()
    optimizer = torch.optim.Adam(model.heads["attributes"].parameters(), 5e-2)
    losses = []
    for step in range(15):
        pictures, truth = tiny.batch(model, [worded(step)])
        loss = model(pictures, truth, tasks=["attributes"]).losses["attributes.attribute"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    result = evaluate(model.eval(), [worded(0), worded(1)], tasks=["attributes"])["attributes"]
    assert result["given/mAP"] == 1
    scene = model.predict(worded(0).image, tasks=["attributes"], given={OBJECTS: worded(0).scene.objects})
    assert top_words(scene) == [["dark"], ["striped"]]


def test_drawing_keeps_the_size_and_writes_words() -> None:
    scene = worded(0).scene
    picture = Image.new("RGB", (scene.size[1] * 8, scene.size[0] * 8), "gray")
    drawn = draw_attributes(picture, scene)
    assert drawn.size == picture.size and drawn.tobytes() != picture.tobytes()
    assert top_words(scene) == [["dark"], ["striped"]]
    unknown = replace(scene, values={ATTRIBUTES: torch.full((2, 2), NAN)})
    assert top_words(unknown) == [[], []]
