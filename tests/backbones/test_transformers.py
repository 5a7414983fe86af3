"""transformers' networks keep the contract; what they are stands in the recipe, weights must fit it."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from scenekit.backbones.transformers import build_transformers
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
        ("dinov2", {}, "does not cover an image"),
        ("vitpose_backbone", {}, "doesn't match model"),
    ],
)
def test_what_does_not_fit_says_why(name: str, config: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_transformers(name, config=config)


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
