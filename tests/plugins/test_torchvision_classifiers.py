"""torchvision's classifiers: the same weights give the same logits, preprocessing included; the elephant is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import get_model

import scenekit as sk
from scenekit.backbones.layouts import LAYOUTS
from scenekit.errors import InputError
from scenekit.keys import CLASSIFICATION
from scenekit.model.build import build
from scenekit.model.preprocess import make_batch
from scenekit.model.scene_model import SceneModel
from scenekit.structures import IMAGE_CLASSES, Vocabulary
from scenekit.weights import convert as convert_named
from scenekit_plugins.torchvision_weights import classifiers, convert, load
from scenekit_plugins.torchvision_weights.classifiers import CLASSIFIERS
from scenekit_plugins.torchvision_weights.likeness import likely_cause, most_alike

CHEAP = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "googlenet")
"""One for each kind of classifier among the small networks: alone, with hidden layers, with dropout, unpadded."""
OTHERS = (
    "mobilenet_v2",
    "convnext_tiny",
    "resnext50_32x4d",
    "mobilenet_v3_large",
    "inception_v3",
    "alexnet",
    "vgg11",
    "vgg11_bn",
)
"""With these, one of each family, and both MobileNets V3."""

SIDE = 96
"""Pixels of the images whose logits are compared; the unpadded networks need that many."""


def reference(name: str, classes: int = 1000) -> nn.Module:
    options: dict[str, Any] = {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):  # as torchvision builds them for its weights
        options |= {"transform_input": True, "aux_logits": True, "init_weights": False}
    torch.manual_seed(0)
    model: nn.Module = get_model(name, weights=None, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


def converted(name: str, network: nn.Module, folder: Path) -> SceneModel:
    torch.save(network.state_dict(), folder / "weights.pth")
    return convert(name, folder / "weights.pth")


def logits(model: SceneModel, pixels: torch.Tensor) -> torch.Tensor:
    head = model.heads["classification"]
    found: list[torch.Tensor] = []
    handle = head.predictor.register_forward_hook(lambda *call: found.append(call[2]))
    sizes = ((int(pixels.shape[2]), int(pixels.shape[3])),) * len(pixels)
    with torch.inference_mode():
        model(sk.ImageBatch(pixels, sizes, sizes, divisor=1))
    handle.remove()
    return torch.cat(found)


@pytest.mark.parametrize("name", [*CHEAP, *(pytest.param(name, marks=pytest.mark.all_backbones) for name in OTHERS)])
def test_logits_are_torchvisions(name: str, tmp_path: Path) -> None:
    network = reference(name)
    model = converted(name, network, tmp_path)
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = network(pixels)
    size = float(expected.abs().max())
    torch.testing.assert_close(logits(model, pixels), expected, rtol=0, atol=1e-5 * max(size, 1))
    assert model.vocabulary.names("image_classes")[:2] == ("tench", "goldfish")


def test_every_backbone_of_torchvision_has_its_classifier() -> None:
    assert set(CLASSIFIERS) == set(LAYOUTS)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_preprocessing_is_that_of_the_published_weights(name: str) -> None:
    """Up to rounding to eight bits, which libraries do differently: one step is 1 / 255 / 0.225."""
    weights = classifiers.published(name).DEFAULT
    options = classifiers.configured(name, weights, {"fc.weight": torch.zeros(1000, 4)}).input
    noise = torch.randint(0, 256, (3, 9, 13), dtype=torch.uint8)
    image = nn.functional.interpolate(noise[None].float(), (331, 479), mode="bicubic").clamp(0, 255)[0].to(torch.uint8)
    expected = weights.transforms()(image)
    batch = make_batch([image], options)
    assert batch.pixels.shape[1:] == expected.shape
    assert float((batch.pixels[0] - expected).abs().max()) <= 1.01 / 255 / 0.224


def test_number_of_classes_and_auxiliary_classifiers(tmp_path: Path) -> None:
    model = converted("resnet18", reference("resnet18", 3), tmp_path)
    assert model.vocabulary.names("image_classes") == ("class 1", "class 2", "class 3")


def test_published_weights_without_a_classifier_are_refused() -> None:
    """torchvision publishes the trunk of VGG-16 as Caffe trained it, for SSD; its classifier holds no values."""
    weights = classifiers.published("vgg16").IMAGENET1K_FEATURES
    digest = weights.url.removesuffix(".pth").rpartition("-")[2].ljust(64, "0")
    assert classifiers.weights_of("vgg16", digest) is weights
    with pytest.raises(InputError, match=r"IMAGENET1K_FEATURES are for other tasks.*model\.backbone\.weights"):
        classifiers.vocabulary(weights, {"classifier.0.weight": torch.zeros(1000, 4)}, "the file")


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    state = reference("resnet18", 3).state_dict()
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: not the weights of .*mobilenet_v2: .* missing") as raised:
        convert("mobilenet_v2", tmp_path / "w.pth")
    assert "another architecture: its parameters are those of resnet18, use torchvision/resnet18" in str(raised.value)
    assert "stages.backbone" not in str(raised.value), "the names of our parameters are not those of the file"
    trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
    torch.save(trunk, tmp_path / "trunk.pth")
    with pytest.raises(InputError, match="they have no classifier"):
        convert("resnet18", tmp_path / "trunk.pth")
    with pytest.raises(InputError, match="does not exist"):
        convert("resnet18", tmp_path / "nothing.pth")
    with pytest.raises(InputError, match=r"unknown network 'resnet19'.*resnet1"):
        convert("resnet19", tmp_path / "w.pth")


def test_the_network_of_a_file_is_told_by_names_and_shapes() -> None:
    """ResNeXt-50 has the names of ResNet-50; old files lack counters, and those without training the auxiliary part."""
    with torch.device("meta"):
        resnext = get_model("resnext50_32x4d", num_classes=3).state_dict()
        googlenet = get_model("googlenet", init_weights=False).state_dict()
    assert most_alike(resnext) == "resnext50_32x4d"
    assert most_alike({n: v for n, v in googlenet.items() if not n.endswith("num_batches_tracked")}) == "googlenet"
    assert most_alike({n: v for n, v in googlenet.items() if not n.startswith("aux")}) == "googlenet"
    assert most_alike({"fc.weight": torch.zeros(2, 3)}) is None
    assert "contradict each other" in likely_cause("resnext50_32x4d", resnext)


def test_classes_of_one_name_stay_apart(tmp_path: Path) -> None:
    """ImageNet's lists have the crane and the maillot twice: torchvision tells them apart, other lists are refused."""
    torch.save(reference("resnet18", 1000).state_dict(), tmp_path / "w.pth")
    source = convert("resnet18", tmp_path / "w.pth")
    names = source.vocabulary.lists[IMAGE_CLASSES]
    classes = ("crane", "maillot tank suit", "my own", "maillot", "crane bird")
    target = sk.build(source.config, Vocabulary(things=(), lists={IMAGE_CLASSES: classes}))
    sk.transfer(source, target)
    weights = [model.heads["classification"].predictor.weight for model in (source, target)]
    for row, name in enumerate(classes):
        assert name == "my own" or torch.equal(weights[1][row], weights[0][names.index(name)])
    doubled = ["crane" if name == "crane bird" else name for name in names]
    with pytest.raises(InputError, match=r"must be unique, got \['crane'\] more than once"):
        convert_named("torchvision/resnet18", tmp_path / "w.pth", doubled)


def test_published_weights_come_through_torchvisions_download(monkeypatch: pytest.MonkeyPatch) -> None:
    network, asked = reference("resnet18"), []
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url",
        lambda url, *_, **__: asked.append(url) or network.state_dict(),
    )
    model = load("resnet18")
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]
    assert torch.equal(model.heads["classification"].predictor.weight, network.fc.weight)


def test_real_weights_name_the_elephant_and_the_cat(samples: Path) -> None:
    """The weights expect values in -1..1; they give 0.80 for the elephant and 0.71 for the cat."""
    path = samples / "weights" / "mobilenet_v2_imagenet_tf2ptq_fp16.pth"
    if not path.is_file():
        pytest.skip(f"no ImageNet weights: {path} does not exist")
    plain = convert("mobilenet_v2", path)
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "min_size": 256}
    config = plain.config.model_copy(update={"input": plain.config.input.model_copy(update=half)})
    model = build(config, plain.vocabulary).eval()
    model.load_state_dict(plain.state_dict())
    seen = {}
    for photo in ("elephant.jpg", "cat_720p.jpg"):
        classes = model.predict(samples / "imagenet_check" / photo)[CLASSIFICATION]
        name = model.vocabulary.names("image_classes")[int(classes.labels[0])]
        seen[photo] = (name, round(float(classes.scores[0]), 1))
    assert seen == {"elephant.jpg": ("Indian elephant", 0.8), "cat_720p.jpg": ("Egyptian cat", 0.7)}
