"""One-stage detectors: what they share, and the parts of each against cases worked by hand and torchvision's parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

import scenekit as sk
from scenekit.backbones.base import Level
from scenekit.backbones.padding import TensorflowConv2d
from scenekit.data.loader import Source
from scenekit.detection.one_stage.config import DenseAnchorConfig
from scenekit.detection.one_stage.default_boxes import DefaultBoxConfig, DefaultBoxes
from scenekit.detection.one_stage.fcos import LocationMatcher, centerness
from scenekit.detection.one_stage.predictions import Predictions
from scenekit.detection.one_stage.retinanet import FocalConfig, focal_loss
from scenekit.detection.one_stage.ssd import BestBoxMatcher, SSDConfig, SSDHead, sigmoid_cross_entropy, source_maps
from scenekit.detection.one_stage.yolo import YoloConfig, YoloDetector, covered_softmax
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.keys import OBJECTS, PHRASES
from scenekit.model.head import Core
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import StreamTruth
from scenekit.ops.matching import Matcher
from scenekit.recipe import ModelConfig, Recipe
from scenekit.scene import Objects
from scenekit.structures import FeaturePyramid, ImageBatch, Regions
from scenekit.testing.detectors import check_detector
from scenekit.training.preparation import adopted, prepared, prepares
from scenekit.weights.transfer import named_axes
from tests.tiny import TASKS, VOCABULARY, batch, config, empty, sample

OPTIONS: dict[str, dict[str, Any]] = {
    "retinanet": {"tower": {"convs": 1}},
    "fcos": {"tower": {"convs": 1}},
    "ssd": {},
    "yolo": {"priors": [[12, 16], [20, 30], [40, 40]]},
}
NAMES = tuple(OPTIONS)
SIGMOID: dict[str, Any] = {
    "scores": "sigmoid",
    "min_negatives": 3,
    "norm": "batch",
    "activation": "relu6",
    "padding": "tensorflow",
    "prediction_kernel": 1,
    "extra": [[16, 2]],
    "boxes": {"smallest": 0.2, "reduced": 0.1, "unit": "shorter_side", "clip": False},
}
"""SSD as TensorFlow has it, on a pyramid, so that it is as small as the others."""


def built(name: str, tasks: Sequence[str] = (), more: dict[str, Any] | None = None, **options: Any) -> SceneModel:
    torch.manual_seed(0)
    values = {**config(tasks).model_dump(), "detector": name, "detector_options": {**OPTIONS[name], **options}}
    values["tasks"] |= more or {}
    return sk.build(ModelConfig.model_validate(values), VOCABULARY).eval()


def class_gradients(model: SceneModel, losses: dict[str, Tensor]) -> list[bool]:
    """Whether the logits of each class get any gradient."""
    axes = named_axes(model)
    layers = {n: p for n, p in model.named_parameters() if n in axes and n.startswith("stages.") and n.endswith("bias")}
    gradients = torch.autograd.grad(losses["detection.classification"], list(layers.values()))
    rows = [g.view(-1, axes[name][0].each).any(dim=1) for name, g in zip(layers, gradients, strict=True)]
    return [bool(any(own[label] for own in rows)) for label in range(len(VOCABULARY.things))]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_is_not_covered_is_not_trained(name: str) -> None:
    model = built(name)
    of_cups = sample(0, classes=frozenset({"cup"}), keys=())
    of_cups = sk.Sample(of_cups.image, of_cups.scene.select(OBJECTS, torch.tensor([1])), of_cups.supervision, 0)
    cup, person = class_gradients(model, model(*batch(model, [of_cups])).losses)
    assert cup == (name != "yolo"), "a softmax over one class is certain"
    assert not person


@pytest.mark.parametrize("name", [name for name in NAMES if name != "yolo"])
def test_a_class_that_is_covered_in_part_is_trained_on_its_objects_alone(name: str) -> None:
    model = built(name)
    only = sample(0, classes=frozenset(), partial=frozenset({"cup"}), keys=())
    of_cups = sk.Sample(only.image, only.scene.select(OBJECTS, torch.tensor([1])), only.supervision, 0)
    cup, _ = class_gradients(model, model(*batch(model, [of_cups])).losses)
    assert cup
    without = sk.Sample(
        only.image, only.scene.select(OBJECTS, torch.tensor([], dtype=torch.int64)), only.supervision, 0
    )
    losses = model(*batch(model, [without])).losses
    assert float(losses["detection.classification"].detach()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_image_that_is_not_annotated_in_full_gives_no_negatives(name: str) -> None:
    model = built(name)
    nothing: frozenset[Any] = frozenset()
    losses = model(*batch(model, [empty(0)])).losses
    assert name == "ssd" or any(float(loss.detach()) > 0 for loss in losses.values())
    blank = empty(0)
    partial = replace(blank, supervision=replace(blank.supervision, exhaustive=nothing))
    losses = model(*batch(model, [partial])).losses
    assert all(float(loss.detach()) == 0 for loss in losses.values())


@pytest.mark.parametrize("name", NAMES)
def test_tasks_run_on_its_objects(name: str) -> None:
    model = built(name, tuple(TASKS))
    losses = model(*batch(model, [sample(0), sample(1)])).losses
    assert {"masks.mask", "keypoints.keypoint"} <= set(losses) and all(loss.isfinite() for loss in losses.values())
    scene = model.predict(sample().image, threshold=0.0)
    assert len(scene.objects) <= 100 and len(scene[sk.MASKS]) == len(scene.objects)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_one_image(name: str) -> None:
    """The sum of the losses falls in a few steps on one image."""
    model = built(name, score_threshold=0.0)
    one = batch(model, [sample(0)])
    parameters = [p for n, p in model.named_parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    first = None
    for _ in range(12):
        losses = model(*one).losses
        total = torch.stack(list(losses.values())).sum()
        first = float(total.detach()) if first is None else first
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert first is not None and float(total.detach()) < 0.95 * first


# Shared parts


def test_captions_and_masks_on_retinanet_share_one_trunk_of_proposals() -> None:
    captions = {"lstm": {"features": 16, "width": 16}, "max_tokens": 4}
    model = built("retinanet", ("masks",), {"captions": captions}, score_threshold=0.0)
    assert list(model.stages) == ["backbone", "retinanet", "detection", "rpn", "phrase_proposals", "phrases"]
    scene = model.predict(sample().image, threshold=0.0)
    assert len(scene.regions(PHRASES)) and len(scene.objects)
    plain = built("retinanet", ("masks",))
    assert "rpn" not in plain.stages, "without a stream that needs it"


def test_anchors_of_the_streams_follow_the_pyramid_unless_they_are_set() -> None:
    captions = {"captions": {"lstm": {"features": 16, "width": 16}, "max_tokens": 4}}
    stage: Any = built("retinanet", (), captions).stages["phrase_proposals"]
    assert stage.anchors.config.sizes == ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    with pytest.raises(InputError, match=r"anchors\.sizes has 2 levels, expected 5"):
        built("retinanet", (), captions, streams={"anchors": {"sizes": [[16], [32]]}})


def test_anchors_are_four_strides_and_thirds_of_octaves_between() -> None:
    sizes = DenseAnchorConfig().on_levels((8, 16)).sizes
    expected = [32.0, 40.3175, 50.7968, 64.0, 80.6349, 101.5937]
    assert [side for level in sizes for side in level] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_no_pyramid_to_read(name: str) -> None:
    values = {"backbone": {"name": "mobilenet_v3_small"}, "pyramid": None, "detector": name}
    with pytest.raises(InputError, match=f"detector '{name}' reads the feature pyramid, .*set model.pyramid"):
        sk.build(ModelConfig.model_validate({**values, "detector_options": OPTIONS[name]}), VOCABULARY)


def test_an_external_box_has_the_classes_of_its_anchor() -> None:
    stage: Any = built("retinanet").stages["detection"]
    references = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [20, 20, 60, 60]])
    logits = torch.tensor([[[3.0, 0.0], [0.0, 2.0], [1.0, 0.0]]])
    predictions = Predictions(logits, torch.zeros(1, 3, 4), torch.zeros(1, 3, 0), references, (3,))
    given = Regions(torch.tensor([[22.0, 22, 44, 44]]), torch.tensor([0]))
    labelled = stage.labelled(predictions, given, ImageBatch(torch.zeros(1, 3, 64, 64), ((64, 64),), ((64, 64),)))
    assert labelled.labels.tolist() == [1] and float(labelled.scores) == pytest.approx(1 / (1 + math.exp(-2)))
    assert torch.equal(labelled.boxes, given.boxes)
    assert labelled.class_boxes.tolist() == [[[20.0, 20, 40, 40]] * 2]
    assert labelled.class_logits.tolist() == [[0.0, 2.0, 0.0]]


# RetinaNet


def test_focal_loss_by_hand() -> None:
    """-alpha (1 - p)^2 log p for a positive of p = 1/2 and a negative of p = 3/4."""
    logits = torch.tensor([0.0, math.log(3)])
    found = focal_loss(logits, torch.tensor([1.0, 0.0]), FocalConfig())
    expected = [0.25 * 0.25 * math.log(2), 0.75 * 0.5625 * math.log(4)]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


# FCOS


def squares(*rows: tuple[float, float, float]) -> Tensor:
    """The reference boxes of locations (x, y) on a level of a stride."""
    return torch.tensor([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s in rows])


def test_locations_by_hand() -> None:
    """Strides 8 and 16: distances up to 64 belong to the first, larger ones to the second."""
    boxes = torch.tensor([[0.0, 0, 60, 60], [20, 20, 44, 44], [0, 0, 200, 200]])
    locations = squares((32, 32, 8), (56, 32, 8), (100, 100, 8), (100, 100, 16), (32, 20, 8))
    matches = LocationMatcher(1.5)(locations, boxes, torch.zeros(3, dtype=torch.bool))
    # In both small boxes: the smaller; too far from the center; on the wrong level; the large one; on one's border.
    assert matches.matched.tolist() == [1, -1, -1, 2, 0]
    assert matches.negative.tolist() == [False, True, True, False, False]


def test_locations_in_a_crowd_are_ignored() -> None:
    boxes = torch.tensor([[0.0, 0, 60, 60], [90, 90, 110, 110]])
    locations = squares((30, 30, 8), (100, 100, 8), (200, 200, 16))
    matches = LocationMatcher(1.5)(locations, boxes, torch.tensor([True, False]))
    assert matches.matched.tolist() == [-1, 1, -1] and matches.negative.tolist() == [False, False, True]


def test_centerness_by_hand() -> None:
    """At the center 1; at a quarter of the width and half of the height sqrt(1/3)."""
    box = torch.tensor([[0.0, 0, 40, 20]]).expand(2, 4)
    found = centerness(squares((20, 10, 8), (10, 10, 8)), box)
    assert found.tolist() == pytest.approx([1.0, math.sqrt(1 / 3)])


# SSD


@pytest.mark.parametrize("steps", [None, (8, 16)])
def test_default_boxes_are_torchvisions(steps: tuple[int, int] | None) -> None:
    theirs = DefaultBoxGenerator([[2], [2, 3]], scales=[0.1, 0.4, 1.2], steps=None if steps is None else list(steps))
    maps = [torch.zeros(1, 1, 13, 19), torch.zeros(1, 1, 7, 10)]
    expected = theirs(ImageList(torch.zeros(1, 3, 100, 150), [(100, 150)]), maps)[0]
    options = DefaultBoxConfig(scales=(0.1, 0.4, 1.2), ratios=((2.0,), (2.0, 3.0)), steps=steps)
    found = torch.cat(DefaultBoxes(options, 2)(FeaturePyramid(tuple(maps), (8, 16)), (100, 150)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert DefaultBoxes(options, 2).per_cell == theirs.num_anchors_per_location()


def test_default_boxes_for_another_number_of_levels() -> None:
    with pytest.raises(InputError, match=r"boxes\.scales: expected 4 entries for 3 levels, got 2"):
        DefaultBoxes(DefaultBoxConfig(scales=(0.1, 0.2)), 3)


def test_each_ground_truth_box_gets_its_best_default_box() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [90, 90, 99, 99]])
    targets = torch.tensor([[0.0, 0, 10, 10], [50, 50, 80, 80]])
    matches = BestBoxMatcher(Matcher(0.5, 0.5))(boxes, targets, torch.zeros(2, dtype=torch.bool))
    assert matches.matched.tolist() == [0, 0, 1, -1] and matches.negative.tolist() == [False, False, False, True]


@pytest.mark.parametrize("background", [True, False])
def test_every_rule_of_detectors_holds_with_sigmoids(background: bool) -> None:
    report = check_detector(registry().get("detector", "ssd"), options={**SIGMOID, "background": background})
    assert report.ok, str(report)


def test_softmax_needs_a_background() -> None:
    with pytest.raises(ValueError, match="background: softmax scores need it; set scores: sigmoid"):
        SSDConfig(background=False)


@pytest.mark.parametrize("background", [True, False])
def test_sigmoids_of_ssd(background: bool) -> None:
    """Scores and logits leave the column of background alone; classes are trained where they are annotated."""
    model = built("ssd", **SIGMOID, background=background)
    stage: Any = model.stages["detection"]
    logits = torch.tensor([[[1.0, -2.0, 7.0]]])[..., : 2 + background]
    predictions = Predictions(logits, torch.zeros(1, 1, 4), torch.zeros(1, 1, 0), torch.tensor([[0.0, 0, 9, 9]]), (1,))
    assert stage.scores(predictions).flatten().tolist() == pytest.approx(
        [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(2))]
    )
    assert stage.class_logits(predictions, 0, torch.tensor([0])).tolist() == [[1.0, -2.0, 0.0]]
    of_cups = sample(0, classes=frozenset({"cup"}), keys=())
    of_cups = sk.Sample(of_cups.image, of_cups.scene.select(OBJECTS, torch.tensor([1])), of_cups.supervision, 0)
    assert class_gradients(model, model(*batch(model, [of_cups])).losses) == [True, False]
    losses = model(*batch(model, [empty(0)])).losses
    assert float(losses["detection.classification"].detach()) > 0, "of the negatives that every image has"


def test_sigmoids_are_low_before_training() -> None:
    stage: Any = built("ssd", **SIGMOID).stages["ssd"]
    for layer in stage.classification:
        assert layer.bias.tolist() == pytest.approx([-math.log(99)] * len(layer.bias), rel=1e-6)
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.3)


def test_cross_entropy_of_sigmoids_by_hand() -> None:
    """A row of the first class, a negative, both where the second class is not annotated, the first where none is."""
    logits = torch.tensor([[0.0, math.log(3), math.log(3)]]).expand(5, 3)  # probabilities 1/2, 3/4 and 3/4
    covered = torch.tensor([[True, True], [True, True], [True, False], [True, False], [False, False]])
    labels = torch.tensor([0, -1, 0, -1, 0])
    found = sigmoid_cross_entropy(logits, labels, covered)
    two, four = math.log(2), math.log(4)
    expected = [two + four + four, two + four + math.log(4 / 3), two + four, two, two + four]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
    without = sigmoid_cross_entropy(logits[:, :2], labels, covered)
    assert without.tolist() == pytest.approx([two + four, two + four, two, two, two], rel=1e-6)


def test_it_learns_one_image_with_sigmoids() -> None:
    model = built("ssd", **SIGMOID)
    one = batch(model, [sample(0)])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    totals = []
    for _ in range(12):
        total = torch.stack(list(model(*one).losses.values())).sum()
        totals.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < 0.95 * totals[0]


def test_default_boxes_of_tensorflow_by_hand() -> None:
    """The finest level has 0.1 and 0.2 with 2 and 1/2; the next 0.35, the square between it and 0.5, and pairs."""
    options = SSDConfig.preset("tensorflow").boxes
    boxes = DefaultBoxes(options, 6)
    assert boxes.per_cell == [3, 6, 6, 6, 6, 6]
    grids = (torch.zeros(1, 1, 2, 3), *(torch.zeros(1, 1, 1, 1) for _ in range(5)))
    maps = FeaturePyramid(grids, (100, 200, 400, 800, 1600, 3200))
    first, second, *_, last = boxes(maps, (200, 300))  # of the shorter side of 200
    sizes = [part[:, 2:] - part[:, :2] for part in (first, second, last)]
    assert first[3].tolist() == pytest.approx([140.0, 40, 160, 60])  # the second cell, whose center is (150, 50)
    assert sizes[0][1].tolist() == pytest.approx([40 * math.sqrt(2), 40 / math.sqrt(2)])
    between = 200 * math.sqrt(0.35 * 0.5)
    assert sizes[1][:3].flatten().tolist() == pytest.approx(
        [70, 70, between, between, 70 * math.sqrt(2), 70 / math.sqrt(2)], rel=1e-5
    )
    assert sizes[2][1].tolist() == pytest.approx([200 * math.sqrt(0.95)] * 2, rel=1e-5)
    assert sizes[2][4].tolist() == pytest.approx([190 * math.sqrt(3), 190 / math.sqrt(3)], rel=1e-5)  # not clipped


def test_default_boxes_of_a_training_on_images_of_300_pixels() -> None:
    """There cells of stride 16 were 300 / 19 apart, about the middle 150; elsewhere they are at 150 + 16 k."""
    boxes = DefaultBoxes(SSDConfig.preset("tensorflow").boxes, 2, trained_side=300)
    maps = FeaturePyramid((torch.zeros(1, 1, 28, 19), torch.zeros(1, 1, 14, 10)), (16, 32))
    first, second = boxes(maps, (448, 300))
    centers = (first[::3, :2] + first[::3, 2:]) / 2
    assert centers[0].tolist() == pytest.approx([150 / 19, 6], rel=1e-5)
    assert centers[9 * 19 + 9].tolist() == pytest.approx([150, 150], rel=1e-5)
    assert centers[-1].tolist() == pytest.approx([300 - 150 / 19, 6 + 27 * 16], rel=1e-5)
    assert (first[0, 2:] - first[0, :2]).tolist() == pytest.approx([30, 30], rel=1e-5)
    assert float(second[0, 1] + second[0, 3]) / 2 == pytest.approx(6, rel=1e-4)  # 150 - 4.5 x 32


def test_further_maps_begin_as_in_training() -> None:
    """Of 10 cells, as 300 pixels have: 10 and 2 are even, 5 and 3 are not."""
    stage: Any = SSDHead(
        Core(0, (), VOCABULARY, levels=(Level(8, 16, 8.0), Level(8, 32, 16.0))),
        SSDConfig.preset("tensorflow", trained_side=300),
    )
    begins = [module.begins for module in stage.maps.modules() if isinstance(module, TensorflowConv2d)]
    assert [own for own in begins[1::2]] == [(0, 0), (1, 1), (1, 1), (0, 0)]
    assert stage.training and all(block.training for block in stage.maps.extra)


def test_maps_that_predict_by_stride() -> None:
    core = Core(16, (4, 8, 16), VOCABULARY, levels=(Level(8, 8, 4.0), Level(24, 16, 8.0), Level(48, 32, 16.0)))
    read = {source: source_maps(core, SSDConfig(source=source, levels=(8, 16))) for source in ("pyramid", "backbone")}
    channels = {source: [(index, level.channels) for index, level in maps] for source, maps in read.items()}
    assert channels == {"pyramid": [(1, 16), (2, 16)], "backbone": [(0, 8), (1, 24)]}
    with pytest.raises(
        InputError, match=r"stride 32, of which the pyramid has 0 maps, .*\[4, 8, 16\]; .* model\.pyramid"
    ):
        source_maps(core, SSDConfig(levels=(32,)))
    twice = replace(core, levels=(*core.levels, Level(50, 32, 16.0)))
    with pytest.raises(InputError, match=r"the backbone has 2 maps, .* model\.backbone\.options\.levels"):
        source_maps(twice, SSDConfig(source="backbone", levels=(32,)))


def test_hard_negatives_by_hand() -> None:
    """One positive and two negatives for it, those that look most like an object."""
    stage: Any = built("ssd", negatives=2.0).stages["detection"]
    references = torch.tensor([[0.0, 0, 10, 10], [30, 0, 40, 10], [60, 0, 70, 10], [90, 0, 99, 10]])
    logits = torch.tensor([[[1.0, 0, 0], [2.0, 0, 0], [0, 0, 5.0], [0, 3.0, 0]]])
    predictions = Predictions(logits, torch.zeros(1, 4, 4), torch.zeros(1, 4, 0), references, (4,))
    yes = torch.ones(1, dtype=torch.bool)
    regions = Regions(references[:1], torch.tensor([0]), labels=torch.tensor([0]))
    truth = StreamTruth(regions, ~yes, yes, yes, yes[:, None].expand(1, 2))
    images = ImageBatch(torch.zeros(1, 3, 16, 100), ((16, 100),), ((16, 100),))
    losses = stage.loss(predictions, images, truth)
    positive = math.log(math.e + 2) - 1
    hard = math.log(math.exp(2) + 2) + math.log(math.exp(3) + 2)
    assert float(losses["classification"]) == pytest.approx(positive + hard, rel=1e-6)
    assert float(losses["box"]) == 0.0


# YOLO


@pytest.fixture
def grid() -> tuple[YoloDetector, Predictions]:
    """Two levels of strides 8 and 16 over 16 x 32 pixels, each with one prior; two classes."""
    options = YoloConfig(levels=(8, 16), priors=((6.0, 10.0), (24.0, 12.0)))
    stage = YoloDetector(Core(4, (8, 16), VOCABULARY), options)
    maps = FeaturePyramid((torch.zeros(1, 7, 2, 4), torch.zeros(1, 7, 1, 2)), (8, 16))
    references = stage.references(maps, ImageBatch(torch.zeros(1, 3, 16, 32), ((16, 32),), ((16, 32),)))
    return stage, Predictions.read(maps, references, 2, 1)


def test_the_grid_by_hand(grid: tuple[YoloDetector, Predictions]) -> None:
    stage, predictions = grid
    assert predictions.counts == (8, 2)
    assert predictions.references[5].tolist() == [9.0, 7.0, 15.0, 17.0]  # row 1, column 1: center (12, 12)
    assert predictions.references[9].tolist() == [12.0, 2.0, 36.0, 14.0]  # of the second level: center (24, 8)
    predictions.offsets[0, 5] = torch.tensor([math.log(3), 0.0, math.log(2), 0.0])  # sigmoid 3/4, twice as wide
    assert stage.decode(predictions, 0, torch.tensor([5])).tolist() == [pytest.approx([8.0, 7.0, 20.0, 17.0])]


def test_the_cell_of_the_center_and_the_most_similar_prior(grid: tuple[YoloDetector, Predictions]) -> None:
    stage, predictions = grid
    boxes = torch.tensor([[10.0, 1, 16, 9], [1, 2, 25, 14], [28, 10, 32, 16]])
    assert stage.responsible(boxes, predictions).tolist() == [1, 8, 7]


def test_a_perfect_box_has_no_error(grid: tuple[YoloDetector, Predictions]) -> None:
    stage, predictions = grid
    predictions.offsets[0, 5] = torch.tensor([math.log(3), 0.0, math.log(2), 0.0])
    predictions.further[0, :, 0] = -20.0
    predictions.further[0, 5] = 20.0
    yes = torch.ones(1, dtype=torch.bool)
    target = Regions(torch.tensor([[8.0, 7, 20, 17]]), torch.tensor([0]), labels=torch.tensor([1]))
    images = ImageBatch(torch.zeros(1, 3, 16, 32), ((16, 32),), ((16, 32),))
    losses = stage.loss(predictions, images, StreamTruth(target, ~yes, yes, yes, yes[:, None].expand(1, 2)))
    # IoU prefers the first prior for 12 x 10: 60 / 120 against 120 / 288.
    assert float(losses["box"]) == pytest.approx(0.0, abs=1e-9)
    assert float(losses["objectness"]) == pytest.approx(0.0, abs=1e-6)
    assert float(losses["classification"]) == pytest.approx(math.log(2))


def test_softmax_over_the_annotated_classes() -> None:
    logits = torch.tensor([[1.0, 2.0, 50.0]], requires_grad=True)
    loss = covered_softmax(logits, torch.tensor([0]), torch.tensor([True, True, False]))
    assert loss.tolist() == [pytest.approx(math.log(1 + math.e))]
    loss.sum().backward()
    assert logits.grad is not None and float(logits.grad[0, 2]) == 0.0


def scene(*sizes: tuple[float, float]) -> sk.Scene:
    boxes = torch.tensor([[0.0, 0, width, height] for width, height in sizes])
    return sk.Scene((100, 100), VOCABULARY, {OBJECTS: Objects(boxes, torch.zeros(len(boxes), dtype=torch.int64))})


def test_priors_that_do_not_work() -> None:
    spec = registry().get("detector", "yolo")
    large = YoloConfig(levels=(8,), priors=((400.0, 300.0), (500.0, 90.0)))
    with pytest.raises(InputError, match=r"fit no ground-truth box: the best IoU of 400 x 300, 500 x 90 is 0.00.*null"):
        spec.prepare(large, [scene((8, 9), (12, 10))])
    with pytest.raises(InputError, match="2 ground-truth boxes for 3 priors"):
        spec.prepare(YoloConfig(levels=(8,), fitted=3), [scene((8, 9), (12, 10))])
    with pytest.raises(ValueError, match="2 priors for 3 levels; expected as many for each level"):
        YoloConfig(priors=((1.0, 2.0), (3.0, 4.0)))
    with pytest.raises(ValueError, match="widths and heights above 0"):
        YoloConfig(levels=(8,), priors=((1.0, 0.0),))
    with pytest.raises(InputError, match=r"has no priors yet.*set model\.detector_options\.priors"):
        built("yolo", priors=None, fitted=3)
    with pytest.raises(InputError, match=r"levels name stride 128, the pyramid has \[4, 8, 16, 32, 64\]"):
        built("yolo", levels=[8, 16, 128])


def test_priors_that_are_fitted_are_complete() -> None:
    spec = registry().get("detector", "yolo")
    done = spec.prepare(YoloConfig(levels=(8,), fitted=2), [scene((8, 8), (40, 20)), scene((10, 10), (44, 24))])
    assert done.priors == ((9.0, 9.0), (42.0, 22.0))
    assert spec.prepare(done, [scene((8, 8), (40, 20))]) == done


def recipe(**options: Any) -> Recipe:
    """A run of the grid detector whose input is twice as large as the images."""
    model = {"input": {"min_size": 96, "max_size": 128}, "detector": "yolo", "detector_options": options}
    return Recipe.parse({"model": model, "data": {"train": [{"name": "synthetic"}]}})


class Two:
    """Two images as a data set."""

    vocabulary = VOCABULARY

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> sk.Sample:
        return sample(index)


def test_priors_are_fitted_to_boxes_of_the_input_before_the_model_is_built() -> None:
    source = Source(Two(), "tiny", 1.0)
    run = recipe(levels=[8], fitted=2)
    done = prepared(run, [source], lambda scenes, count: scenes)
    assert prepares(run) and done.model.detector_options["priors"] == [[36.0, 36.0], [40.0, 64.0]]
    assert adopted(run, done).model.detector_options == done.model.detector_options, "a resumed run keeps them"
    with pytest.raises(InputError, match="fit no ground-truth box"):
        prepared(recipe(levels=[8], priors=[[900, 900]]), [source], lambda scenes, count: scenes)


def test_a_joint_model_is_drawn() -> None:
    captions = {"lstm": {"features": 16, "width": 16}, "max_tokens": 4}
    model = built("retinanet", ("masks",), {"captions": captions}, score_threshold=0.0, detections=5)
    one = model.predict(sample().image, threshold=0.0)
    assert one.draw(image=sample().image).size[0] > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 5])
def test_external_boxes_are_classified_alike_in_chunks_of_any_size(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(name)
    corner = torch.rand(count, 2) * 30
    boxes = torch.cat((corner, corner + 4 + torch.rand(count, 2) * 30), dim=1)
    labelled = []
    for chunk in (256, 2):
        monkeypatch.setattr("scenekit.detection.one_stage.dense.CHUNK", chunk)
        images, _ = batch(model, [sample()])
        given = Regions(boxes, torch.zeros(count, dtype=torch.int64))
        with torch.no_grad():
            labelled.append(model(images, given={OBJECTS: given}).board[OBJECTS])
    assert len(labelled[0]) == count
    torch.testing.assert_close(labelled[0].class_logits, labelled[1].class_logits)
    assert torch.equal(labelled[0].labels, labelled[1].labels)
