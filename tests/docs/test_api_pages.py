"""Every public name has its place in the API reference."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenekit as sk

NAMES = [name for name in sk.__all__ if not isinstance(getattr(sk, name), sk.Key)]
"""Keys stand in a table that is made from the code."""


@pytest.fixture(scope="module")
def words(repository: Path) -> set[str]:
    """What the pages name, one by one."""
    pages = (repository / "docs" / "reference" / "api").glob("*.md")
    return {word for page in pages for word in page.read_text(encoding="utf-8").replace("`", " ").split()}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_documented(name: str, words: set[str]) -> None:
    assert {f"scenekit.{name}", f"sk.{name}"} & words
