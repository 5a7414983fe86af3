"""Detectors, data sets and backbones that each break one rule, and what the kit says of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.backbones.base import Backbone, Level, Normalization
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.fields.base import Field
from scenekit.hooks import BackboneSpec, DatasetSpec, DetectorSpec
from scenekit.testing import check_backbone, check_dataset, check_detector
from scenekit.testing.backbones import BACKBONE_CHECKS
from scenekit.testing.datasets import DATASET_CHECKS
from scenekit.testing.detectors import DETECTOR_CHECKS


def template(kind: str) -> Any:
    path = Path(sk.__file__).parent / "templates" / kind / "scenekit_example.py"
    spec = importlib.util.spec_from_file_location(f"tests_template_{kind}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DETECTORS, DATA = template("detector"), template("dataset")
Detector, Data = DETECTORS.ExampleDetector, DATA.ExampleData


class NoLoss(Detector):
    def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, Tensor]:
        super().forward(board, targets)
        return {}


class UnknownLabels(Detector):
    def decode(self, *values: Any) -> sk.Regions:
        found = super().decode(*values)
        return replace(found, labels=found.labels + 100)


class Unmatched(Detector):
    def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, Tensor]:
        logits, boxes, centers = self.predict(board)
        if targets is None:
            return super().forward(board, targets)
        truth = targets.streams[sk.OBJECTS]
        board.put(sk.OBJECTS, replace(truth.regions, matched=torch.full_like(truth.regions.labels, -1)))
        return self.loss(logits, boxes, centers, truth)


class BeyondTheTargets(Detector):
    def detections(self, board: sk.Board, targets: sk.Targets) -> sk.Regions:
        found = super().detections(board, targets)
        return replace(found, matched=torch.full_like(found.matched, 10_000))


class IgnoresGiven(Detector):
    def labelled(self, given: sk.Regions, logits: Tensor, board: sk.Board) -> sk.Regions:
        fresh = super().labelled(given, logits, board)
        return sk.Regions(fresh.boxes + 1, fresh.image_index, fresh.labels, fresh.scores)


class Loss(Detector):
    """Changes the loss of the boxes."""

    def loss(self, logits: Tensor, boxes: Tensor, centers: Tensor, truth: sk.StreamTruth) -> dict[str, Tensor]:
        losses = super().loss(logits, boxes, centers, truth)
        return {**losses, "box": self.changed(losses["box"], truth)}

    def changed(self, loss: Tensor, truth: sk.StreamTruth) -> Tensor:
        return loss


class MeanOfNothing(Loss):
    def changed(self, loss: Tensor, truth: sk.StreamTruth) -> Tensor:
        return loss / len(truth.regions)


class LearnsUnlabelled(Loss):
    def changed(self, loss: Tensor, truth: sk.StreamTruth) -> Tensor:
        return loss + 1.0


class RollsDice(Loss):
    calls = 0

    def changed(self, loss: Tensor, truth: sk.StreamTruth) -> Tensor:
        RollsDice.calls += 1
        return loss * RollsDice.calls


class IdleParameter(Detector):
    def __init__(self, core: sk.Core, config: Any) -> None:
        super().__init__(core, config)
        self.idle = nn.Parameter(torch.zeros(1))


class MixesRows(Detector):
    def __init__(self, core: sk.Core, config: Any) -> None:
        super().__init__(core, config)
        pooler = self.pooler
        self.pooler = lambda features, regions, size: pooler(features, regions, size).cumsum(dim=0)


class UnregisteredBias(Detector):
    def __init__(self, core: sk.Core, config: Any) -> None:
        super().__init__(core, config)
        self.bias = torch.randn(1)

    def decode(self, logits: Tensor, boxes: Tensor, board: sk.Board) -> sk.Regions:
        return super().decode(logits + self.bias, boxes, board)


class NoNumbers(DetectionEvaluator):
    def result(self) -> Any:
        return 0.5


BROKEN_DETECTORS: dict[str, type[Any]] = {
    "runs": NoLoss,
    "detections": UnknownLabels,
    "training_regions": Unmatched,
    "detections_to_learn_on": BeyondTheTargets,
    "external_regions": IgnoresGiven,
    "no_objects": MeanOfNothing,
    "gradients": IdleParameter,
    "unlabelled": LearnsUnlabelled,
    "pools": MixesRows,
    "deterministic": RollsDice,
    "state_dict": UnregisteredBias,
    "measures": Detector,
}


@pytest.mark.parametrize("rule", [check.name for check in DETECTOR_CHECKS])
def test_a_detector_that_breaks_a_rule(rule: str) -> None:
    made = BROKEN_DETECTORS[rule]
    evaluator = NoNumbers if rule == "measures" else DetectionEvaluator
    config = DETECTORS.ExampleConfig
    spec = DetectorSpec("broken", "for tests", lambda core, values: [made(core, values)], config, evaluator=evaluator)
    options = {"threshold": 0.0, "detections": 5}
    assert check_detector(spec, options=options, only=[rule]).failed == (rule,)


def moved(boxes: list[float]) -> Callable[[sk.Sample], sk.Sample]:
    def change(sample: sk.Sample) -> sk.Sample:
        objects = replace(sample.scene.objects, boxes=torch.tensor([boxes] * 3))
        return replace(sample, scene=replace(sample.scene, streams={sk.OBJECTS: objects}))

    return change


class Forgetful(Field[Tensor, Tensor]):
    def encode(self, item: Tensor, vocabulary: sk.Vocabulary) -> Any:
        return [0.0] * len(item)

    def decode(self, data: Any, size: Any, vocabulary: sk.Vocabulary) -> Tensor:
        return torch.zeros(len(data))


class Unmovable(Field[Tensor, Tensor]):
    def transform(self, item: Tensor, geometry: Any, vocabulary: sk.Vocabulary) -> Tensor:
        raise NotImplementedError("cannot follow")


FORGOTTEN: sk.Key[Any, Any] = sk.Key("tests.kinds.forgotten", of=sk.OBJECTS, field=Forgetful())
UNMOVABLE: sk.Key[Any, Any] = sk.Key("tests.kinds.unmovable", of=sk.OBJECTS, field=Unmovable())


def with_key(key: sk.Key[Any, Any]) -> Callable[[sk.Sample], sk.Sample]:
    return lambda sample: replace(sample, scene=replace(sample.scene, values={key: torch.ones(3)}))


class Changed(Data):
    """Samples that are changed by one of the functions below."""

    change: Callable[[sk.Sample], Any]

    def __getitem__(self, index: int) -> Any:
        return type(self).change(super().__getitem__(index))


class Endless(Data):
    def __getitem__(self, index: int) -> sk.Sample:
        return super().__getitem__(index % len(self))


class Dice(Data):
    def __getitem__(self, index: int) -> sk.Sample:
        sample = super().__getitem__(index)
        return replace(sample, image=torch.randint_like(sample.image, 255))


class OtherScenes(Data):
    def scene(self, index: int) -> sk.Scene:
        return self[(index + 1) % len(self)].scene


class Locked(Data):
    def __init__(self, split: str = "train", length: int = 100) -> None:
        super().__init__(split, length)
        self.read = lambda path: path


class Backwards(Data):
    """A clip whose second frame is as old as the first one."""

    @property
    def samples(self) -> Data:
        return Data()

    def __getitem__(self, index: int) -> Any:
        sample = super().__getitem__(index)
        frame = sk.VideoFrame(sample.image, sk.Moment(time=0.5, number=0))
        return sk.Clip([frame, frame], [sample.scene, sample.scene], self.vocabulary)


def changed_by(change: Callable[[sk.Sample], Any]) -> type[Any]:
    return type("ChangedData", (Changed,), {"change": staticmethod(change)})


BROKEN_DATA: dict[str, type[Any]] = {
    "samples": changed_by(lambda sample: replace(sample, image=sample.image.float())),
    "repeatable": Dice,
    "ids": changed_by(lambda sample: replace(sample, id=1)),
    "supervision": changed_by(lambda sample: replace(sample, supervision=sk.Supervision(classes=frozenset({"mauve"})))),
    "valid": changed_by(moved([9.0, 9, 5, 20])),
    "scenes": OtherScenes,
    "json": changed_by(with_key(FORGOTTEN)),
    "workers": Locked,
    "training": changed_by(with_key(UNMOVABLE)),
    "ends": Endless,
    "clips": Backwards,
}


@pytest.mark.parametrize("rule", [check.name for check in DATASET_CHECKS])
def test_a_data_set_that_breaks_a_rule(rule: str) -> None:
    spec = DatasetSpec("broken", "for tests", build=BROKEN_DATA[rule], splits=("train",))
    assert check_dataset(spec, only=[rule]).failed == (rule,)


class Pyramid(Backbone):
    """Four strided convolutions."""

    def __init__(self) -> None:
        super().__init__()
        strides = (4, 8, 16, 32)
        self.levels = tuple(Level(6, stride, stride / 2) for stride in strides)
        self.convs = nn.ModuleList(nn.Conv2d(3, 6, stride, stride) for stride in strides)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(conv(pixels) for conv in self.convs)


class OtherStrides(Pyramid):
    def __init__(self) -> None:
        super().__init__()
        self.levels = self.levels[::-1]


class OtherChannels(Pyramid):
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(features[:, :5] for features in super().forward(pixels))


class MixesImages(Pyramid):
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return super().forward(pixels - pixels.mean())


class Idle(Pyramid):
    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(1))


class Counting(nn.Module):
    """Two convolutions whose result depends on how often they were called."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
        self.calls = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        scaled: Tensor = self.convs[1](self.convs[0](pixels) * self.calls)
        return scaled


class RemembersCalls(Pyramid):
    def __init__(self) -> None:
        super().__init__()
        self.first = Counting()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return super().forward(self.first(pixels))


class Unregistered(Pyramid):
    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.randn(1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return super().forward(pixels + self.bias)


class NoDeviation(Pyramid):
    normalization = Normalization((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))


BROKEN_BACKBONES: dict[str, type[Backbone]] = {
    "levels": OtherStrides,
    "maps": OtherChannels,
    "images_apart": MixesImages,
    "gradients": Idle,
    "checkpointing": RemembersCalls,
    "state_dict": Unregistered,
    "normalization": NoDeviation,
}


def backbone(build: Callable[[], Backbone]) -> BackboneSpec:
    return BackboneSpec("broken", "for tests", build)


def test_a_plain_backbone_keeps_every_rule() -> None:
    report = check_backbone(backbone(Pyramid))
    assert report.ok and not report.skipped, str(report)


@pytest.mark.parametrize("rule", [check.name for check in BACKBONE_CHECKS])
def test_a_backbone_that_breaks_a_rule(rule: str) -> None:
    assert check_backbone(backbone(BROKEN_BACKBONES[rule]), only=[rule]).failed == (rule,)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (lambda: check_detector(DetectorSpec("none", "", lambda core, config: [], sk.Config)), "OBJECTS|objects"),
        (lambda: check_dataset(DatasetSpec("none", "", build=lambda split: 7, splits=("train",))), "got int"),
        (lambda: check_backbone(backbone(lambda: nn.Identity())), "got Identity"),  # type: ignore[arg-type,return-value]
    ],
    ids=["detector", "dataset", "backbone"],
)
def test_what_is_none_at_all(report: Callable[[], Any], message: str) -> None:
    found: Sequence[Any] = report().findings
    assert len(found) == 1 and any(word in found[0].reason for word in message.split("|"))
