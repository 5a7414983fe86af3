"""A distribution that knows scenekit's public names only, installed as a user would."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("scenekit-distance")


@pytest.fixture(scope="module")
def site(install: Callable[..., Path]) -> Path:
    return install(SOURCE)


def test_it_is_short() -> None:
    assert len((SOURCE / "scenekit_distance.py").read_text().splitlines()) < 60


def test_it_keeps_every_rule(site: Path, python: Callable) -> None:
    done = python(site, "-m", "scenekit", "check", "distance", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)["reports"]
    assert report["name"] == "distance" and report["findings"] == []
    assert {"gradients", "json", "measures", "state_dict", "two_processes"} <= set(report["passed"])
