"""The built-in backbones come in through the plugin door."""

from importlib.metadata import EntryPoint

from scenekit.backbones import TorchvisionBackbone
from scenekit.backbones.torchvision import LAYOUTS
from scenekit.hooks.manager import collect


def test_every_network_is_registered_and_builds() -> None:
    found = collect([EntryPoint("backbones", "scenekit.backbones.builtin", "scenekit")])
    assert not found.failures
    assert found.names("backbone") == sorted(LAYOUTS)
    backbone = found.get("backbone", "resnet18").build(weights=None, norm="frozen", trainable_stages=3)
    assert isinstance(backbone, TorchvisionBackbone)
    assert backbone.levels[-1].channels == 512
