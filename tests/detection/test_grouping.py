"""Classes that an image does not cover: exactly no loss and no gradient, in proposals and in the box head."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.config import validated
from scenekit.data.sample import Supervision
from scenekit.detection.config import DetectorConfig, ProposalConfig
from scenekit.detection.grouping import MOST, ObjectnessGroups, coverage_groups, grouped
from scenekit.errors import InputError
from scenekit.keys import OBJECTS, PHRASES
from scenekit.structures import Regions
from scenekit.weights.transfer import transfer
from tests import tiny

BOXES = [[[8, 8, 40, 44], [60, 20, 120, 90]]]
GROUPS = {"groups": [["a", "b"], ["c", "d"]]}
"""Two data sets cover a, b, and a to d; nothing covers e exhaustively."""


def claim(classes: str, exhaustive: bool = True, streams: frozenset[Any] = frozenset({OBJECTS})) -> Supervision:
    return Supervision(classes=frozenset(classes), streams=streams, exhaustive=streams if exhaustive else frozenset())


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([claim("abcd"), claim("abcd")], ()),
        ([claim("abcd"), claim("ab")], (("a", "b"), ("c", "d"))),
        ([claim("abc"), claim("cd"), claim("cd")], (("a", "b"), ("c",), ("d",))),
        ([claim("abc"), claim("cd", exhaustive=False)], (("a", "b", "c"),)),  # d shares the last objectness
        ([claim("abc"), claim("c", exhaustive=False)], ()),
        ([claim("abc"), claim("d", streams=frozenset({PHRASES}))], ()),
        ([claim("ab", exhaustive=False), claim("cd", exhaustive=False)], ()),
        ([claim(chr(97 + n) + "z") for n in range(MOST + 1)], ()),  # each image its own classes
        ([], ()),
    ],
)
def test_groups_are_classes_that_the_same_images_cover(claims: list[Supervision], expected: Any) -> None:
    assert coverage_groups(claims) == expected


def test_a_federated_data_set_leaves_the_groups_of_the_others() -> None:
    """Each of its images covers classes of its own; with one more than `MOST` of them all would share an objectness."""
    names = [f"class {number}" for number in range(MOST + 1)]
    federated = [Supervision(classes=frozenset({name, "a"})) for name in names]
    assert coverage_groups(federated) == ()
    assert coverage_groups([*federated, claim("ab"), claim("ab"), claim("abc"), claim("abc")]) == (("a", "b"), ("c",))


def test_options() -> None:
    assert grouped(DetectorConfig(), [claim("abc"), claim("ab")]).rpn.groups == (("a", "b"), ("c",))
    with pytest.raises(InputError, match=r"groups: 'b' is named twice; leave one of them out"):
        validated(ProposalConfig, {"groups": [["a", "b"], ["b"]]}, "rpn")


def rpn(kit: Any, options: dict[str, Any], targets: Any, images: int = 1) -> tuple[dict[str, Any], Any, Any]:
    """Losses of the proposals, the stage, and the board; all anchors are sampled."""
    torch.manual_seed(0)
    stages = kit.stages(kit.config(rpn={"samples": 100_000, "positive_fraction": 1.0, **options}))
    features = kit.features(images)
    board = kit.board(stages, features)
    stages[0](board, targets)
    return stages[1](board, targets), stages[1], board


def gradients(stage: Any, losses: dict[str, Any]) -> list[bool]:
    """Whether the objectness of each group gets any gradient."""
    losses["objectness"].backward(retain_graph=True)
    rows = stage.objectness.weight.grad.flatten(1).unflatten(0, (len(stage.groups), -1))
    stage.objectness.weight.grad = None
    return [bool(group.any()) for group in rows]


@pytest.mark.parametrize(
    ("covered", "labels", "expected"),
    [
        ("abcd", [0, 2], [True, True, True]),  # everything but e, which every exhaustive image teaches
        ("ab", [0, 1], [True, False, True]),  # as KITTI: neither positives nor negatives of c, d
        ("abc", [0, 1], [True, False, True]),  # d may be anywhere
        ("cd", [2, 3], [False, True, True]),
    ],
)
def test_negatives_of_a_group_are_from_images_that_cover_it(
    kit: Any, covered: str, labels: list[int], expected: list[bool]
) -> None:
    """An anchor that may lie on a class which is not annotated gets exactly no loss and no gradient as its negative."""
    targets = kit.targets(BOXES, labels=[labels], covered=["abcde".index(name) for name in covered])
    losses, stage, _ = rpn(kit, GROUPS, targets)
    assert gradients(stage, losses) == expected


def test_positives_teach_their_group_alone_where_nothing_is_exhaustive(kit: Any) -> None:
    """As Visual Genome: an object of c is a positive of its group, one of e of the last; no anchor is a negative."""
    for label, expected in ((2, [False, True, False]), (4, [False, False, True])):
        targets = kit.targets([[BOXES[0][0]]], labels=[[label]], exhaustive=[False])
        losses, stage, _ = rpn(kit, GROUPS, targets)
        assert gradients(stage, losses) == expected


def test_the_loss_by_hand(kit: Any) -> None:
    """The mean over the terms: an anchor on a (covered with b) is one positive, each other one two negatives."""
    targets = kit.targets([[BOXES[0][0]]], labels=[[0]], covered=[0, 1])
    losses, stage, board = rpn(kit, GROUPS, targets)
    features = board[stage.requires[0]]
    levels = [level.grouped for level in stage.predict(features)]
    logits = torch.cat(levels, dim=1)[0]
    anchors = torch.cat(stage.anchors(features, (96, 128)))
    matches = stage.matcher(anchors, targets.streams[OBJECTS].regions.boxes, torch.zeros(1, dtype=torch.bool))
    found, negative = matches.matched >= 0, matches.negative
    terms = torch.cat(
        (-logits[found, 0].sigmoid().log(), *(-(-logits[negative][:, group]).sigmoid().log() for group in (0, 2)))
    )
    torch.testing.assert_close(losses["objectness"], terms.mean())


def test_proposals_are_ranked_by_the_greatest_objectness(kit: Any) -> None:
    _, stage, board = rpn(kit, GROUPS, kit.targets(BOXES, labels=[[0, 1]]))
    for level in stage.predict(board[stage.requires[0]]):
        assert level.grouped.shape == (*level.logits.shape, 3) and torch.equal(level.logits, level.grouped.amax(dim=2))


def test_one_group_of_all_classes_changes_no_bit(kit: Any) -> None:
    """Named or not; and a stream of a task has one objectness, whatever the groups of the objects are."""
    targets = kit.targets(BOXES, labels=[[0, 3]])
    losses = [rpn(kit, options, targets)[0] for options in ({}, {"groups": [list("abcde")]})]
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
    phrases = type(kit.stages(kit.config())[1])(kit.core, kit.config(rpn=GROUPS), PHRASES)
    assert len(phrases.groups) == 1 and phrases.objectness.out_channels == 3


def test_the_box_head_takes_softmax_over_covered_classes(kit: Any) -> None:
    """No region moves a class that is not covered, background no more than others."""
    stage = kit.stages(kit.config())[2]
    truth = kit.targets(BOXES, labels=[[0, 1]], covered=[0, 1]).streams[OBJECTS]
    logits = torch.randn(3, 6, requires_grad=True)
    regions = three_regions(torch.tensor([0, 1, -1]))
    losses = stage.loss(logits, torch.zeros(3, 5, 4, requires_grad=True), regions, truth)
    losses["classification"].backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, 2:5], torch.zeros(3, 3))
    assert bool((logits.grad[2, :2] > 0).all()) and float(logits.grad[2, 5]) < 0


def three_regions(labels: torch.Tensor) -> Any:
    boxes = torch.tensor([[8.0, 8, 40, 44], [60, 20, 120, 90], [0, 0, 9, 9]])
    return Regions(boxes, torch.zeros(3, dtype=torch.int64), labels=labels, matched=labels)


def test_groups_by_hand() -> None:
    groups = ObjectnessGroups(tuple("abcd"), (("b", "x"), ("y",), ("c",)))
    assert groups.members == ({"b"}, {"c"}, frozenset()) and groups.group_of.tolist() == [2, 0, 1, 2]
    assert groups.axis_names(3).names == ("b", "c", "(all other classes)")
    assert len(ObjectnessGroups((), ())) == 1 and len(ObjectnessGroups(("a",), (("a",),))) == 1


def model(**rpn: Any) -> Any:
    config = tiny.config(())
    options = {**config.detector_options, "rpn": {**config.detector_options.get("rpn", {}), **rpn}}
    built = sk.build(config.model_copy(update={"detector_options": options}), tiny.VOCABULARY)
    with torch.no_grad():
        built.stages["proposals"].objectness.weight.normal_()
        built.stages["proposals"].objectness.bias.normal_()
    return built


def objectness(model: Any) -> torch.Tensor:
    weight: torch.Tensor = model.stages["proposals"].objectness.weight.detach()
    return weight.unflatten(0, (len(model.stages["proposals"].groups), -1))


def test_weights_of_one_objectness_are_those_of_every_group_at_first() -> None:
    first, second = tiny.VOCABULARY.things[:2]
    whole, apart = model(), model(groups=[[first], [second]])
    moved = transfer(whole, apart)
    assert not moved.fresh and not moved.partly
    assert len(objectness(apart)) > 1 and all(torch.equal(group, objectness(whole)[0]) for group in objectness(apart))


def test_a_group_takes_over_the_one_that_has_the_most_of_its_classes() -> None:
    first, second, *_ = tiny.VOCABULARY.things
    source, target = model(groups=[[first], [second]]), model(groups=[[second], [first]])
    transfer(source, target)
    assert torch.equal(objectness(target)[:2], objectness(source)[[1, 0]])
    whole = model()
    transfer(source, whole)
    assert torch.equal(objectness(whole)[0], objectness(source)[-1 if len(tiny.VOCABULARY.things) > 2 else 0])
