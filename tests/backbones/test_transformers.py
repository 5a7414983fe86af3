"""transformers' networks keep the contract; what they are stands in the recipe, weights must fit it."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from scenekit.backbones.patches import PatchGrid
from scenekit.backbones.transformers import build_transformers
from scenekit.detection.detr.examples import EXAMPLES
from scenekit.errors import InputError
from scenekit.hooks import registry
from tests.backbones.contract import check_learning, check_levels

transformers = pytest.importorskip("transformers")

TINY: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {  # the configuration, and the offsets of the levels
    "swin": ({"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}, (2, 4, 8, 16)),
    "convnext": ({"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}, (2, 4, 8, 16)),
    "resnet": (
        {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1], "layer_type": "basic"},
        (0.5, 0.5, 0.5, 0.5),
    ),
    "dinov2": (
        {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, "image_size": 64},
        (2, 4, 8, 16),
    ),
}
SWIN = TINY["swin"][0]


@pytest.mark.parametrize("name", TINY)
def test_contract(name: str) -> None:
    config, offsets = TINY[name]
    backbone = registry().get("backbone", f"transformers/{name}").build(config=config)
    assert tuple(level.offset for level in backbone.levels) == offsets
    check_levels(backbone)
    check_learning(backbone)


def test_norm_behind_the_last_stage_does_not_learn() -> None:
    """No map comes out of it; waiting for its gradient would stop processes that train together."""
    backbone = build_transformers("swin", config=SWIN)
    idle = {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert idle == {"body.swin.layernorm.weight", "body.swin.layernorm.bias"}


def test_defaults_of_a_kind_that_only_lists_would_suit() -> None:
    """ConvNeXt's own default configuration holds tuples, which its backbone cannot add to lists."""
    with torch.device("meta"):
        backbone = build_transformers("convnext")
    assert [level.channels for level in backbone.levels] == [96, 192, 384, 768]


def test_folder_named_datasets_disturbs_nothing() -> None:
    """In a checkout that folder looks like a library that transformers would use."""
    assert importlib.util.find_spec("datasets") is not None
    from transformers.utils import is_datasets_available

    is_datasets_available()
    check_levels(build_transformers("swin", config=SWIN))


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        ("swin", {"embed_dimm": 12}, "has no 'embed_dimm'; did you mean 'embed_dim'"),
        ("swin", {"out_indices": [1]}, "has no 'out_indices'"),
        ("swin", {"embed_dim": "wide"}, "cannot be a backbone .*expected int, got str"),
        ("dinov2", {"patch_size": 32, "image_size": 64}, "expected feature maps at strides 4, 8, 16, 32 .*got 32"),
        ("vitpose_backbone", {}, "doesn't match model"),
    ],
)
def test_what_does_not_fit_says_why(name: str, config: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_transformers(name, config=config)


SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56}


@pytest.mark.parametrize("name", ["dinov2", "dinov2_with_registers", "dinov3_vit"])
def test_patches_of_14_pixels_on_images_of_any_size(name: str) -> None:
    """Maps of a plain transformer at strides of 4 to 32, which cover images that are no multiple of a patch."""
    backbone = build_transformers(name, config={**SMALL, "patch_size": 14})
    assert [level.stride for level in backbone.levels] == [4, 8, 16, 32]
    assert [level.offset for level in backbone.levels] == [2, 4, 8, 16]
    check_levels(backbone)
    for features, stride in zip(backbone(torch.rand(1, 3, 80, 97)), (4, 8, 16, 32), strict=True):
        assert features.shape[2] >= 80 // stride and features.shape[3] >= 97 // stride
    check_learning(backbone)


def test_cells_lie_where_their_patches_do() -> None:
    """A map that holds the horizontal position of each patch of 14 pixels holds that of each cell of 16 afterwards."""
    grid = PatchGrid(patch=14, stride=16, unit=14)
    pixels = torch.zeros(1, 3, 64, 128)
    width = grid.padded(pixels).shape[3]
    assert width % 14 == 0 and grid.padded(pixels).shape[2] == 70
    centers = torch.arange(width // 14) * 14.0 + 7
    (features,) = grid.returned([centers.expand(1, 1, 5, -1)], pixels)
    torch.testing.assert_close(features[0, 0, 0], torch.arange(8) * 16.0 + 8)


def test_a_frozen_network_stays_in_evaluation_mode() -> None:
    """Without dropout and without gradients; the pyramid on it learns."""
    config = {**SMALL, "patch_size": 14, "hidden_dropout_prob": 0.5}
    backbone = build_transformers("dinov2", config=config, trainable_stages=0).train()
    image = torch.rand(1, 3, 56, 56)
    assert all(map(torch.equal, backbone(image), backbone(image)))
    assert {name.split(".")[0] for name, value in backbone.named_parameters() if value.requires_grad} == {"pyramid"}
    with pytest.raises(InputError, match=r"whole \(null\) or not at all \(0\), got 2"):
        build_transformers("dinov2", trainable_stages=2)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_encoders_of_detectors(name: str, tmp_path: Path) -> None:
    """Their maps are those that the whole detector reads, from the same weights."""
    config = EXAMPLES[name]["config"]
    detector = transformers.AutoModelForObjectDetection.from_config(transformers.AutoConfig.for_model(name, **config))
    detector.save_pretrained(tmp_path)
    backbone = build_transformers(name, config=config, weights=tmp_path, trainable_stages=0).train()
    pixels = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        output = detector.eval()(pixels)
    maps = backbone(pixels)
    if name == "rf_detr":  # a single map, below a pyramid of its own
        assert [level.stride for level in backbone.levels] == [4, 8, 16, 32]
        assert torch.equal(maps[2], output.backbone_features)
    else:
        assert [level.stride for level in backbone.levels] == [8, 16, 32]
        assert all(map(torch.equal, maps, output.encoder_last_hidden_state))


def test_a_license_that_is_not_permissive_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = {**SMALL, "patch_size": 16, "intermediate_size": 24}
    transformers.AutoModel.from_config(transformers.AutoConfig.for_model("dinov3_vit", **config)).save_pretrained(
        tmp_path
    )
    build_transformers("dinov3_vit", config=config, weights=tmp_path)
    build_transformers("dinov2", config={**SMALL, "patch_size": 16})
    notes = [record.message for record in caplog.records]
    assert len(notes) == 1 and "DINOv3 License (commercial use is allowed" in notes[0]


def test_gated_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("You are trying to access a gated repo.\nMake sure to have access to it at https://...")

    monkeypatch.setattr(transformers.Dinov2Backbone, "from_pretrained", refuse)
    with pytest.raises(InputError, match=r"accept it at https://huggingface.co/owner/name, then .*name the folder"):
        build_transformers("dinov2", config={**SMALL, "patch_size": 16}, weights="owner/name")


def test_unknown_kind_and_norm() -> None:
    with pytest.raises(InputError, match="unknown backbone 'transformers/swim'; did you mean 'swin'"):
        registry().get("backbone", "transformers/swim")
    with pytest.raises(InputError, match="batch, frozen"):
        build_transformers("swin", norm="group")


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Any]:
    """A folder that `save_pretrained` wrote, with an image processor, and the network in it."""
    network = transformers.SwinForImageClassification(transformers.AutoConfig.for_model("swin", **SWIN))
    network.save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessor(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6])
    processor.save_pretrained(tmp_path)
    return tmp_path, network


def test_folder_of_a_classifier_is_loaded(saved: tuple[Path, Any]) -> None:
    folder, network = saved
    backbone = build_transformers("swin", config=SWIN, weights=folder)
    expected = network.swin.state_dict()
    found = {key.removeprefix("body.swin."): value for key, value in backbone.state_dict().items() if ".swin." in key}
    assert found and all(torch.equal(value, expected[key]) for key, value in found.items())
    assert backbone.training
    assert backbone.normalization is not None
    assert (backbone.normalization.mean, backbone.normalization.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_weights_of_another_network_are_refused(saved: tuple[Path, Any]) -> None:
    folder, _ = saved
    with pytest.raises(InputError, match=r"of another shape; set model.backbone.options.config .*'embed_dim': 12"):
        build_transformers("swin", config={**SWIN, "embed_dim": 16}, weights=folder)
    with pytest.raises(InputError, match=r"do not fit transformers/resnet.*they are of transformers/swin"):
        build_transformers("resnet", config=TINY["resnet"][0], weights=folder)


def test_single_file_is_checked(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = build_transformers("resnet", config=TINY["resnet"][0]).body.state_dict()
    torch.save(state, tmp_path / "resnet.pth")
    backbone = build_transformers("resnet", config=TINY["resnet"][0], weights=tmp_path / "resnet.pth", norm="frozen")
    stem = "embedder.embedder.convolution.weight"
    assert torch.equal(backbone.state_dict()[f"body.{stem}"], state[stem])
    with pytest.raises(InputError, match="does not fit transformers/swin"):
        build_transformers("swin", config=SWIN, weights=tmp_path / "resnet.pth")
    with pytest.raises(InputError, match="does not exist"):
        build_transformers("swin", config=SWIN, weights="none.pth")


def test_what_cannot_be_downloaded_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"could not be loaded .*; pass a folder or a file"):
        build_transformers("swin", config=SWIN, weights=tmp_path)
