"""Plugins that misbehave harm themselves and nobody else."""

from __future__ import annotations

import copy
import dataclasses
import logging
import sys
from asyncio import CancelledError
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import nn

from scenekit.errors import BoardError, InputError, PluginError, WrongShapeError
from scenekit.hooks import (
    BackboneSpec,
    BalancerSpec,
    DatasetSpec,
    DetectorSpec,
    LabelerSpec,
    ModalitySpec,
    Origin,
    Registry,
    RuntimeSpec,
    TaskSpec,
    TrackerSpec,
    WeightSource,
    hookimpl,
    manager,
    naming_plugin,
)
from scenekit.hooks.manager import KINDS, collect
from scenekit.keys import OBJECTS, Key

DISTANCE = Key("tests.hooks.distance", of=OBJECTS)
RECORDS: dict[str, Any] = {
    "task": TaskSpec("distance", "metres", (DISTANCE,), lambda core, config: nn.Identity()),
    "backbone": BackboneSpec("acme_net", "a network", nn.Identity),
    "detector": DetectorSpec("centers", "one stage", lambda core, config: []),
    "dataset": DatasetSpec("warehouse", "pallets", list),
    "labeler": LabelerSpec("metres", "derived", (), (DISTANCE,), dict),
    "modality": ModalitySpec("heat", "degrees", print),
    "balancer": BalancerSpec("even", "all alike", dict),
    "weights": WeightSource("acme", "a zoo", str),
    "tracker": TrackerSpec("tags", "numbers", lambda config: print),  # type: ignore[arg-type, return-value]
    "runtime": RuntimeSpec("acme", "an accelerator", ".acme", print, str),
}

Install = Callable[..., EntryPoint]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a module with the given hook implementations (functions by hook) and give its entry point."""

    def make(name: str, dist: str = "acme", **hooks: Callable[..., Any]) -> EntryPoint:
        module = ModuleType(f"tests_fake_{dist}_{name}")
        for hook, function in hooks.items():
            function.__name__ = hook
            setattr(module, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return entry(name, module.__name__, dist)

    return make


def entry(name: str, module: str, dist: str = "acme") -> EntryPoint:
    """An entry point of version 1.2 of a distribution."""
    return EntryPoint(name, module, "scenekit")._for(SimpleNamespace(name=dist, version="1.2"))  # type: ignore[attr-defined, no-any-return]


def good() -> Any:
    """A task that is as it should be."""
    yield RECORDS["task"]


def only_failure(found: Registry) -> str:
    (failure,) = found.failures
    return f"{failure.origin}: {failure.cause}"


def test_every_kind_of_record_is_collected(install: Install) -> None:
    hooks = {hook: (lambda record: lambda: [record])(RECORDS[kind]) for kind, (hook, _) in KINDS.items()}
    found = collect([install("all", **hooks)])
    assert not found.failures
    for kind, record in RECORDS.items():
        name = record.prefix if kind == "weights" else record.name
        assert found.names(kind) == [name] and found.get(kind, name) is record
        assert str(found.origin(kind, name)) == "all of acme 1.2"
    assert found.tasks == {"distance": RECORDS["task"]}


def test_a_plugin_that_fails_to_import_is_isolated_and_named(install: Install) -> None:
    broken = entry("broken", "tests_there_is_no_such_module")
    found = collect([broken, install("fine", scenekit_tasks=good)])
    assert "broken of acme 1.2: ModuleNotFoundError: No module named" in only_failure(found)
    assert found.get("task", "distance") is RECORDS["task"]
    with pytest.raises(InputError) as caught:
        found.get("task", "distances")
    message = str(caught.value)
    assert "unknown task 'distances'; did you mean 'distance'?" in message
    assert "plugin broken of acme 1.2 failed: ModuleNotFoundError" in message and "\n" not in message


def test_a_plugin_that_leaves_the_program_does_not_take_it_along(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests_fake_leaver.py").write_text("raise SystemExit('first line\\nsecond line')")
    monkeypatch.syspath_prepend(tmp_path)
    assert only_failure(collect([entry("leaver", "tests_fake_leaver")])).endswith("SystemExit: first line second line")


ERRORS = [ZeroDivisionError("of mine"), KeyError("of mine"), SystemExit("of mine"), CancelledError("of mine")]


class MuteError(BaseException):
    """An error that fails to say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def test_an_error_that_fails_to_say_what_it_is(install: Install) -> None:
    def explode() -> Any:
        raise MuteError

    assert only_failure(collect([install("bad", scenekit_tasks=explode)])) == "bad of acme 1.2: MuteError"


def test_the_user_interrupts_plugins(install: Install) -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect([install("slow", scenekit_tasks=interrupt)])


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_that_raises_in_a_hook_is_isolated(install: Install, kind: str, error: BaseException) -> None:
    hook, _ = KINDS[kind]

    def explode() -> Any:
        yield RECORDS[kind]
        raise error

    found = collect([install("bad", **{hook: explode}), install("fine", dist="zed", scenekit_tasks=good)])
    assert only_failure(found) == f"bad of acme 1.2: {type(error).__name__}: {error}"
    assert found.names("task") == ["distance"]
    assert kind == "task" or found.names(kind) == []


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_must_give_records_of_their_kind(install: Install, kind: str) -> None:
    hook, record_type = KINDS[kind]
    wrong = RECORDS["task"] if kind != "task" else RECORDS["dataset"]
    found = collect([install("bad", **{hook: lambda: [wrong]})])
    assert (
        f"PluginError: {hook} must return {record_type.__name__} records, got {type(wrong).__name__}"
        in only_failure(found)
    )
    found = collect([install("worse", **{hook: lambda: 7})])
    assert f"{hook} must return an iterable of {record_type.__name__}, got int" in only_failure(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "a.b", 7, None])
def test_names_of_records_are_texts(install: Install, kind: str, name: Any) -> None:
    hook, _ = KINDS[kind]
    record = copy.copy(RECORDS[kind])
    object.__setattr__(record, "prefix" if kind == "weights" else "name", name)
    failure = only_failure(collect([install("bad", **{hook: lambda: [record]})]))
    assert f"{hook} must return records whose name is a text without dots, got {name!r}" in failure


@pytest.mark.parametrize("kind", KINDS)
def test_what_builds_is_a_function(install: Install, kind: str) -> None:
    hook, _ = KINDS[kind]
    record, made_by = (
        copy.copy(RECORDS[kind]),
        {"weights": "load", "runtime": "open", "modality": "read"}.get(kind, "build"),
    )
    object.__setattr__(record, made_by, 7)
    failure = only_failure(collect([install("bad", **{hook: lambda: [record]})]))
    assert f"bad of acme 1.2: PluginError: `{made_by}` of " in failure and "must be a function, got int" in failure


@pytest.mark.parametrize("part", ["stages", "configure", "prepare", "relabel"])
def test_what_else_a_task_brings_is_a_function_too(install: Install, part: str) -> None:
    record = copy.copy(RECORDS["task"])
    object.__setattr__(record, part, 7)
    failure = only_failure(collect([install("bad", scenekit_tasks=lambda: [record])]))
    assert f"`{part}` of {record.name!r} must be a function, got int" in failure


def test_whose_record_it_is_that_options_have_changed(install: Install) -> None:
    record = dataclasses.replace(RECORDS["task"], configure=lambda spec, config: spec)
    found = collect([install("good", scenekit_tasks=lambda: [record])])
    changed = dataclasses.replace(record, max_regions=3)
    assert found.owner(changed) is found.owner(record) is not None
    assert found.owner(dataclasses.replace(record, configure=None)) is None


@pytest.mark.parametrize("kind", ["task", "detector"])
@pytest.mark.parametrize("config", [dict, {"hidden": 7}])
def test_configurations_are_classes_of_their_own_kind(install: Install, kind: str, config: Any) -> None:
    hook, _ = KINDS[kind]
    record = copy.copy(RECORDS[kind])
    object.__setattr__(record, "config", config)
    failure = only_failure(collect([install("bad", **{hook: lambda: [record]})]))
    assert "must be a class derived from scenekit.Config" in failure


def test_an_error_inside_says_whose_task_it_is(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collect([install("fine", scenekit_tasks=good)])
    monkeypatch.setattr(manager, "registry", lambda: found)
    whose = r"too few \('distance' comes from plugin fine of acme 1.2\)"
    with pytest.raises(WrongShapeError, match=whose), naming_plugin(RECORDS["task"]):
        raise WrongShapeError("too few")
    with pytest.raises(ZeroDivisionError) as caught, naming_plugin(RECORDS["task"]):
        raise ZeroDivisionError("of mine")
    assert caught.value.__notes__ == ["'distance' comes from plugin fine of acme 1.2"]
    for end in (SystemExit(0), MuteError()):
        with (
            pytest.raises(PluginError, match=r"must not end the program: .*plugin fine"),
            naming_plugin(RECORDS["task"]),
        ):
            raise end
    with pytest.raises(BoardError, match=r"^too few$"), naming_plugin(RECORDS["dataset"]):
        raise BoardError("too few")


def test_a_plugin_for_another_api_is_refused(install: Install) -> None:
    old = TaskSpec("distance", "metres", (DISTANCE,), nn.Identity, api=99)
    found = collect([install("old", scenekit_tasks=lambda: [old])])
    assert "'distance' is written for API 99, this scenekit has 1; update one" in only_failure(found)


def test_a_misspelt_hook_is_named(install: Install) -> None:
    found = collect([install("typo", scenekit_task=good)])
    assert "there is no hook 'scenekit_task'; did you mean 'scenekit_tasks'?" in only_failure(found)


def test_a_hook_without_its_mark_is_named() -> None:
    class Plugin:
        scenekit_tasks = staticmethod(lambda: [RECORDS["task"]])

    found = collect([])
    found.add(Plugin, Origin("plain", "acme", "1.2"))
    assert "scenekit_tasks is not marked as a hook; decorate it with @sk.hookimpl" in only_failure(found)


@pytest.mark.parametrize("plugin", [7, None, object()])
def test_what_holds_no_hook_is_no_plugin(plugin: object) -> None:
    found = collect([])
    found.add(plugin, Origin("empty", "acme", "1.2"))
    assert only_failure(found).startswith("empty of acme 1.2: ") and not found.records


def test_a_hook_with_unknown_arguments_is_refused(install: Install) -> None:
    found = collect([install("greedy", scenekit_step_done=lambda step, model: None)])
    assert "scenekit_step_done" in only_failure(found) and "model" in only_failure(found)


@pytest.mark.parametrize("plugins", [("one", "other"), ("same", "same")])
def test_two_plugins_with_one_task_name_are_both_named(install: Install, plugins: tuple[str, str]) -> None:
    first, second = (
        install(name, dist, scenekit_tasks=good) for name, dist in zip(plugins, ("acme", "zed"), strict=True)
    )
    found = collect([first, second])
    assert not found.failures and found.names("task") == ["distance"] and found.tasks == {}
    with pytest.raises(PluginError) as caught:
        found.get("task", "distance")
    one, other = plugins
    assert str(caught.value) == (
        f"task 'distance' is provided by {one} of acme 1.2 and {other} of zed 1.2; uninstall one of them"
    )


def test_what_is_asked_for_and_not_there() -> None:
    with pytest.raises(InputError, match="unknown dataset 'coco'; nothing is registered"):
        collect([]).get("dataset", "coco")


def test_a_name_nothing_like_the_known_ones(install: Install) -> None:
    found = collect([install("fine", scenekit_tasks=good)])
    with pytest.raises(InputError, match="unknown task 'qqq'; known: distance"):
        found.get("task", "qqq")


def test_observers_are_isolated_and_get_what_they_ask_for(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    def explode(step: int) -> None:
        raise ZeroDivisionError

    def leave(step: int) -> None:
        raise MuteError

    found = collect(
        [
            install("first", scenekit_step_done=lambda record: seen.append(record)),
            install("bad", scenekit_step_done=explode),
            install("leaver", scenekit_step_done=leave),
            install("last", scenekit_step_done=lambda step, record: seen.append(step)),
        ]
    )
    with caplog.at_level(logging.ERROR):
        found.notify("scenekit_step_done", step=3, record={"loss": 1.0})
    assert sorted(map(str, seen)) == ["3", "{'loss': 1.0}"]
    assert "plugin bad of acme 1.2 failed in scenekit_step_done; the run continues" in caplog.text
    assert "plugin leaver of acme 1.2 failed in scenekit_step_done" in caplog.text


@pytest.mark.parametrize(
    ("hook", "values"),
    [
        ("scenekit_run_started", {"recipe": None, "folder": "runs/one"}),
        ("scenekit_step_done", {"step": 1, "record": {}}),
        ("scenekit_evaluated", {"step": None, "results": {}}),
        ("scenekit_run_ended", {"step": 1, "reason": "finished"}),
    ],
)
def test_every_observer_hook_is_told(install: Install, hook: str, values: dict[str, Any]) -> None:
    told: list[str] = []

    def implementation() -> None:
        told.append(hook)

    collect([install("watcher", **{hook: implementation})]).notify(hook, **values)
    assert told == [hook]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"provides": DISTANCE}, "provides of task 'distance' must be a tuple of keys"),
        ({"provides": ()}, "task 'distance' provides nothing"),
        ({"provides": (DISTANCE, DISTANCE)}, "task 'distance' provides a key more than once"),
        ({"requires": ("objects",)}, "requires of task 'distance' must be a tuple of keys"),
    ],
)
def test_keys_of_a_task_are_tuples_of_keys(install: Install, values: dict[str, Any], message: str) -> None:
    def faulty() -> Any:
        spec = {"name": "distance", "summary": "", "provides": (DISTANCE,), "build": nn.Identity, **values}
        yield made_without_type_checks(spec)

    assert message in only_failure(collect([install("bad", scenekit_tasks=faulty)]))


def made_without_type_checks(values: dict[str, Any]) -> TaskSpec:
    """As it is outside of the tests, where no type checker runs on every call."""
    spec = TaskSpec("distance", "", (DISTANCE,), nn.Identity)
    for name, value in values.items():
        object.__setattr__(spec, name, value)
    spec.__post_init__()
    return spec
