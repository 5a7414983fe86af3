"""`scenekit plugins` over what is installed and over plugins that fail."""

import json
from importlib.metadata import EntryPoint

import pytest

import scenekit.hooks
from scenekit.cli.main import main
from scenekit.cli.plugins import HEADINGS
from scenekit.hooks import Registry, TaskSpec, hookimpl
from scenekit.hooks.manager import KINDS, collect
from scenekit.keys import MASKS, OBJECTS


class Shapes:
    """A plugin with one task."""

    @staticmethod
    @hookimpl
    def scenekit_tasks() -> list[TaskSpec]:
        return [
            TaskSpec(
                "shapes",
                "outlines",
                provides=(MASKS,),
                requires=(OBJECTS,),
                build=lambda core, config: None,
                prepare=lambda config, scenes: config,
            )
        ]


class Broken:
    """A plugin whose hook does not exist."""

    @staticmethod
    @hookimpl
    def scenekit_task() -> None: ...


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Registry:
    plugins = {"shapes": Shapes, "broken": Broken}

    class Entry(EntryPoint):
        def load(self) -> object:
            if self.name not in plugins:
                raise ImportError("no module\nnamed frobnicate")
            return plugins[self.name]

    registry = collect([Entry(name, name, "scenekit") for name in ("shapes", "broken", "missing")])
    monkeypatch.setattr(scenekit.hooks, "registry", lambda: registry)
    return registry


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as leaving:
        main(["plugins", *arguments])
    assert leaving.value.code == 0
    return capsys.readouterr().out


def test_every_kind_has_a_heading() -> None:
    assert set(HEADINGS) == set(KINDS)


def test_json_lists_tasks_and_failures(found: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    listing = json.loads(run(capsys, "--json"))
    (task,) = listing["tasks"]
    assert (task["name"], task["provides"], task["requires"]) == ("shapes", ["masks"], ["objects"])
    assert task["prepare"] is True and task["stages"] is False
    assert {"plugin", "distribution", "version", "summary"} <= set(task)
    causes = {entry["plugin"]: entry["cause"] for entry in listing["failures"]}
    assert set(causes) == {"broken", "missing"}
    assert "scenekit_tasks" in causes["broken"] and causes["missing"] == "ImportError: no module named frobnicate"
    assert listing["backbones"] == []


def test_tables(found: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys)
    assert "shapes" in text and "outlines" in text and "frobnicate" in text and "backbones" not in text


def test_json_says_where_data_sets_are_from(capsys: pytest.CaptureFixture[str]) -> None:
    datasets = {entry["name"]: entry for entry in json.loads(run(capsys, "--json"))["datasets"]}
    assert datasets["kitti"]["url"].startswith("https://www.cvlibs.net/")
    assert "CC BY-NC-SA 3.0" in datasets["kitti"]["license"]
    assert datasets["image_folder"]["url"] == datasets["image_folder"]["license"] == ""
