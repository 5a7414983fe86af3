"""The page on numbers shows every file of results, and names a command that exists for each."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def numbers(repository: Path) -> ModuleType:
    """The module that makes the page."""
    sys.path.insert(0, str(repository / "docs" / "_ext"))
    try:
        from scenekit_docs import numbers
    finally:
        sys.path.pop(0)
    return numbers


def test_every_file_of_results_is_on_the_page(numbers: ModuleType, repository: Path) -> None:
    page = numbers.page_of()
    files = sorted((repository / "benchmarks" / "results").glob("*.json"))
    assert files
    assert [path.name for path in files if f"`benchmarks/results/{path.name}`" not in page] == []


def test_every_command_names_a_script_that_exists(numbers: ModuleType, repository: Path) -> None:
    shown = [result.command for result in numbers.RESULT_FILES if result.path.exists()]
    scripts = [re.search(r"benchmarks[/.](\w+)", command) for command in shown]
    assert all((repository / "benchmarks" / f"{script[1]}.py").exists() for script in scripts if script)


def test_a_part_of_a_file_is_its_table_alone(numbers: ModuleType, repository: Path) -> None:
    part = numbers.part_of("depth", "conditions")
    assert part in numbers.page_of("depth") and part.startswith("| conditions | boxes3d AP3D |")
    assert "| without depth |" in part and part.count("\n\n") == 0


def test_measurements_become_tables_line_by_line(numbers: ModuleType) -> None:
    found = {"torch": "2.0", "cases": {"one": {"ms": 1.23456, "equal": True}, "two": {"ms": 20.0, "equal": False}}}
    plain, grid = numbers.tables(found)
    assert "| torch | 2.0 |" in plain
    assert grid.splitlines()[0] == "| cases | ms | equal |"
    assert grid.splitlines()[2:] == ["| one | 1.235 | yes |", "| two | 20 | no |"]


def test_cut_offs_of_a_metric_stand_side_by_side(numbers: ModuleType) -> None:
    found = {"graphs": {"sgdet/R@20": 0.25, "sgdet/R@50": 0.5, "images": 3, "sgdet/per_predicate": {"on": {"R@20": 1}}}}
    plain, grid = numbers.tables(found)
    assert plain.splitlines()[2:] == ["| images | 3 |"]
    assert grid.splitlines()[0] == "| graphs | @20 | @50 |" and grid.splitlines()[2:] == ["| sgdet/R | 0.25 | 0.5 |"]
