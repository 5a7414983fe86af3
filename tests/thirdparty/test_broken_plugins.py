"""A distribution full of mistakes beside a good one, both really installed: mistakes are named, the rest works."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-broken"
version = "1.2"

[project.entry-points.scenekit]
gone = "acme_broken.gone"
leaver = "acme_broken.leaver"
lost = "acme_broken.lost"
number = "acme_broken:NUMBER"
old = "acme_broken.old"
typo = "acme_broken.typo"
raiser = "acme_broken.raiser"
wrong = "acme_broken.wrong"
late = "acme_broken.late"
twin = "acme_broken.twin"

[project.entry-points."scenekit.commands"]
broken = "acme_broken.gone:command"
leaving = "acme_broken.leaver:command"
number = "acme_broken:NUMBER"
"""

TASKS = """
import scenekit as sk
from torch import nn

KEY = sk.Key("acme.{name}", of=sk.OBJECTS, shape=("N",))


class Head(sk.Head):
    def forward(self, board):
        return board.pool(sk.OBJECTS, size=7).mean((1, 2, 3))

    def decode(self, raw, board):
        {decode}


@sk.hookimpl
def {hook}():
    {give}
"""


def tasks(
    name: str, hook: str = "scenekit_tasks", give: str = "", decode: str = "return raw", **options: object
) -> str:
    """A plugin that hands over one task, with one thing done otherwise."""
    more = "".join(f", {option}={value!r}" for option, value in options.items())
    usual = f"yield sk.TaskSpec({name!r}, 'for tests', (KEY,), lambda core, config: Head(){more})"
    return TASKS.format(name=name, hook=hook, give=give or usual, decode=decode)


MODULES = {
    "__init__": "NUMBER = 7",
    "gone": "import acme_there_is_no_such_module",
    "leaver": "raise SystemExit('not here')",
    "lost": "{}['missing']",
    "old": tasks("old", api=99),
    "typo": tasks("typo", hook="scenekit_task"),
    "raiser": tasks("raiser", give="raise ZeroDivisionError('of mine')"),
    "wrong": tasks("wrong", give="return [KEY]"),
    "late": tasks("late", decode="return raw[:, None]"),
    "twin": tasks("distance"),
}

CAUSES = {
    "gone": "ModuleNotFoundError: No module named 'acme_there_is_no_such_module'",
    "leaver": "SystemExit: not here",
    "lost": "KeyError: 'missing'",
    "number": "PluginError: it implements no hook",
    "old": "'old' is written for API 99, this scenekit has 1",
    "typo": "there is no hook 'scenekit_task'; did you mean 'scenekit_tasks'?",
    "raiser": "ZeroDivisionError: of mine",
    "wrong": "scenekit_tasks must return TaskSpec records, got Key",
}

SCRIPT = """
import json, traceback
import torch
import scenekit as sk
from scenekit.backbones import Backbone

def built(*tasks):
    small = {"input": {"min_size": 64, "max_size": 64}, "backbone": {"name": "mobilenet_v3_small"},
             "pyramid": {"channels": 16}, "tasks": {task: {} for task in tasks}}
    return sk.build(sk.ModelConfig.model_validate(small), sk.Vocabulary(("cup",), ("floor",)))

def said(function):
    try:
        function()
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"

image = torch.zeros(3, 64, 64)
print(json.dumps({
    "gone": said(lambda: built("gone")),
    "distance": said(lambda: built("distance")),
    "late": said(lambda: built("late").predict(image, threshold=0.0)),
    "masks": sorted(key.name for key in built("masks").predict(image, threshold=0.0).values),
}))
"""


@pytest.fixture(scope="module")
def site(install: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("acme")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "acme_broken").mkdir()
    for name, text in MODULES.items():
        (source / "acme_broken" / f"{name}.py").write_text(text)
    return install(source, Path(__file__).with_name("scenekit-distance"))


@pytest.fixture(scope="module")
def answered(site: Path, answers: Callable) -> list[tuple[int, str]]:
    """What the program says of plugins and of one that breaks a rule."""
    return answers(site, ["plugins", "--json"], ["check", "late", "--json"])


def test_each_is_listed_with_its_distribution_and_cause(answered: list[tuple[int, str]]) -> None:
    listing = json.loads(answered[0][1])
    found = {entry["plugin"]: entry for entry in listing["failures"]}
    assert set(found) == set(CAUSES)
    for plugin, cause in CAUSES.items():
        assert cause in found[plugin]["cause"]
        assert (found[plugin]["distribution"], found[plugin]["version"]) == ("acme-broken", "1.2")
    origins = {(task["name"], task["plugin"], task["distribution"], task["version"]) for task in listing["tasks"]}
    assert ("late", "late", "acme-broken", "1.2") in origins
    assert ("distance", "twin", "acme-broken", "1.2") in origins
    assert ("distance", "distance", "scenekit-distance", "0.1.0") in origins


def test_what_is_asked_for_is_named_and_the_rest_works(site: Path, python: Callable) -> None:
    done = python(site, "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["gone"].startswith("InputError: unknown task 'gone'")
    assert "plugin gone of acme-broken 1.2 failed: ModuleNotFoundError" in said["gone"]
    assert said["distance"].startswith("PluginError: task 'distance' is provided by ")
    assert "twin of acme-broken 1.2" in said["distance"] and "distance of scenekit-distance 0.1.0" in said["distance"]
    assert said["late"].startswith("WrongShapeError: late put 'acme.late' of shape [")
    assert said["late"].endswith("expected [N] ('late' comes from plugin late of acme-broken 1.2)")
    assert "masks" in said["masks"]


def test_commands_that_cannot_run_are_named_and_the_others_run(site: Path, python: Callable) -> None:
    overview = python(site, "-m", "scenekit", "--help")
    assert overview.returncode == 0 and "predict" in overview.stdout and "not available" in overview.stdout
    causes = {
        "broken": "ModuleNotFoundError",
        "leaving": "SystemExit: not here",
        "number": "TypeError: expected a function",
    }
    for command, cause in causes.items():
        done = python(site, "-m", "scenekit", command)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert f"the command '{command}' of acme-broken 1.2 cannot be imported" in done.stderr and cause in done.stderr


def test_a_check_names_the_plugin(answered: list[tuple[int, str]]) -> None:
    status, out = answered[1]
    (report,) = json.loads(out)["reports"]
    assert status == 1 and [finding["check"] for finding in report["findings"]] == ["shapes"]
    assert "plugin late of acme-broken 1.2" in report["findings"][0]["reason"]
