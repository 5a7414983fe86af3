"""`scenekit check`: exit status, tables and JSON."""

from collections.abc import Callable
from typing import Any

import pytest

import scenekit.hooks
from scenekit.hooks import Failure, Origin, Registry, TaskSpec, hookimpl
from scenekit.hooks.manager import collect
from scenekit.keys import OBJECTS, Key
from scenekit.testing import VOCABULARY, check_task

NOTHING: Key[Any, Any] = Key("tests.cli.nothing", of=OBJECTS)


class Shaky:
    """A plugin whose task cannot be built."""

    @staticmethod
    @hookimpl
    def scenekit_tasks() -> list[TaskSpec]:
        return [TaskSpec("shaky", "for tests", (NOTHING,), lambda core, config: 1 / 0)]


@pytest.fixture
def shaky(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = collect([])
    found.records.update({kind: dict(named) for kind, named in scenekit.hooks.registry().records.items()})
    found.records.update({"task": {}, "detector": {}, "dataset": {}, "backbone": {}})
    found.add(Shaky, Origin("shaky", "acme", "1.2"))
    monkeypatch.setattr(scenekit.hooks, "registry", lambda: found)
    return found


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command hides GPUs from its process; the tests go on with them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_a_task_that_keeps_the_rules(run: Callable) -> None:
    result = run("check", "panoptic", "--json")
    (report,) = result.json["reports"]
    assert (result.status, report["name"], report["findings"]) == (0, "panoptic", []) and result.json["ok"]
    assert "measures" in report["passed"] and report["skipped"]["gradients"] == "it has no parameters"


def test_a_task_that_breaks_one(run: Callable, shaky: Registry) -> None:
    result = run("check", "shaky")
    assert result.status == 1 and "broken" in result.out
    assert "builds" in result.out and "ZeroDivisionError: division by zero (test_check.py:" in result.out
    assert "must return a Head" in result.out, "the remedy"


def test_all_tells_of_plugins_that_failed_and_of_shared_names(run: Callable, shaky: Registry) -> None:
    shaky.failures.append(Failure(Origin("gone", "acme", "1.2"), "ImportError: no module"))
    shaky.records["task"]["twice"] = [(None, Origin(name, "acme", "1.2")) for name in ("one", "other")]
    result = run("check", "--all", "--json")
    findings = {
        report["name"]: report["findings"][0]["reason"] for report in result.json["reports"] if not report["ok"]
    }
    assert result.status == 1 and not result.json["ok"]
    assert findings["gone of acme 1.2"] == "ImportError: no module"
    assert findings["twice"] == "given by one of acme 1.2 and other of acme 1.2"
    assert "shaky" in findings


def test_data_sets_and_backbones_are_checked_by_their_options(run: Callable) -> None:
    result = run(
        "check", "--backbone", "mobilenet_v3_small", "--data", "coco", "--set", "annotations=no.json", "--json"
    )
    data, backbone = result.json["reports"]
    assert result.status == 1 and (data["kind"], data["ok"]) == ("dataset", False)
    assert "no.json" in data["findings"][0]["reason"]
    assert (backbone["kind"], backbone["ok"]) == ("backbone", True) and "state_dict" in backbone["passed"]


def test_options_of_data_sets_need_one(refused: Callable) -> None:
    assert "name it with --data" in refused("check", "panoptic", "--split", "val")
    assert "unknown detector 'rcn'; did you mean 'rcnn'?" in refused("check", "--detector", "rcn")


def test_what_cannot_be_checked(refused: Callable) -> None:
    assert "unknown task 'panoptics'; did you mean 'panoptic'?" in refused("check", "panoptics")
    assert "name what to check (tasks, --detector, --data, --backbone, --tracker)" in refused("check")
    assert "name what to check (tasks, --detector, --data, --backbone, --tracker)" in refused(
        "check", "panoptic", "--all"
    )


def test_unknown_checks_and_options_are_refused() -> None:
    spec = scenekit.hooks.registry().get("task", "panoptic")
    with pytest.raises(scenekit.InputError, match=r"no check 'gradient'; did you mean 'gradients'\?"):
        check_task(spec, only=["gradient"])
    report = check_task(spec, options={"overlaps": 1}, vocabulary=VOCABULARY, only=["draws"])
    assert report.failed == ("builds",) and "did you mean 'overlap'?" in report.findings[0].reason
