"""timm's networks keep the contract; its weights come by name or from files that are checked."""

from pathlib import Path

import pytest
import torch
from torch import nn

from scenekit.backbones.adapter import AdaptedBackbone, SimplePyramid
from scenekit.backbones.timm import build_timm, timm_names
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.model.build import build_backbone
from scenekit.recipe import ModelConfig
from tests.backbones.contract import check_learning, check_levels

timm = pytest.importorskip("timm")

SMALL = {  # with the offsets of their levels: 3x3 convolutions, patches, TensorFlow's padding, pooled shortcuts
    "resnet18": (0.5, 0.5, 0.5, 0.5),
    "test_convnext": (2, 4, 8, 16),
    "tf_mobilenetv3_small_minimal_100": (3.5, 7.5, 15.5, 31.5),
    "test_resnet": (0.5, 1.5, 3.5, 7.5),
    "test_mambaout": (0.5, 0.5, 0.5, 0.5),
    "test_vit": (2, 4, 8, 16),
}


@pytest.mark.parametrize("name", SMALL)
def test_contract(name: str) -> None:
    backbone = registry().get("backbone", f"timm/{name}").build()
    assert tuple(level.offset for level in backbone.levels) == SMALL[name]
    check_levels(backbone)
    check_learning(backbone)


def test_channels_last_networks_give_channels_first() -> None:
    """Swin has windows of 7 cells and keeps channels last; half of the levels do not divide into windows."""
    backbone = build_timm("swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
    assert [level.channels for level in backbone.levels] == [12, 24, 48, 96]
    check_levels(backbone)


def test_plain_transformer_gets_a_simple_pyramid() -> None:
    """Of its maps at stride 16 only the last is made into levels."""
    backbone = build_timm("test_vit").eval()
    assert isinstance(backbone.pyramid, SimplePyramid)
    pixels = torch.rand(1, 3, 64, 96)
    network = timm.create_model("test_vit", dynamic_img_size=True, num_classes=0).eval()
    network.load_state_dict(backbone.body.model.state_dict(), strict=False)
    expected = network.forward_intermediates(pixels, indices=[-1], intermediates_only=True)[0]
    torch.testing.assert_close(backbone(pixels)[2], expected)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("inception_v3", "does not cover an image"),
        ("eva02_tiny_patch14_224", "divisible by patch size"),
        ("resmlp_12_224", "doesn't match model"),
        ("vit_tiny_patch16_224.nonsense", "Invalid pretrained tag"),
    ],
)
def test_networks_that_do_not_fit_say_why(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_timm(name)


def test_names_are_checked() -> None:
    assert {"resnet18", "resnet18.a1_in1k"} <= set(timm_names())
    with pytest.raises(InputError, match="unknown backbone 'timm/resnet81'; did you mean 'resnet18"):
        registry().get("backbone", "timm/resnet81")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"norm": "group"}, "batch, frozen"),
        ({"widht": 3}, "unexpected keyword argument 'widht'"),
        ({"out_indices": (1, 2)}, "leave out"),
        ({"weights": "pretraind"}, "expected 'pretrained' or a file"),
        ({"weights": "none.pth"}, "does not exist"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_timm("test_resnet", **options)


def test_frozen_norm_keeps_its_statistics_and_its_activation() -> None:
    torch.manual_seed(0)
    batch = build_timm("test_resnet").eval()
    for module in batch.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    frozen = build_timm("test_resnet", norm="frozen").train()
    frozen.load_state_dict({k: v for k, v in batch.state_dict().items() if not k.endswith("num_batches_tracked")})
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    pixels = torch.rand(2, 3, 64, 64)
    for found, expected in zip(frozen(pixels), batch(pixels), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("classes", [0, 10, 1000])
def test_file_of_a_classifier_is_loaded(tmp_path: Path, classes: int) -> None:
    classifier = timm.create_model("test_resnet", num_classes=classes)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    backbone = build_timm("test_resnet", weights=tmp_path / "weights.pth")
    state = classifier.state_dict()
    own = backbone.body.state_dict()
    assert own and all(torch.equal(value, state[key]) for key, value in own.items())


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"does not fit timm/test_convnext: .* missing .* unexpected"):
        build_timm("test_convnext", weights=tmp_path / "weights.pth")


def test_pretrained_is_timms_own_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for the tag in the name, and failure says what to do."""
    asked = []

    def offline(model_id: str, *_: object, **__: object) -> None:
        asked.append(model_id)
        raise OSError("no route\nto host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(InputError, match=r"could not be loaded \(no route to host\); pass a file"):
        build_timm("resnet18.fb_swsl_ig1b_ft_in1k", weights="pretrained")
    assert asked == ["timm/resnet18.fb_swsl_ig1b_ft_in1k"]


def test_normalization_that_the_weights_expect_is_checked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = timm.create_model("test_vit").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(state))
    config = {"backbone": {"name": "timm/test_vit", "weights": "pretrained"}, "pyramid": {"channels": 8}}
    backbone = build_backbone(ModelConfig.model_validate(config))
    assert isinstance(backbone, AdaptedBackbone)
    assert "model.input says otherwise" in caplog.text and "mean [0.5, 0.5, 0.5]" in caplog.text
    caplog.clear()
    half = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    build_backbone(ModelConfig.model_validate({**config, "input": half}))
    assert not caplog.text
