"""From a configuration to a model: what is refused, and how the error says so."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn

import scenekit as sk
from scenekit.detection import RoIPooler
from scenekit.errors import InputError, PluginError
from scenekit.evaluation.loop import evaluators
from scenekit.hooks import DetectorSpec, Origin, registry
from scenekit.keys import BACKBONE_FEATURES, FEATURES, KEYPOINTS, MASKS, OBJECTS, SEMANTIC
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import Targets
from scenekit.recipe import ModelConfig
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.regions import Regions
from tests.tiny import VOCABULARY, config


def changed(**options: Any) -> ModelConfig:
    return ModelConfig.model_validate({**config().model_dump(), **options})


def test_tasks_stages_and_options_are_those_of_the_configuration() -> None:
    model = sk.build(changed(tasks={"masks": {"channels": 24, "convs": 2, "pooled": 5}}), VOCABULARY)
    assert model.tasks == ("masks",) and set(model.stages) == {"backbone", "rpn", "proposals", "detection"}
    head = model.heads["masks"]
    assert len(head.convs) == 2 and head.deconv.out_channels == 24 and head.config.pooled == 5
    assert head.predictor.out_channels == len(VOCABULARY.things)
    assert model.learns_from == (MASKS,) and model.config.tasks["masks"]["channels"] == 24


def test_same_seed_same_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(sk.build(config(["semantic"]), VOCABULARY).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_pyramid_may_have_norms() -> None:
    pyramid = config().pyramid.model_copy(update={"norm": "group"})
    plain, normed = (sk.build(changed(pyramid=p.model_dump()), VOCABULARY) for p in (config().pyramid, pyramid))
    fpns = [model.stages["backbone"].net.fpn for model in (plain, normed)]
    assert [any(isinstance(m, nn.GroupNorm) for m in fpn.modules()) for fpn in fpns] == [False, True]


def test_a_model_without_tasks_detects() -> None:
    model = sk.build(changed(tasks={}), VOCABULARY)
    assert model.tasks == () and model.learns_from == ()
    scene = model.predict(torch.rand(3, 48, 64), threshold=0.0)
    assert len(scene.objects) > 0 and not scene.values


def test_a_model_without_a_detector_has_no_objects() -> None:
    tasks = {"semantic": {"channels": 8, "norm_groups": 2}}
    model = sk.build(changed(detector=None, detector_options={}, tasks=tasks), VOCABULARY)
    scene = model.predict(torch.rand(3, 48, 64))
    assert set(model.stages) == {"backbone"} and len(scene.objects) == 0 and SEMANTIC in scene
    assert set(evaluators(model)) == {"semantic"}
    nothing = Regions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(InputError, match=r"set model\.detector"):
        model.pooler(FeaturePyramid((torch.rand(1, 8, 4, 4),), (4,)), nothing, 7)


def test_detectors_read_the_levels_that_are_chosen() -> None:
    options = {"anchors": {"sizes": [[16, 32]]}, "pooler": {"levels": 1}, "rpn": {"post_nms_test": 8}}
    single = {"kind": "single", "levels": [8, 16]}
    model = sk.build(changed(pyramid=single, detector_options=options, tasks={"masks": {"channels": 8}}), VOCABULARY)
    features = model(model.preprocess([torch.rand(3, 64, 96)])).board[FEATURES]
    assert features.strides == (16,) and [tuple(level.shape[2:]) for level in features.maps] == [(4, 6)]


class ReadsTheBackbone(Provider):
    """A detector of a single box, which reads the maps of the backbone."""

    name, requires, provides = "raw", (BACKBONE_FEATURES,), (OBJECTS,)
    pooler = RoIPooler()

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, torch.Tensor]:
        self.read = board[BACKBONE_FEATURES]
        nothing = torch.zeros(0, dtype=torch.int64)
        board.put(OBJECTS, Regions(torch.zeros(0, 4), nothing, labels=nothing, scores=torch.zeros(0)))
        return {}


@pytest.mark.parametrize("pyramid", [None, {"channels": 16}])
def test_stages_may_read_the_maps_of_the_backbone(pyramid: dict[str, Any] | None) -> None:
    levels: list[Any] = []

    def built(core: Core, config: Any) -> list[Provider]:
        levels.extend(core.levels)
        return [ReadsTheBackbone()]

    spec = DetectorSpec("raw", "reads the backbone", built)
    with patch.dict(registry().records["detector"], {"raw": [(spec, Origin("raw", "tests", "0"))]}):
        model = sk.build(changed(detector="raw", detector_options={}, pyramid=pyramid, tasks={}), VOCABULARY)
    model.predict(torch.rand(3, 48, 64))
    read = model.stages["raw"].read
    assert [level.stride for level in levels] == list(read.strides) == [4, 8, 16, 32]
    assert [level.channels for level in levels] == [features.shape[1] for features in read.maps]


def test_the_backbone_is_handed_on_between_models_with_a_pyramid_and_without() -> None:
    spec = DetectorSpec("raw", "reads the backbone", lambda core, config: [ReadsTheBackbone()])
    with patch.dict(registry().records["detector"], {"raw": [(spec, Origin("raw", "tests", "0"))]}):
        model = sk.build(changed(detector="raw", detector_options={}, pyramid=None, tasks={}), VOCABULARY)
    other = sk.build(config(["semantic"]), VOCABULARY)
    sk.transfer(other, model)
    backbones = [part.stages["backbone"].net.backbone.state_dict() for part in (other, model)]
    assert all(torch.equal(value, backbones[1][name]) for name, value in backbones[0].items())


def test_heads_follow_the_vocabulary() -> None:
    model = sk.build(config(), VOCABULARY)
    assert model.heads["semantic"].predictor.out_channels == len(VOCABULARY.labels)
    assert model.heads["keypoints"].predictor.out_channels == 3
    assert {SEMANTIC, MASKS, KEYPOINTS} == set(model.learns_from)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": {"mask": {}}}, "unknown task 'mask'; did you mean 'masks'?"),
        ({"tasks": {"masks": {"chanels": 8}}}, "task 'masks': unknown key 'chanels'; did you mean 'channels'?"),
        ({"tasks": {"masks": {"channels": 0}}}, "task 'masks': 'channels': input should be greater than or equal to 1"),
        ({"tasks": {"panoptic": {"overlap": "much"}}}, "task 'panoptic': 'overlap': input should be a valid number"),
        ({"tasks": {"panoptic": {}}}, "'panoptic' requires 'masks'"),
        ({"detector": "faster_rcn"}, "unknown detector 'faster_rcn'; did you mean 'faster_rcnn'?"),
        ({"detector_options": {"rpm": {}}}, "detector 'faster_rcnn': unknown key 'rpm'; did you mean 'rpn'?"),
        ({"detector_options": {"rpn": {"sample": 3}}}, "unknown key 'rpn.sample'; did you mean 'samples'?"),
        ({"detector_options": {"preset": "detectron"}}, "did you mean 'detectron2'?"),
        ({"pyramid": {"levels": [8, 12]}}, "the backbone has maps of stride [4, 8, 16, 32], none of 12"),
        (
            {"pyramid": None, "detector": None, "detector_options": {}, "tasks": {"semantic": {}}},
            "task 'semantic' reads the feature pyramid",
        ),
        ({"backbone": {"name": "resnet5"}}, "did you mean 'resnet"),
        ({"backbone": {"name": "resnet18", "options": {"nrom": "group"}}}, "no option 'nrom'; did you mean 'norm'?"),
        ({"backbone": {"name": "resnet18", "options": {"weights": "DEFAULT"}}}, "weights as model.backbone.weights"),
    ],
)
def test_what_cannot_be_built_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sk.build(changed(**options), VOCABULARY)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_keypoints_need_a_skeleton() -> None:
    with pytest.raises(InputError, match="a thing has a skeleton"):
        sk.build(changed(tasks={"keypoints": {}}), sk.Vocabulary(("cup",)))


class Stage(sk.Provider):
    """Does nothing."""

    def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, torch.Tensor]:
        return {}


def stage(**parts: object) -> Stage:
    """A stage with what a plugin sets on it."""
    made = Stage()
    for name, value in parts.items():
        setattr(made, name, value)
    return made


KEYS = {"requires": (sk.FEATURES,), "provides": (sk.OBJECTS,)}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (7, "must return a list of Providers, got int"),
        ([torch.nn.Identity()], "must return Providers, got Identity"),
        ([stage(**KEYS)], "set `name` of Stage, a text without dots"),
        ([stage(name="a.b", **KEYS)], "names of stages have no dots, got 'a.b'"),
        ([stage(name="a", provides=(sk.OBJECTS,))], "set `requires` of Stage, a tuple of the keys that it reads"),
        ([stage(name="a", requires=())], "set `provides` of Stage, a tuple of the keys that it puts on the board"),
        ([stage(name="a", requires=(), provides=())], "Stage provides nothing"),
        ([stage(name="a", requires=(), provides=(sk.PROPOSALS,))], "no stage provides sk.OBJECTS"),
        ([stage(name="a", **KEYS)], "no stage has a `pooler`, from which heads get RoI features"),
    ],
)
def test_a_detector_that_lacks_something_is_named_when_the_model_is_built(stages: object, message: str) -> None:
    spec = DetectorSpec("blind", "detects nothing", lambda core, _: stages)  # type: ignore[arg-type,return-value]
    installed = patch.dict(registry().records["detector"], {"blind": [(spec, Origin("blind", "tests", "0"))]})
    with installed, pytest.raises(PluginError) as caught:
        sk.build(changed(detector="blind", detector_options={}, tasks={}), VOCABULARY)
    assert message in str(caught.value)
    assert str(caught.value).startswith("`build` of detector 'blind'")
    assert str(caught.value).endswith("('blind' comes from plugin blind of tests 0)")
