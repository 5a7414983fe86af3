"""The region proposal network against torchvision's with the same weights, and what it learns from."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from scenekit.detection import StreamProposals
from scenekit.keys import OBJECTS, PHRASES, PROPOSALS, RPN_FEATURES, Stream
from scenekit.model.targets import Targets

SIZES = [(96, 128), (80, 100)]
BOXES = [[[8, 8, 40, 44], [60, 20, 120, 90]], [[10, 30, 70, 60]]]


def torchvision_rpn(stages: Any, config: Any) -> RegionProposalNetwork:
    """Theirs with our weights; it samples every anchor."""
    trunk, proposals, _ = stages
    head = RPNHead(8, 3, conv_depth=config.rpn.convs)
    for theirs, ours in zip(head.conv, trunk.convs, strict=True):
        theirs[0].load_state_dict(ours.state_dict())
    head.cls_logits.load_state_dict(proposals.objectness.state_dict())
    head.bbox_pred.load_state_dict(proposals.deltas.state_dict())
    anchors = AnchorGenerator(config.anchors.sizes, (config.anchors.ratios,) * 4)
    before = {"training": config.rpn.pre_nms_train, "testing": config.rpn.pre_nms_test}
    after = {"training": config.rpn.post_nms_train, "testing": config.rpn.post_nms_test}
    return RegionProposalNetwork(anchors, head, 0.7, 0.3, 10_000, 0.5, before, after, 0.7)


@pytest.mark.parametrize("preset", ["torchvision", "torchvision_v2"])
@pytest.mark.parametrize("learning", [False, True])
def test_equal_to_torchvision(kit: Any, preset: str, learning: bool) -> None:
    """Proposals and both losses; all anchors are sampled, since theirs draws from the global random state."""
    config = kit.config(preset, rpn={"samples": 10_000})
    stages = kit.stages(config)
    features, targets = kit.features(2), kit.targets(BOXES)
    board = kit.board(stages, features, sizes=SIZES)
    losses: dict[str, Any] = {}
    for stage in stages[:2]:
        losses |= stage(board, targets if learning else None)

    theirs = torchvision_rpn(stages, config).train(learning)
    named = OrderedDict((str(level), maps) for level, maps in enumerate(features.maps))
    truth = [{"boxes": torch.tensor(boxes, dtype=torch.float32)} for boxes in BOXES]
    expected, expected_losses = theirs(ImageList(board.images.pixels, SIZES), named, truth if learning else None)

    ours = board[PROPOSALS]
    assert ours.image_index.bincount().tolist() == [len(boxes) for boxes in expected]
    torch.testing.assert_close(ours.boxes, torch.cat(expected))
    assert set(losses) == ({"objectness", "rpn_box"} if learning else set())
    if learning:
        torch.testing.assert_close(losses["objectness"], expected_losses["loss_objectness"])
        torch.testing.assert_close(losses["rpn_box"], expected_losses["loss_rpn_box_reg"])


def sampled(kit: Any, stage: StreamProposals, targets: Targets, image: int, seeds: list[int]) -> tuple[list[int], ...]:
    """Rows and matches of the anchors of one image that the stage would learn from."""
    features = kit.features(len(seeds))
    anchors = torch.cat(stage.anchors(features, (96, 128)))
    rows, matched = stage._sample(anchors, kit.images([(96, 128)] * len(seeds), seeds), targets.streams[OBJECTS], image)
    return rows.tolist(), matched.tolist()


def test_other_images_do_not_change_what_is_sampled(kit: Any) -> None:
    stage = kit.stages(kit.config())[1]
    rows, matched = sampled(kit, stage, kit.targets(BOXES[:1]), 0, [11])
    beside = sampled(kit, stage, kit.targets([*BOXES[1:], *BOXES[:1]]), 1, [5, 11])
    assert beside == (rows, [match if match < 0 else match + len(BOXES[1]) for match in matched])
    assert sampled(kit, stage, kit.targets(BOXES[:1]), 0, [12])[0] != rows
    assert len(rows) == 64


def test_images_that_are_not_exhaustive_give_no_negatives_and_unsupervised_ones_nothing(kit: Any) -> None:
    stage = kit.stages(kit.config())[1]
    targets = kit.targets([*BOXES[:1], *BOXES], supervised=[True, True, False], exhaustive=[False, True, True])
    matched = [sampled(kit, stage, targets, image, [1, 2, 3])[1] for image in range(3)]
    assert set(matched[0]) == {0, 1}
    assert set(matched[1]) == {-1, 2, 3}
    assert matched[2] == []


@pytest.mark.parametrize(
    "changes",
    [{"boxes": [[], []]}, {"boxes": BOXES, "supervised": [False, False]}, {"boxes": BOXES, "crowd": [True] * 3}, None],
)
def test_little_to_learn_from_stays_finite_and_reaches_every_parameter(
    kit: Any, changes: dict[str, Any] | None
) -> None:
    stages = kit.stages(kit.config())
    targets = Targets() if changes is None else kit.targets(**changes)
    features = kit.features(2, requires_grad=True)
    board = kit.board(stages, features)
    losses: dict[str, Any] = {}
    for stage in stages:
        losses |= stage(board, targets)
    total = sum(losses.values())
    total.backward()
    assert bool(torch.isfinite(total))
    assert set(losses) == {"objectness", "rpn_box", "classification", "box"}
    for parameter in nn.ModuleList(stages).parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all())
    assert all(level.grad is not None for level in features.maps)
    assert float(losses["rpn_box"].detach()) == float(losses["box"].detach()) == 0
    if changes is None or "supervised" in changes:
        assert float(total.detach()) == 0


def test_a_plugin_brings_a_stream_of_its_own(kit: Any) -> None:
    """Phrases share the trunk; an image without phrases labelled is no negative for them, nor are objects' boxes."""
    config = kit.config()
    trunk, objects, detector = kit.stages(config)
    key = Stream("test.phrase_proposals")
    phrases = StreamProposals(kit.core, config, PHRASES, key)
    assert (phrases.name, phrases.requires, phrases.provides) == ("test_phrase_proposals", (RPN_FEATURES,), (key,))
    board = kit.board((trunk, objects, detector), kit.features(2))
    both = Targets(
        {**kit.targets(BOXES).streams, **kit.targets(BOXES, stream=PHRASES, supervised=[True, False]).streams}
    )
    trunk(board, both)
    losses = [objects(board, both), phrases(board, both)]
    assert all(float(loss["objectness"].detach()) > 0 for loss in losses)
    assert not torch.equal(board[key].boxes, board[PROPOSALS].boxes)
    again = kit.board((trunk, objects, detector), kit.features(2))
    trunk(again)
    assert float(phrases(again, kit.targets(BOXES))["objectness"].detach()) == 0


def test_proposals_carry_no_gradient_and_lie_within_their_image(kit: Any) -> None:
    stages = kit.stages(kit.config())
    board = kit.board(stages, kit.features(2, requires_grad=True), sizes=SIZES)
    for stage in stages[:2]:
        stage(board)
    proposals = board[PROPOSALS]
    assert not proposals.boxes.requires_grad
    limits = torch.tensor([[128.0, 96], [100, 80]])[proposals.image_index]
    assert bool((proposals.boxes[:, :2] >= 0).all() and (proposals.boxes[:, 2:] <= limits).all())
    for image in range(2):
        scores = proposals.scores[proposals.image_index == image]
        assert len(scores) <= 40 and torch.equal(scores, scores.sort(descending=True).values)
