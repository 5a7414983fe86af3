"""Detectors of transformers detect what transformers itself detects, and stay as they are below other tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.detection.detr.config import DetrConfig
from scenekit.detection.detr.examples import EXAMPLES
from scenekit.detection.detr.stored import prepared
from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.recipe import ModelConfig
from scenekit.weights import convert, load_model, save_model
from tests import tiny

transformers = pytest.importorskip("transformers")

SIZE = (64, 96)
LABELS = {0: "person", 1: "N/A", 2: "cup", 3: "N/A"}
IMAGE_SIZE = (75, 110)


@pytest.fixture(scope="module", params=sorted(EXAMPLES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each kind of detector, with weights at random and an image processor."""
    return stored(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module", params=["rf_detr", "d_fine"])
def one_of_two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a detector with patches, and of one without."""
    return stored(request.param, tmp_path_factory.mktemp(request.param))


def stored(name: str, path: Path) -> Path:
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(name, **EXAMPLES[name]["config"], id2label=LABELS)
    network = transformers.AutoModelForObjectDetection.from_config(config)
    for parameter in network.parameters():  # zeros would let every query predict the same
        parameter.data += 0.05 * torch.randn_like(parameter)
    for name_of, parameter in network.named_parameters():
        if "class_embed" in name_of and name_of.endswith("bias"):  # scores are all near 0.01 otherwise
            parameter.data.fill_(0.0)
    kind = transformers.RfDetrImageProcessor if name == "rf_detr" else transformers.RTDetrImageProcessor
    network.save_pretrained(path)
    kind(size={"height": SIZE[0], "width": SIZE[1]}).save_pretrained(path)
    return path


def image(number: int = 0, size: tuple[int, int] = IMAGE_SIZE) -> Tensor:
    small = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(number))
    return (255 * torch.nn.functional.interpolate(small, size, mode="bilinear")[0]).to(torch.uint8)


def expected(folder: Path, pixels: Tensor) -> tuple[Tensor, Tensor, list[str]]:
    """Boxes, scores and names by transformers' own pipeline, without the classes that are placeholders."""
    network = transformers.AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        output = network(**processor(images=pixels, return_tensors="pt"))
    output.logits[..., 1::2] = -torch.inf  # what is no class takes no place among the best
    size = tuple(pixels.shape[1:])
    found = processor.post_process_object_detection(output, threshold=0.05, target_sizes=[size])[0]
    limits = torch.tensor([size[1], size[0], size[1], size[0]])
    return found["boxes"].clamp(min=0).minimum(limits), found["scores"], [LABELS[i] for i in found["labels"].tolist()]


def check_equal(scene: sk.Scene, folder: Path, pixels: Tensor) -> None:
    boxes, scores, names = expected(folder, pixels)
    assert len(scores) > 5 and len(scores.unique()) > 5
    torch.testing.assert_close(scene.objects.scores, scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scene.objects.boxes, boxes, atol=2e-2, rtol=1e-4)
    assert list(scene.names()) == names


def beside(folder: Path, name: str, **options: Any) -> ModelConfig:
    """A detector beside a trunk of another kind, on images of the size that it needs."""
    values = tiny.config(tasks=("masks",)).model_dump()
    values |= {"detector": f"transformers/{name}", "detector_options": {"weights": str(folder), **options}}
    values["input"] |= {"fixed_size": SIZE, "resampling": "plain" if name == "rf_detr" else "antialiased"}
    return ModelConfig.model_validate(values)


def completed(config: ModelConfig) -> ModelConfig:
    """As at the beginning of a run."""
    assert config.detector is not None
    options = DetrConfig.model_validate(config.detector_options)
    made = prepared(config.detector.removeprefix("transformers/"), options, ())
    return config.model_copy(update={"detector_options": made.model_dump(exclude_unset=True)})


def kind_of(folder: Path) -> str:
    return str(transformers.AutoConfig.from_pretrained(folder).model_type)


def test_it_detects_what_transformers_detects(folder: Path) -> None:
    """With its own encoder as the trunk, and padded in a batch beside a larger image."""
    model = sk.load(f"transformers/{folder}")
    assert model.vocabulary.things == ("person", "cup")
    assert set(model.stages) == {"backbone", "detr", "detection"}
    pixels = [image(0), image(1, (120, 90))]
    for one, scene in zip(pixels, model.predict(pixels, threshold=0.0, batch_size=2), strict=True):
        check_equal(scene, folder, one)


def test_it_detects_the_same_beside_another_trunk(folder: Path) -> None:
    model = build(completed(beside(folder, kind_of(folder))), tiny.VOCABULARY).eval()
    check_equal(model.predict(image(), tasks=["masks"], threshold=0.0), folder, image())


def test_a_saved_model_needs_neither_network_nor_folder(
    one_of_two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, model in enumerate(
        (
            sk.load(f"transformers/{one_of_two}"),
            build(completed(beside(one_of_two, kind_of(one_of_two))), tiny.VOCABULARY).eval(),
        )
    ):
        save_model(model, tmp_path / f"{number}.safetensors")
        with monkeypatch.context() as patch:
            for kind in (transformers.AutoConfig, transformers.AutoImageProcessor):
                patch.setattr(kind, "from_pretrained", None)
            again = load_model(tmp_path / f"{number}.safetensors")
        before, after = (one.predict(image(), threshold=0.0).objects for one in (model, again))
        assert torch.equal(before.boxes, after.boxes) and torch.equal(before.labels, after.labels)


def test_tasks_learn_on_it_while_it_stays(one_of_two: Path) -> None:
    """On maps of its own encoder through a pyramid, which learns; neither encoder nor decoder changes."""
    model = sk.load(f"transformers/{one_of_two}")
    config = model.config.model_dump()
    config |= {"pyramid": {"channels": 16}, "tasks": {"masks": dict(tiny.TASKS["masks"])}}
    task = build(ModelConfig.model_validate(config), tiny.VOCABULARY).train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    optimizer = torch.optim.SGD([value for value in task.parameters() if value.requires_grad], lr=0.1)
    losses = task(*tiny.batch(task, [tiny.sample(0, SIZE), tiny.sample(1, SIZE)])).losses
    assert set(losses) == {"masks.mask"}
    torch.stack([*losses.values()]).sum().backward()
    optimizer.step()
    after = task.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any("fpn" in name for name in changed) and any(name.startswith("heads.masks") for name in changed)
    assert not [name for name in changed if ".body." in name]


@pytest.fixture(scope="module")
def rt_detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored("rt_detr_v2", tmp_path_factory.mktemp("one"))


def test_an_image_of_another_size_is_resized_for_the_detector(rt_detr: Path) -> None:
    """The same image at another size of the input gives nearly the same boxes."""
    config = beside(rt_detr, "rt_detr_v2")
    larger = config.model_copy(update={"input": config.input.model_copy(update={"fixed_size": (128, 192)})})
    scenes = [build(completed(one), tiny.VOCABULARY).eval().predict(image(), threshold=0.0) for one in (config, larger)]
    torch.testing.assert_close(scenes[0].objects.scores, scenes[1].objects.scores, atol=2e-2, rtol=0)


def test_external_regions_get_the_class_of_the_query_there(rt_detr: Path) -> None:
    model = sk.load(f"transformers/{rt_detr}")
    scene = model.predict(image(), threshold=0.0)
    best = scene.objects.boxes[:1]
    given = model.predict(image(), given={sk.OBJECTS: best})
    torch.testing.assert_close(given.objects.boxes, best)
    assert given.objects.labels.tolist() == scene.objects.labels[:1].tolist()


def test_options_that_are_set_stay(rt_detr: Path) -> None:
    made = prepared("rt_detr_v2", DetrConfig(weights=str(rt_detr), labels=("a", "b", "c", "d")), ())
    assert made.labels == ("a", "b", "c", "d") and made.size == SIZE and made.mean == (0.0, 0.0, 0.0)
    assert made.config is not None and made.config["num_queries"] == 10


def test_random_weights_know_the_classes_of_the_vocabulary() -> None:
    values = {"detector": "transformers/d_fine", "detector_options": EXAMPLES["d_fine"]}
    model = build(tiny.config(()).model_copy(update=values), tiny.VOCABULARY)
    assert model.stages["detr"].body.config.num_labels == 2
    assert not [name for name, value in model.stages["detr"].named_parameters() if value.requires_grad]


def model_on_encoder(**changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "input": {"fixed_size": [64, 96]},
        "backbone": {
            "name": "transformers/d_fine",
            "options": {"config": EXAMPLES["d_fine"]["config"], "trainable_stages": 0},
        },
        "pyramid": {"channels": 16},
        "detector": "transformers/d_fine",
        "detector_options": {"config": EXAMPLES["d_fine"]["config"], "source": "backbone"},
        "tasks": {"masks": dict(tiny.TASKS["masks"])},
    }
    return ModelConfig.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"input": {"min_size": 64}}, r"multiples of 32 pixels, got .*None; set it to \[640, 640\], or source: images"),
        ({"input": {"fixed_size": [64, 90]}}, "multiples of 32 pixels"),
        ({"backbone": {"name": "mobilenet_v3_small"}}, "reads 32 channels at stride 8, which the backbone does not"),
        ({"detector_options": {"weights": "runs/none"}}, r'sk.load\("transformers/runs/none"\), or set'),
        ({"detector_options": {**EXAMPLES["d_fine"], "labels": ["dog"]}}, "knows none of the classes cup, person"),
        ({"detector_options": {"config": {"num_querys": 3}}}, "has no 'num_querys'; did you mean 'num_queries'"),
    ],
)
def test_what_does_not_fit_is_said_when_the_model_is_built(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build(model_on_encoder(**changes), tiny.VOCABULARY)


def test_an_encoder_that_would_be_trained_alone_is_refused() -> None:
    backbone = {"name": "transformers/d_fine", "options": {"config": EXAMPLES["d_fine"]["config"]}}
    model = build(model_on_encoder(backbone=backbone), tiny.VOCABULARY).train()
    with pytest.raises(InputError, match="trainable_stages: 0"):
        model(*tiny.batch(model, [tiny.sample(0, SIZE)]))


def test_classes_of_a_converted_detector_get_other_names(rt_detr: Path) -> None:
    """Names that the detector has for other classes are no exception."""
    model, renamed = (
        convert("transformers", rt_detr / "model.safetensors", labels) for labels in (None, ["cup", "dog"])
    )
    assert (model.vocabulary.things, renamed.vocabulary.things) == (("person", "cup"), ("cup", "dog"))
    first, second = (each.predict(image(), threshold=0.05).objects for each in (model, renamed))
    assert len(first) and torch.equal(first.labels, second.labels) and torch.equal(first.scores, second.scores)


def test_weights_of_something_else(rt_detr: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"are of transformers/rt_detr_v2; set model\.detector: transformers/rt_detr_v2"
    ):
        prepared("d_fine", DetrConfig(weights=str(rt_detr)), ())
    options = completed(beside(rt_detr, "rt_detr_v2", labels=["person", "cup"]))
    with pytest.raises(InputError, match="they have 4 classes, `labels` must name all of them, not 2"):
        build(options, tiny.VOCABULARY)
    transformers.AutoConfig.for_model("swin").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="are of transformers/swin; detectors are d_fine, deimv2"):
        sk.load(f"transformers/{tmp_path}")
    with pytest.raises(InputError, match=r"could not be loaded .*; pass a folder or a file"):
        sk.load(f"transformers/{tmp_path}/none")


def test_transformers_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'need its package .*; pip install "scenekit\[transformers\]"'):
        build(model_on_encoder(backbone={"name": "mobilenet_v3_small"}), tiny.VOCABULARY)
    with pytest.raises(InputError, match=r"^networks of transformers need its package"):
        sk.load("transformers/anything")
