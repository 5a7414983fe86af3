"""The second stage against torchvision's with the same weights, and what it does with partial labels."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign, box_iou

from scenekit.detection import TwoStageDetector
from scenekit.detection.builtin import scenekit_detectors
from scenekit.detection.detector import build_faster_rcnn
from scenekit.keys import OBJECTS, PROPOSALS
from scenekit.model.targets import Targets
from scenekit.structures import FeaturePyramid, Regions

SIZES = [(96, 128), (80, 100)]
BOXES = [[[8, 8, 40, 44], [60, 20, 120, 90]], [[10, 30, 70, 60]]]
LABELS = [[2, 0], [4]]


def run(stages: Any, board: Any, targets: Targets | None = None) -> dict[str, Any]:
    losses: dict[str, Any] = {}
    for stage in stages:
        losses |= stage(board, targets)
    return losses


def background_first(ours: nn.Linear, theirs: nn.Linear, per_class: int) -> None:
    """Their columns: background, then the classes; our offsets have none for background."""
    weight, bias = ours.weight.detach(), ours.bias.detach()
    first = weight[-1:] if per_class == 1 else torch.zeros(4, weight.shape[1])
    count = 5 * per_class
    theirs.weight.data = torch.cat((first, weight[:count]))
    theirs.bias.data = torch.cat((bias[-1:] if per_class == 1 else torch.zeros(4), bias[:count]))


def torchvision_heads(detector: Any, config: Any) -> RoIHeads:
    """Theirs with our weights; it samples every proposal."""
    if config.box_head.convs:
        head: nn.Module = FastRCNNConvFCHead((8, 7, 7), [6, 6], [32], norm_layer=nn.BatchNorm2d)
    else:
        head = TwoMLPHead(8 * 49, 32)
    head.load_state_dict(dict(zip(head.state_dict(), detector.head.state_dict().values(), strict=True)))
    predictor = FastRCNNPredictor(32, 6)
    background_first(detector.predictor.classification, predictor.cls_score, 1)
    background_first(detector.predictor.deltas, predictor.bbox_pred, 4)
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2, canonical_scale=56)
    return RoIHeads(pool, head, predictor, 0.5, 0.5, 10_000, 0.5, None, 0.05, 0.5, 100)


@pytest.mark.parametrize(
    ("preset", "head"), [("torchvision", {"fcs": [32, 32]}), ("torchvision_v2", {"convs": [6, 6], "fcs": [32]})]
)
@pytest.mark.parametrize("learning", [False, True])
def test_equal_to_torchvision(kit: Any, preset: str, head: dict[str, Any], learning: bool) -> None:
    """Detections and both losses; all regions are sampled, since theirs draws from the global random state."""
    config = kit.config(preset, box_head={**head, "samples": 10_000, "positive_fraction": 0.5})
    stages = kit.stages(config)
    features, targets = kit.features(2), kit.targets(BOXES, LABELS)
    board = kit.board(stages, features, sizes=SIZES)
    theirs = torchvision_heads(stages[2], config).train(learning)
    nn.ModuleList(stages).train(learning)
    losses = run(stages, board, targets if learning else None)

    named = OrderedDict((str(level), maps) for level, maps in enumerate(features.maps))
    proposals = [board[PROPOSALS].of_image(image).boxes for image in range(2)]
    truth = [
        {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels) + 1}
        for boxes, labels in zip(BOXES, LABELS, strict=True)
    ]
    # The scale of each level is inferred from the greatest image, which is as large as the padded batch.
    expected, expected_losses = theirs(named, proposals, SIZES, truth if learning else None)
    if learning:
        torch.testing.assert_close(losses["classification"], expected_losses["loss_classifier"])
        torch.testing.assert_close(losses["box"], expected_losses["loss_box_reg"])
        return
    ours = board[OBJECTS]
    assert len(ours) > 10
    assert ours.image_index.bincount().tolist() == [len(picture["boxes"]) for picture in expected]
    torch.testing.assert_close(ours.boxes, torch.cat([picture["boxes"] for picture in expected]))
    torch.testing.assert_close(ours.scores, torch.cat([picture["scores"] for picture in expected]))
    assert torch.equal(ours.labels + 1, torch.cat([picture["labels"] for picture in expected]))


def test_detections_agree_with_their_own_logits_and_boxes_per_class(kit: Any) -> None:
    stages = kit.stages(kit.config())
    board = kit.board(stages, kit.features(2), sizes=SIZES)
    assert run(stages, board) == {}
    found = board[OBJECTS]
    rows = torch.arange(len(found))
    assert found.class_logits.shape == (len(found), 6) and found.class_boxes.shape == (len(found), 5, 4)
    torch.testing.assert_close(found.class_logits.softmax(1)[rows, found.labels], found.scores)
    torch.testing.assert_close(found.class_boxes[rows, found.labels], found.boxes)
    assert found.parent is None and found.matched is None


def test_sampled_regions(kit: Any) -> None:
    """Labels and matches agree with IoU; the ground-truth boxes are among the candidates."""
    stages = kit.stages(kit.config())
    board, targets = kit.board(stages, kit.features(2)), kit.targets(BOXES, LABELS)
    run(stages, board, targets)
    sampled, truth = board[OBJECTS], targets.streams[OBJECTS].regions
    iou = box_iou(sampled.boxes, truth.boxes) * (sampled.image_index[:, None] == truth.image_index)
    best = iou.max(dim=1)
    assert torch.equal(sampled.matched, best.indices.where(best.values >= 0.5, -1))
    assert torch.equal(sampled.labels, truth.labels[sampled.matched].where(sampled.matched >= 0, -1))
    assert sampled.image_index.bincount().tolist() == [32, 32]
    assert {0, 1, 2} <= set(sampled.matched.tolist())
    assert int((sampled.matched >= 0).sum()) <= 16


def test_tasks_can_learn_where_inference_would_put_the_boxes(kit: Any) -> None:
    """The stage itself learns as before; the same regions go on, but the objects among them have moved."""
    config, moving = kit.config(), kit.config(box_head={"train_on_pred_boxes": True})
    stages, targets = kit.stages(config), kit.targets(BOXES, LABELS)
    features = kit.features(2)
    plain, moved = (TwoStageDetector(kit.core, each) for each in (config, moving))
    moved.load_state_dict(plain.state_dict())
    boards = [kit.board(stages, features, seeds=[3, 4]) for _ in range(2)]
    losses = [run((*stages[:2], last), board, targets) for last, board in zip((plain, moved), boards, strict=True)]
    assert {name: loss.item() for name, loss in losses[0].items()} == {n: loss.item() for n, loss in losses[1].items()}
    before, after = (board[OBJECTS] for board in boards)
    assert torch.equal(after.labels, before.labels) and torch.equal(after.matched, before.matched)
    unmoved = (after.boxes == before.boxes).all(dim=1)
    assert bool((after.labels < 0).any()) and torch.equal(unmoved, after.labels < 0)
    assert not after.boxes.requires_grad


def test_objects_move_by_the_offsets_of_their_own_class(kit: Any) -> None:
    """By half a width to the right: inside, over the border; ten widths, out of the image, and NaN: not at all."""
    _, _, detector = kit.stages(kit.config())
    boxes = torch.tensor([[10.0, 10, 30, 50], [100, 20, 120, 60], [60, 20, 80, 60], [40, 20, 60, 60], [10, 10, 20, 20]])
    regions = Regions(boxes, torch.zeros(5).long(), labels=torch.tensor([2, 0, 4, 1, -1]))
    deltas = torch.full((5, 5, 4), 3.0)
    for row, (label, right) in enumerate([(2, 5.0), (0, 5.0), (4, 100.0), (1, torch.nan)]):
        deltas[row, label] = torch.tensor([right, 0, 0, 0])
    found = detector.corrected(regions, deltas, kit.images([(96, 128)])).boxes
    expected = torch.cat([torch.tensor([[20.0, 10, 40, 50], [110, 20, 128, 60]]), boxes[2:]])
    torch.testing.assert_close(found, expected)


def test_other_images_do_not_change_what_is_sampled(kit: Any) -> None:
    stages = kit.stages(kit.config())
    features = kit.features(2)
    both = kit.board(stages, features, seeds=[3, 4])
    run(stages, both, kit.targets(BOXES, LABELS))
    second = type(features)(tuple(level[1:] for level in features.maps), features.strides)
    alone, other = (kit.board(stages, second, seeds=[seed]) for seed in (4, 5))
    for board in (alone, other):
        run(stages, board, kit.targets(BOXES[1:], LABELS[1:]))
    expected = both[OBJECTS].of_image(1)
    torch.testing.assert_close(alone[OBJECTS].boxes, expected.boxes)
    assert torch.equal(alone[OBJECTS].labels, expected.labels)
    assert alone[OBJECTS].boxes.shape != other[OBJECTS].boxes.shape or not torch.equal(
        alone[OBJECTS].boxes, other[OBJECTS].boxes
    )


def test_foreground_teaches_nothing_about_classes_that_are_not_covered(kit: Any) -> None:
    """Only classes 0, 2 and 4 are labelled; an image that is not exhaustive has no background rows at all."""
    stages = kit.stages(kit.config())
    board = kit.board(stages, kit.features(2))
    losses = run(stages, board, kit.targets(BOXES, LABELS, covered=[0, 2, 4], exhaustive=[False, False]))
    assert bool((board[OBJECTS].labels >= 0).all()) and len(board[OBJECTS]) >= 3
    (losses["classification"] + losses["box"]).backward()
    predictor = stages[2].predictor
    assert not bool(predictor.classification.weight.grad[[1, 3]].any())
    assert not bool(predictor.deltas.weight.grad.view(5, 4, -1)[[1, 3]].any())
    assert bool(predictor.classification.weight.grad[[0, 2, 4, 5]].any(dim=1).all())


def test_crowds_are_neither_foreground_nor_background(kit: Any) -> None:
    stages = kit.stages(kit.config())
    board = kit.board(stages, kit.features(1))
    crowd = [0.0, 0, 128, 96]
    given = Regions(torch.tensor([crowd, [10.0, 10, 40, 40], [60, 50, 100, 90]]), torch.zeros(3).long())
    targets = kit.targets([[crowd, [60, 50, 100, 90]]], [[0, 1]], crowd=[True, False])
    sampled = stages[2].sample(given, targets.streams[OBJECTS], board.images)
    assert sampled.matched.tolist() == [1, 1]
    assert sampled.labels.tolist() == [1, 1]


def test_box_head_and_other_heads_share_pooled_features(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = kit.stages(kit.config())
    board = kit.board(stages, kit.features(1))
    run(stages, board, kit.targets(BOXES[:1], LABELS[:1]))
    monkeypatch.setattr(board._store, "pooler", None)
    sampled = board[OBJECTS]
    assert board.pool(OBJECTS, 7).shape[0] == len(sampled)
    assert board.pool(sampled.subset(sampled.matched >= 0), 7).shape[0] == int((sampled.matched >= 0).sum())


def test_given_objects_without_labels(kit: Any) -> None:
    """They are classified where they lie, and pooled once."""
    stages = kit.stages(kit.config())
    boxes = Regions(torch.tensor([[1.0, 2, 30, 40], [50, 50, 90, 90]]), torch.tensor([0, 0]))
    features = kit.features(1)
    board = kit.board(stages, features, given={OBJECTS: boxes})
    assert stages[2](board) == {}
    found = board[OBJECTS]
    assert torch.equal(found.boxes, boxes.boxes) and found.root is boxes
    assert torch.equal(found.labels, found.class_logits[:, :5].argmax(dim=1))
    torch.testing.assert_close(found.scores, found.class_logits.softmax(dim=1)[:, :5].amax(dim=1))


def test_detections_to_learn_from(kit: Any) -> None:
    """Equal to what inference finds among as many proposals; matched to ground truth of their own label, or to none."""
    same = {"pre_nms_train": 150, "post_nms_train": 40, "pre_nms_test": 150, "post_nms_test": 40}
    stages = kit.stages(kit.config(rpn=same))
    features = kit.features(2, requires_grad=True)
    inferred = kit.board(stages, features)
    run(stages, inferred)
    expected = inferred[OBJECTS]
    far, near = expected.boxes[0] * 0 + torch.tensor([0.0, 0, 3, 3]), expected.of_image(1)
    targets = kit.targets([[far.tolist()], [near.boxes[0].tolist()]], [[0], [int(near.labels[0])]])
    board = kit.board(stages, features)
    run(stages, board, targets)
    found = stages[2].detections(board, targets)
    torch.testing.assert_close(found.boxes, expected.boxes)
    assert torch.equal(found.labels, expected.labels)
    assert not found.boxes.requires_grad and not found.class_logits.requires_grad
    assert found.matched[found.image_index == 0].tolist() == [-1] * int((found.image_index == 0).sum())
    first = int((found.image_index == 0).sum())
    assert int(found.matched[first]) == 1
    assert set(found.labels[found.matched == 1].tolist()) == {int(near.labels[0])}


def test_a_repeated_step_is_the_same_step(kit: Any) -> None:
    stages, features, targets = kit.stages(kit.config()), kit.features(2), kit.targets(BOXES, LABELS)
    first, second = (run(stages, kit.board(stages, features, seeds=[1, 2]), targets) for _ in range(2))
    assert {name: float(loss.detach()) for name, loss in first.items()} == {
        name: float(loss.detach()) for name, loss in second.items()
    }


@pytest.mark.parametrize(("learning", "moving"), [(False, False), (True, False), (True, True)])
def test_bfloat16_keeps_boxes_precise(kit: Any, learning: bool, moving: bool) -> None:
    stages = kit.stages(kit.config(box_head={"train_on_pred_boxes": moving}))
    board = kit.board(stages, kit.features(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = run(stages, board, kit.targets(BOXES, LABELS) if learning else None)
    assert board[PROPOSALS].boxes.dtype == board[OBJECTS].boxes.dtype == torch.float32
    assert all(bool(loss.isfinite()) and loss.dtype == torch.float32 for loss in losses.values())


def test_no_proposals_and_nothing_above_the_threshold(kit: Any) -> None:
    stages = kit.stages(kit.config(box_head={"score_threshold": 1.0}))
    for proposals in (Regions(torch.zeros(0, 4), torch.zeros(0).long()), None):
        board = kit.board(stages, kit.features(2))
        if proposals is None:
            run(stages, board)
        else:
            board.put(PROPOSALS, proposals)
            stages[2](board)
        assert len(board[OBJECTS]) == 0
        assert board[OBJECTS].class_boxes.shape == (0, 5, 4)


def bumps(features: FeaturePyramid) -> FeaturePyramid:
    """One channel per object: a bump as wide as the object; two more channels say where a cell lies."""
    maps = []
    for level, stride in zip(features.maps, features.strides, strict=True):
        ys, xs = ((torch.arange(cells) + 0.5) * stride for cells in level.shape[2:])
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        distances = [
            ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 for x0, y0, x1, y1 in BOXES[0]
        ]
        shown = torch.stack([*(3 * (-distance).exp() for distance in distances), x / 128, y / 96])
        maps.append(torch.cat((shown, torch.zeros(4, *x.shape)))[None])
    return FeaturePyramid(tuple(maps), features.strides)


@pytest.mark.parametrize(("min_box_size", "found"), [(0.0, 1), (0.01, 2)])
def test_empty_boxes_are_dropped_after_the_best_are_chosen_only_as_in_detectron2(
    kit: Any, min_box_size: float, found: int
) -> None:
    """Three proposals of falling score, the best one beyond the right border, and room for two detections."""
    config = kit.config(box_head={"min_box_size": min_box_size, "detections": 2})
    detector = kit.stages(config)[-1]
    proposals = Regions(
        torch.tensor([[200.0, 10, 220, 30], [10, 10, 30, 30], [60, 50, 90, 90]]), torch.zeros(3, dtype=torch.int64)
    )
    logits = torch.tensor([[5.0, 0, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0], [0, 0, 3, 0, 0, 0]])
    regions = detector.decode(logits, torch.zeros(3, 5, 4), proposals, kit.images([SIZES[0]]))
    assert regions.boxes.tolist() == proposals.boxes[1 : 1 + found].tolist()


@pytest.mark.parametrize(("across", "labels"), [(None, [0, 1, 2]), (0.6, [0, 2]), (0.9, [0, 1, 2])])
def test_detections_of_one_thing_as_two_classes(kit: Any, across: float | None, labels: list[int]) -> None:
    """Two boxes with an IoU of 20 * 18 / (20 * 22) = 0.82, as two classes, and one elsewhere."""
    detector = kit.stages(kit.config(box_head={"across_classes": across}))[-1]
    proposals = Regions(
        torch.tensor([[10.0, 10, 30, 30], [10, 12, 30, 32], [60, 50, 90, 90]]), torch.zeros(3, dtype=torch.int64)
    )
    logits = torch.tensor([[9.0, 0, 0, 0, 0, 0], [0, 8, 0, 0, 0, 0], [0, 0, 7, 0, 0, 0]])
    regions = detector.decode(logits, torch.zeros(3, 5, 4), proposals, kit.images([SIZES[0]]))
    assert regions.labels.tolist() == labels


def test_it_learns_to_find_boxes(kit: Any) -> None:
    config = kit.config(rpn={"samples": 16, "post_nms_test": 80}, box_head={"score_threshold": 0.3})
    stages, features, targets = (
        build_faster_rcnn(kit.core, config),
        bumps(kit.features(1)),
        kit.targets(BOXES[:1], LABELS[:1]),
    )
    optimizer = torch.optim.Adam(nn.ModuleList(stages).parameters(), lr=1e-2)
    for step in range(80):
        loss = sum(run(stages, kit.board(stages, features, seeds=[step]), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    board = kit.board(stages, features)
    run(stages, board)
    found = board[OBJECTS]
    for box, label in zip(BOXES[0], LABELS[0], strict=True):
        iou = box_iou(found.boxes, torch.tensor([box], dtype=torch.float32))[:, 0]
        assert label in found.labels[iou > 0.5].tolist()


def test_it_enters_by_the_hook() -> None:
    assert "faster_rcnn" in {spec.name for spec in scenekit_detectors()}
