"""The built-in backbones come in through the plugin door."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint

import pluggy
import pytest

from scenekit.backbones import TorchvisionBackbone
from scenekit.backbones.layouts import LAYOUTS
from scenekit.errors import InputError, PluginError
from scenekit.hooks import BackboneSpec, Origin, Registry, registry
from scenekit.hooks.manager import collect
from scenekit.model.build import build_backbone
from scenekit.recipe import ModelConfig


def test_every_network_is_registered_and_builds() -> None:
    found = collect([EntryPoint("backbones", "scenekit.backbones.builtin", "scenekit")])
    assert not found.failures
    assert found.names("backbone") == sorted([*LAYOUTS, "inception_v2", "timm/", "transformers/"])
    backbone = found.get("backbone", "resnet18").build(weights=None, norm="frozen", trainable_stages=3)
    assert isinstance(backbone, TorchvisionBackbone)
    assert backbone.levels[-1].channels == 512


def test_other_libraries_are_imported_when_one_of_their_networks_is_asked_for() -> None:
    code = (
        "import sys\n"
        "from scenekit.backbones.builtin import scenekit_backbones\n"
        "assert 'timm/' in [spec.name for spec in scenekit_backbones()]\n"
        "assert not {'timm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf'pip install "scenekit\[{library}\]"'):
        registry().get("backbone", f"{library}/resnet18")


def test_members_of_a_library_come_by_name() -> None:
    """Names are those that the record lists; their builder is told which one is meant."""
    built = []
    spec = BackboneSpec(
        "zoo/", "a zoo", lambda name, **options: built.append((name, options)), lambda: ["lion", "tiger"]
    )
    found = Registry(pluggy.PluginManager("scenekit"))
    origin = Origin("animals", "acme", "1")
    found.records["backbone"] = {"zoo/": [(spec, origin)]}
    member = found.get("backbone", "zoo/tiger")
    member.build(width=3)
    assert (member.name, member.names, built) == ("zoo/tiger", None, [("tiger", {"width": 3})])
    assert found.origin("backbone", "zoo/tiger") == origin
    with pytest.raises(InputError, match="unknown backbone 'zoo/tigre'; did you mean 'tiger'"):
        found.get("backbone", "zoo/tigre")
    with pytest.raises(InputError, match="unknown backbone 'park/tiger'"):
        found.get("backbone", "park/tiger")


@pytest.mark.parametrize(("name", "names"), [("zoo", lambda: ["lion"]), ("zoo/", None)])
def test_slash_and_names_belong_together(name: str, names: Callable[[], Sequence[str]] | None) -> None:
    with pytest.raises(PluginError, match="belong together"):
        BackboneSpec(name, "a zoo", lambda name: None, names)


def test_library_itself_is_no_backbone() -> None:
    config = ModelConfig.model_validate({"backbone": {"name": "timm/"}})
    with pytest.raises(InputError, match="behind the slash"):
        build_backbone(config)
