"""A stream that a task brings, beside OBJECTS: the same trunk, and nothing else in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.config import Config
from scenekit.detection import TwoStageDetector, region_stream
from scenekit.errors import InputError, PluginError
from scenekit.hooks import Origin, Policy, Registry, TaskSpec, registry
from scenekit.keys import OBJECTS, PHRASE_PROPOSALS, PHRASES, PROPOSALS, Key, Stream
from scenekit.model.head import Provider
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.structures import Regions
from scenekit.weights.transfer import named_axes, transfer
from tests.tiny import SIZE, VOCABULARY, batch, config, empty, sample, unlabelled

LENGTH: Key[Any, Any] = Key("tests.detection.length", of=PHRASES, doc="a number per phrase [N]", shape=("N",))
BOXES = [[[8, 8, 40, 44], [60, 20, 120, 90]], [[10, 30, 70, 60]]]


class Options(Config):
    """Which rows the head learns on."""

    detections: bool = False


class LengthHead(sk.Head[Tensor, Tensor]):
    """How long a description is."""

    def __init__(self, core: sk.Core, config: Options) -> None:
        super().__init__()
        self.net = nn.Linear(core.channels, 1)
        self.rows: list[Regions] = []

    def forward(self, board: sk.Board) -> Tensor:
        self.rows.append(board[PHRASES])
        result: Tensor = self.net(board.pool(PHRASES, size=7).mean((2, 3)))[:, 0]
        return result

    def loss(self, raw: Tensor, board: sk.Board, targets: Targets) -> dict[str, Tensor]:
        labelled = targets.learnable(LENGTH, board[PHRASES])
        return {"length": sk.safe_mean((raw - targets[LENGTH])[labelled].abs())}

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw


def stages(core: sk.Core, options: Options) -> Sequence[Provider]:
    return region_stream(core, core.detector, PHRASES, PHRASE_PROPOSALS)


def configure(spec: TaskSpec, options: Options) -> TaskSpec:
    policy = Policy.DETECTIONS if options.detections else Policy.FOREGROUND
    return replace(spec, streams={PHRASES: policy})


TASK = TaskSpec(
    "lengths", "for tests", (LENGTH,), LengthHead, Options, learns_from=(LENGTH,), stages=stages, configure=configure
)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = registry()
    more = Registry(found.manager, {kind: dict(named) for kind, named in found.records.items()})
    more.records["task"]["lengths"] = [(TASK, Origin("lengths", "tests", "0"))]
    for module in ("scenekit.model.build", "scenekit.hooks.manager"):
        monkeypatch.setattr(f"{module}.registry", lambda: more)
    return more


def model(tasks: Sequence[str] = ("semantic", "masks"), **options: Any) -> SceneModel:
    """The same weights for whatever is in both of two models."""
    torch.manual_seed(0)
    without = sk.build(config(tasks), VOCABULARY)
    plan = config(tasks).model_copy(update={"tasks": {**config(tasks).tasks, "lengths": options}})
    built = sk.build(plan, VOCABULARY)
    transfer(without, built)
    return built


def described(number: int = 0, **more: Any) -> sk.Sample:
    """The usual image with three phrases, two of them where no object is."""
    boxes = torch.tensor([[2.0, 2, 30, 46], [20, 4, 60, 24], [6, 8, 26, 40]])
    regions = sk.Objects(boxes, torch.full((3,), 7))  # labels that mean nothing
    both = frozenset({OBJECTS, PHRASES})
    one = sample(number, **{"streams": both, "exhaustive": both, **more})
    values = {**one.scene.values, LENGTH: torch.tensor([1.0, 2.0, 3.0])}
    scene = replace(one.scene, streams={**one.scene.streams, PHRASES: regions}, values=values)
    return replace(one, scene=scene, supervision=replace(one.supervision, keys=one.supervision.keys | {LENGTH}))


def of_phrases(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: loss for name, loss in losses.items() if name.startswith(("phrase", "lengths"))}


# The stages alone


def test_the_stages_of_a_stream_are_named_after_it(kit: Any) -> None:
    proposals, second = region_stream(kit.core, kit.config(), PHRASES, PHRASE_PROPOSALS)
    assert (proposals.name, second.name) == ("phrase_proposals", "phrases")
    assert second.requires[1:] == (PHRASE_PROPOSALS,) and second.provides == (PHRASES,)
    assert second.predictor.classification.out_features == 2 and second.predictor.deltas.out_features == 4
    usual = TwoStageDetector(kit.core, kit.config())
    assert usual.name == "detection" and usual.provides == (OBJECTS,)


def test_names_of_third_parties_have_dots_but_those_of_stages_have_none(kit: Any) -> None:
    parts = Stream("tests.detection.parts")
    proposals: Key[Regions, Any] = Key("tests.detection.part_proposals")
    names = [stage.name for stage in region_stream(kit.core, kit.config(), parts, proposals, classes=("part",))]
    assert names == ["tests_detection_part_proposals", "tests_detection_parts"]


def test_it_needs_a_detector_with_proposals(kit: Any) -> None:
    with pytest.raises(InputError, match=r"'phrases' needs the proposals of a two-stage detector.*set"):
        region_stream(kit.core, Config(), PHRASES, PHRASE_PROPOSALS)


def test_a_stream_of_one_class_is_the_detector_of_one_class(kit: Any) -> None:
    """With the same weights and seeds PHRASES are what OBJECTS are in a world with one thing, whatever the labels."""
    alone = replace(kit.core, vocabulary=sk.Vocabulary(things=("region",)))
    options = kit.config()
    usual, brought = TwoStageDetector(alone, options), region_stream(kit.core, options, PHRASES, PHRASE_PROPOSALS)[1]
    brought.load_state_dict(usual.state_dict())
    usual.name = brought.name  # so that both draw the same samples
    features = kit.features(2)
    proposals = Regions(torch.rand(60, 4) * 40 + torch.tensor([0.0, 0, 40, 40]), torch.arange(2).repeat_interleave(30))
    boards = [kit.board((stage,), features, seeds=[1, 2]) for stage in (usual, brought)]
    boards[0].put(PROPOSALS, proposals)
    boards[1].put(PHRASE_PROPOSALS, proposals)
    truths = [kit.targets(BOXES, labels=[[0, 0], [0]]), kit.targets(BOXES, stream=PHRASES)]
    truths[0] = replace(truths[0], streams={OBJECTS: replace(truths[0].streams[OBJECTS], covered=torch.ones(2, 1) > 0)})
    truths[1] = replace(truths[1], streams={PHRASES: replace(truths[1].streams[PHRASES], covered=torch.ones(2, 1) > 0)})
    losses = [stage(board, truth) for stage, board, truth in zip((usual, brought), boards, truths, strict=True)]
    assert losses[0] == losses[1] and losses[0]["box"] > 0
    assert torch.equal(boards[0][OBJECTS].boxes, boards[1][PHRASES].boxes)
    assert set(boards[1][PHRASES].labels.tolist()) == {-1, 0}
    together = zip((usual, brought), boards, truths, strict=True)
    found = [stage.detections(board, truth) for stage, board, truth in together]
    assert torch.equal(found[0].boxes, found[1].boxes) and torch.equal(found[0].matched, found[1].matched)


# In a model


def test_objects_do_not_notice_the_stream() -> None:
    """Losses, sampled regions, detections and gradients of all others are equal to the last bit."""
    samples = [described(0), described(1)]
    torch.manual_seed(0)
    without = sk.build(config(["semantic", "masks"]), VOCABULARY)
    with_it = model()
    results = []
    for one in (without, with_it):
        outputs = one.train()(*batch(one, samples))
        own = {name: loss for name, loss in outputs.losses.items() if name not in of_phrases(outputs.losses)}
        results.append((own, outputs.board[OBJECTS].boxes, one.eval()(batch(one, samples)[0]).board[OBJECTS].boxes))
    assert results[0][0] == results[1][0] and len(results[0][0]) >= 6
    assert torch.equal(results[0][1], results[1][1]) and torch.equal(results[0][2], results[1][2])


def test_one_pass_through_the_backbone_and_one_trunk_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    built, calls = model(), []
    for name, stage in built.stages.items():
        stage.register_forward_pre_hook(lambda module, inputs, name=name: calls.append(name))
    scene = built.predict(described().image, threshold=0.0)
    assert sorted(calls) == sorted(built.stages) and {"rpn", "phrases", "phrase_proposals"} <= set(calls)
    assert len(scene.regions(PHRASES)) > 0 and len(scene[LENGTH]) == len(scene.regions(PHRASES))
    assert scene.regions(PHRASES).scores is not None and set(scene.regions(PHRASES).labels.tolist()) == {0}
    again = sk.Scene.from_json(scene.to_json())
    torch.testing.assert_close(again.regions(PHRASES).boxes, scene.regions(PHRASES).boxes)


@pytest.mark.parametrize(("tasks", "ran"), [(["semantic"], {"backbone"}), (["masks"], {"rpn", "detection"})])
def test_who_does_not_need_the_stream_does_not_run_it(tasks: list[str], ran: set[str]) -> None:
    built, calls = model(), []
    for name, stage in built.stages.items():
        stage.register_forward_pre_hook(lambda module, inputs, name=name: calls.append(name))
    scene = built.predict(described().image, tasks=tasks, threshold=0.0)
    assert ran <= set(calls) and not {"phrases", "phrase_proposals"} & set(calls)
    assert PHRASES not in scene.streams


def test_the_stream_alone_does_not_run_the_detection_of_objects() -> None:
    built = model()
    scene = built.predict(described().image, tasks=["lengths"], threshold=0.0)
    assert OBJECTS not in scene.streams and len(scene.regions(PHRASES)) > 0


@pytest.mark.parametrize("other", [sample(1), unlabelled(1), empty(1)])
def test_a_image_without_phrases_teaches_them_nothing(other: sk.Sample) -> None:
    built = model()
    losses = of_phrases(built(*batch(built, [other])).losses)
    assert {name.split(".")[0] for name in losses} == {"phrases", "phrase_proposals", "lengths"}
    assert all(float(loss.detach()) == 0 for loss in losses.values())
    parts = nn.ModuleList([built.stages["phrases"], built.stages["phrase_proposals"], built.heads["lengths"]])
    gradients = torch.autograd.grad(sum(losses.values()), list(parts.parameters()))
    assert not any(bool(gradient.any()) for gradient in gradients)


def test_nor_does_it_as_a_neighbor_of_one_that_has() -> None:
    built = model().eval()  # batch norms would mix the images
    mixed = of_phrases(built(*batch(built, [described(0), sample(1)])).losses)
    phrases = built(*batch(built, [described(0)]))
    alone = of_phrases(phrases.losses)
    assert all(float(loss.detach()) > 0 for loss in alone.values())
    # The neighbor gives no rows; padding is the same, since the images are alike in size.
    assert mixed.keys() == alone.keys()
    for name, loss in alone.items():
        torch.testing.assert_close(mixed[name], loss, rtol=1e-4, atol=1e-6)


def test_phrases_that_are_not_all_there_are_give_no_negatives() -> None:
    built, only = model(), frozenset({OBJECTS})
    board = built(*batch(built, [described(exhaustive=only)])).board
    assert bool((board[PHRASES].labels == 0).all()) and len(board[PHRASES]) >= 3


def test_detections_to_learn_from() -> None:
    """Given proposals at the truth, so that fresh weights detect something that matches."""
    built = model(detections=True)
    images, targets = batch(built, [described(0), described(1)])
    truth = targets.streams[PHRASES].regions
    given = {PHRASE_PROPOSALS: Regions(truth.boxes, truth.image_index)}
    losses = built(images, targets, given=given).losses
    rows = built.heads["lengths"].rows[-1]
    assert losses["lengths.length"] > 0
    assert rows.scores is not None and rows.matched is not None and bool((rows.matched >= 0).any())
    assert built.specs["lengths"].streams == {PHRASES: Policy.DETECTIONS}


def test_given_regions_stay_where_they_are() -> None:
    built, calls = model(), []
    built.stages["phrases"].register_forward_pre_hook(lambda *_: calls.append("phrases"))
    boxes = torch.tensor([[4.0, 4, 40, 60], [10, 10, 80, 62]])
    images, _ = batch(built, [described()])
    with torch.no_grad():
        outputs = built.eval()(images, given={PHRASES: Regions(boxes, torch.zeros(2).long())}, tasks=["lengths"])
    assert torch.equal(outputs.board[PHRASES].boxes, boxes) and not calls
    (scene,) = built.scenes(outputs, threshold=0.5)
    assert len(scene[LENGTH]) == 2 and scene.size == SIZE


def test_regions_below_the_threshold_cost_the_head_nothing() -> None:
    built = model().eval()
    images, _ = batch(built, [described()])
    with torch.no_grad():
        every = built(images, tasks=["lengths"]).board[PHRASES]
        assert every.scores is not None
        limit = float(every.scores.median())
        built(images, tasks=["lengths"], threshold=limit)
    assert len(built.heads["lengths"].rows[-1]) == int((every.scores >= limit).sum()) < len(every)


def test_its_weights_travel_by_name() -> None:
    built = model()
    axes = named_axes(built)["stages.phrases.predictor.classification.weight"]
    assert axes[0].names == ("region", "(background)")
    assert not transfer(built, model()).fresh


def dotted(core: sk.Core, options: Options) -> Sequence[Provider]:
    proposals, second = stages(core, options)
    second.name = "a.b"
    return proposals, second


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"stages": lambda core, options: [nn.Identity()]},
            r"`stages` .*'lengths' must return Providers, got Identity",
        ),
        ({"stages": dotted}, r"names of stages have no dots, got 'a\.b'"),
        (
            {"configure": lambda spec, options: options},
            r"`configure` .*'lengths' must return its TaskSpec, got Options",
        ),
        ({"configure": lambda spec, options: replace(spec, name="x")}, r"must return its TaskSpec, got the one of 'x'"),
    ],
)
def test_a_task_that_gives_something_else(installed: Registry, wrong: dict[str, Any], message: str) -> None:
    installed.records["task"]["lengths"] = [(replace(TASK, **wrong), Origin("lengths", "acme", "0"))]
    with pytest.raises(PluginError, match=message + r".*\(.*acme.*\)"):
        model()
