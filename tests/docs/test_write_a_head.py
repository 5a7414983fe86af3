"""The tutorial shows the code of the distribution that is installed and checked, also where it is read as a file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

FOLDER = "tests/thirdparty/scenekit-distance"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "tutorials" / "write_a_head.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("language", "file"), [("python", "scenekit_distance.py"), ("toml", "pyproject.toml")])
def test_whole_files_are_those_of_the_distribution(page: str, language: str, file: str, repository: Path) -> None:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert blocks[0] == (repository / FOLDER / file).read_text(encoding="utf-8")


def test_parts_are_those_of_the_file(page: str, repository: Path) -> None:
    source = (repository / FOLDER / "scenekit_distance.py").read_text(encoding="utf-8")
    explained = page.partition("## Line by line")[2].partition("## Check the task")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", explained, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 7
    for block in blocks:
        assert block in source or textwrap.indent(block, "    ", lambda line: line.strip() != "") in source


def test_no_page_includes_code_that_a_file_viewer_does_not_show(repository: Path) -> None:
    pages = (repository / "docs").rglob("*.md")
    assert not [page.name for page in pages if "{literalinclude}" in page.read_text(encoding="utf-8")]
