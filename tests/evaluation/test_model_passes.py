"""Passes with a part of the truth given, and with a baseline in place of a head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.data.sample import Sample
from scenekit.evaluation.evaluator import Evaluator
from scenekit.evaluation.loop import evaluate
from scenekit.evaluation.model_passes import Passes
from scenekit.keys import MASKS, OBJECTS, RELATIONS
from scenekit.model.scene_model import SceneModel
from scenekit.structures import Regions, Relations, Vocabulary
from scenekit_plugins.relations.evaluator import SceneGraphEvaluator
from tests.tiny import CUP, PERSON, VOCABULARY, config, extended, sample

WORDS: Vocabulary = replace(VOCABULARY, predicates=("left of", "right of"))


class LeftOrRight(sk.Head[Tensor, list[Relations]]):
    """Whatever starts further left is left of the other; the baseline holds everything for right of everything."""

    baseline_name = "always right"

    def __init__(self, honest: bool = True) -> None:
        super().__init__()
        self.honest = honest
        self.weight = nn.Parameter(torch.zeros(1))
        self.counts = nn.Identity()

    def forward(self, board: sk.Board) -> Tensor:
        assert not self.training
        regions: Regions = board[OBJECTS]
        board.pool(OBJECTS, size=7)
        left = regions.boxes[:, None, 0] < regions.boxes[:, 0]
        return left if self.honest else torch.zeros_like(left)

    def decode(self, raw: Tensor, board: sk.Board) -> list[Relations]:
        regions: Regions = board[OBJECTS]
        found = []
        for image in range(len(board.images)):
            rows = (regions.image_index == image).nonzero()[:, 0]
            pairs = torch.combinations(rows)
            pairs = torch.cat((pairs, pairs.flip(1)))
            predicate = (~raw[pairs[:, 0], pairs[:, 1]]).long()
            table = nn.functional.one_hot(predicate, 2).float()
            found.append(Relations(pairs[:, 0], pairs[:, 1], predicate, torch.ones(len(pairs)), table))
        return found

    def baseline(self) -> LeftOrRight | None:
        if not self.honest:
            return None
        head = LeftOrRight(honest=False).train()
        head.counts = self.counts
        return head

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        seen = torch.ones(2, 2, 2, dtype=torch.int64)
        seen[PERSON, CUP, 0] = 0
        assert isinstance(evaluator, SceneGraphEvaluator)
        return evaluator.with_seen(seen)


RELATE = sk.TaskSpec(
    name="relate",
    summary="what is left of what",
    provides=(RELATIONS,),
    build=lambda core, options: LeftOrRight(),
    requires=(OBJECTS,),
    evaluator=SceneGraphEvaluator,
)


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return extended(sk.build(config(("masks",)), WORDS).eval(), RELATE)


def related(number: int, supervised: bool = True) -> Sample:
    """The person is left of the cup, and the cup right of the person."""
    relations = Relations(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0, 1]))
    truth = sample(number, keys=(MASKS,), values={RELATIONS: relations} if supervised else {})
    return replace(truth, scene=replace(truth.scene, vocabulary=WORDS))


@pytest.fixture
def runs(model: SceneModel) -> Iterator[Counter[str]]:
    """How often each stage and head runs."""
    counted: Counter[str] = Counter()
    parts = model.parts
    hooks = [part.register_forward_hook(lambda *_, name=name: counted.update([name])) for name, part in parts.items()]
    yield counted
    for hook in hooks:
        hook.remove()


def test_each_mode_measures_what_the_model_finds_with_what_it_gives(model: SceneModel) -> None:
    results = evaluate(model, [related(0), related(1)], tasks=["relate"])
    assert list(results) == ["relate", "relate (always right)"]
    own, baseline = results["relate"], results["relate (always right)"]
    assert own["predcls/R@20"] == own["predcls/ngR@20"] == own["predcls/A@20"] == own["predcls/zR@20"] == 1.0
    assert baseline["predcls/R@20"] == 0.5 and baseline["predcls/zR@20"] == 0.0
    for result in (own, baseline):
        assert {result[f"{mode}/images"] for mode in ("predcls", "sgcls", "sgdet")} == {2}
        assert result["sgcls/R@20"] <= result["predcls/R@20"]


def test_what_does_not_change_is_not_computed_again(model: SceneModel, runs: Counter[str]) -> None:
    """Labels are looked for twice (sgdet, sgcls); the head runs in three modes (its baseline is not counted)."""
    evaluate(model, [related(0)], tasks=["relate"])
    assert runs["backbone"] == runs["rpn"] == 1 and runs["detection"] == 2 and runs["relate"] == 3
    assert "masks" not in runs


def test_passes_are_for_those_who_ask(model: SceneModel, runs: Counter[str]) -> None:
    evaluate(model, [related(0)], tasks=["masks"])
    assert "relate" not in runs and runs["detection"] == 1
    runs.clear()
    evaluate(model, [related(0, supervised=False)], tasks=["relate"])
    assert runs["relate"] == runs["detection"] == 1


def test_a_pass_that_shares_features_equals_one_that_does_not(model: SceneModel) -> None:
    truth = related(2)
    objects = truth.scene.objects
    for given in ({OBJECTS: objects}, {OBJECTS: objects.boxes}):
        with torch.no_grad():
            passes = Passes(model, truth.image, ["relate", "masks"])
            shared = passes.given("relate", given).scene
        alone = model.predict(truth.image, tasks=["relate"], threshold=0.0, given=given)
        assert torch.equal(shared.objects.labels, alone.objects.labels)
        torch.testing.assert_close(shared.objects.scores, alone.objects.scores)
        assert torch.equal(shared[RELATIONS].predicate, alone[RELATIONS].predicate)
        assert set(shared.values) == {RELATIONS}


def test_the_original_camera_arrives_bit_for_bit(model: SceneModel) -> None:
    """Not what is left of it after the way to network pixels and back, here by a factor that is no power of two."""
    image = torch.zeros(3, 37, 61, dtype=torch.uint8)
    camera = sk.Camera(torch.tensor([[71.3, 0, 30.7], [0, 69.1, 17.9], [0, 0, 1]]))
    with torch.no_grad():
        passes = Passes(model, image, ["masks", "relate"], camera)
    assert passes.free.scene.camera is camera


def test_the_model_is_left_as_it_was(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    head, order = model.heads["relate"], list(model.heads)
    model.train()
    evaluate(model, [related(0)], tasks=["relate"])
    assert model.heads["relate"] is head and list(model.heads) == order and all(m.training for m in model.modules())

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(head, "baseline", lambda: Failing(honest=False))
    monkeypatch.setattr(Failing, "forward", fail)
    with pytest.raises(RuntimeError, match="no"):
        evaluate(model, [related(0)], tasks=["relate"])
    assert model.heads["relate"] is head and all(m.training for m in model.modules())
    model.eval()


class Failing(LeftOrRight):
    """Breaks off in the middle."""
