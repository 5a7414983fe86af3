"""The group `scenekit score`: commands of other distributions, and those that cannot be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MODULE = '''
from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output


def lines(path: Annotated[Path, typer.Argument()], as_json: output.JsonOption = False) -> None:
    """The number of lines."""
    scores = {"lines": len(path.read_text().splitlines()), "per_class": {}}
    output.print_json(scores) if as_json else output.print_scores("lines", scores, ())
'''

ENTRIES = """[scenekit.score]
lines = line_score:lines
broken = line_score:nothing
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with two commands, of which one does not exist."""
    info = tmp_path / "line_score-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: line-score\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "line_score.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("line_score", None)


def test_a_distribution_adds_a_command(installed, run, tmp_path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("a\nb\n")
    assert run("score", "lines", path, "--json").json == {"lines": 2, "per_class": {}}
    assert "lines" in run("score", "lines", path).out
    listed = run("score", "--help").out
    assert "The number of lines." in listed and "pycocotools" in listed


def test_a_command_that_cannot_be_imported_breaks_itself_alone(installed, run) -> None:
    result = run("score", "broken")
    assert result.status == 1 and "the command 'broken' of line-score 1.0 cannot be imported" in result.err
    assert "not available" in run("score", "--help").out


def test_unknown_commands_are_refused(run) -> None:
    result = run("score", "cocos")
    assert result.status == 2 and "No such command 'cocos'" in result.err
