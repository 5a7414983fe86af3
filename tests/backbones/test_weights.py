"""Pretrained weights: by torchvision's names, from files, and files that do not fit."""

from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import MobileNet_V2_Weights, get_model
from torchvision.transforms._presets import ImageClassification

from scenekit.backbones import build_backbone
from scenekit.errors import InputError
from scenekit.io.images import read_image


@pytest.fixture
def state() -> dict[str, Tensor]:
    return get_model("resnet18", weights=None).state_dict()


def test_real_file_gives_the_features_of_the_network_it_belongs_to(samples: Path) -> None:
    path = samples / "weights" / "mobilenet_v2_imagenet_tf2ptq_fp16.pth"
    backbone = build_backbone("mobilenet_v2", weights=path).eval()
    reference = get_model("mobilenet_v2", weights=None).eval()
    reference.load_state_dict(torch.load(path, weights_only=True))
    features = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        found = backbone(features)
        expected = []
        for index, block in enumerate(reference.features):
            features = block(features)
            expected += [features] if index in (3, 6, 13, 18) else []
    torch.testing.assert_close(found, tuple(expected))


@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_real_weights_see_the_elephant(samples: Path, norm: str) -> None:
    """Our backbone, with torchvision's classifier on its last level, names what is on the photo.

    The folder's README asks for values in -1..1 and gives 0.80 for the elephant and 0.71 for the cat.
    """
    path = samples / "weights" / "mobilenet_v2_imagenet_tf2ptq_fp16.pth"
    backbone = build_backbone("mobilenet_v2", weights=path, norm=norm).eval()
    classifier = get_model("mobilenet_v2", weights=None).eval()
    classifier.load_state_dict(torch.load(path, weights_only=True))
    names = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    prepare = ImageClassification(crop_size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    seen = {}
    for photo in ("elephant.jpg", "cat_720p.jpg"):
        pixels = prepare(read_image(samples / "imagenet_check" / photo))
        with torch.inference_mode():
            features = backbone(pixels[None])[-1]
            score, label = classifier.classifier(features.mean(dim=(2, 3))).softmax(dim=1)[0].max(dim=0)
        seen[photo] = (names[label], round(float(score), 1))
    assert seen == {"elephant.jpg": ("Indian elephant", 0.8), "cat_720p.jpg": ("Egyptian cat", 0.7)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_file_of_either_format_is_loaded(tmp_path: Path, state: dict[str, Tensor], suffix: str, norm: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path) if suffix == ".pth" else safetensors.torch.save_file(state, path)
    backbone = build_backbone("resnet18", weights=str(path), norm=norm)
    loaded = backbone.state_dict()
    assert all(torch.equal(value, state[key.removeprefix("body.")]) for key, value in loaded.items())


@pytest.mark.parametrize("classes", [None, 10])
def test_classifier_may_be_absent_or_differ(tmp_path: Path, state: dict[str, Tensor], classes: int | None) -> None:
    trunk = {key: value for key, value in state.items() if not key.startswith("fc.")}
    head = {} if classes is None else {"fc.weight": torch.zeros(classes, 512), "fc.bias": torch.zeros(classes)}
    torch.save(trunk | head, tmp_path / "w.pth")
    backbone = build_backbone("resnet18", weights=tmp_path / "w.pth")
    assert torch.equal(backbone.state_dict()["body.conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1"])
def test_named_weights_come_through_torchvisions_loader(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], weights: str
) -> None:
    asked = []
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda url, *_, **__: asked.append(url) or state
    )
    backbone = build_backbone("resnet18", weights=weights)
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]
    assert torch.equal(backbone.state_dict()["body.conv1.weight"], state["conv1.weight"])


def test_named_weights_without_a_network_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=r"no route to host.*pass a file"):
        build_backbone("resnet18", weights="DEFAULT")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.999])
def test_cut_off_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path, state = tmp_path / f"weights{suffix}", get_model("mobilenet_v3_small", weights=None).state_dict()
    torch.save(state, path) if suffix == ".pth" else safetensors.torch.save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(InputError, match="cut off or not a weights file"):
        build_backbone("mobilenet_v3_small", weights=path)


def test_file_of_another_network_is_refused_with_some_of_the_keys(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"missing \(layer1.0.*unexpected.*of another shape \(layer2"):
        changed = {key: value for key, value in state.items() if not key.startswith("layer1.0")}
        changed |= {"layer9.weight": torch.zeros(1), "layer2.0.conv1.weight": torch.zeros(1)}
        torch.save(changed, tmp_path / "changed.pth")
        build_backbone("resnet18", weights=tmp_path / "changed.pth")
    with pytest.raises(InputError, match=r"does not fit mobilenet_v2: .* missing \(features.0.* unexpected \(bn1"):
        build_backbone("mobilenet_v2", weights=tmp_path / "resnet18.pth")


def test_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": [1, 2]}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match="expected a state dict"):
        build_backbone("resnet18", weights=tmp_path / "checkpoint.pth")


def test_pickle_with_code_is_not_executed(tmp_path: Path) -> None:
    torch.save({"net": get_model("mobilenet_v3_small", weights=None)}, tmp_path / "module.pth")
    with pytest.raises(InputError, match=r"'net' \(an object of a class\); save the weights alone"):
        build_backbone("mobilenet_v3_small", weights=tmp_path / "module.pth")


@pytest.mark.parametrize(
    ("weights", "told"),
    [("IMAGENET1K_V7", "did you mean 'IMAGENET1K_V1'"), ("nowhere/weights.pth", "does not exist"), (".", "does not")],
)
def test_unknown_weights_are_refused(weights: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_backbone("resnet18", weights=weights)
