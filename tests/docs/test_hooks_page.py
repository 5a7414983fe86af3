"""The page on hooks says everything that the specifications and the records say, and nothing that they do not."""

from __future__ import annotations

import dataclasses
import enum
import re
from pathlib import Path
from typing import Any

import pytest

from scenekit.hooks import specs
from scenekit.hooks.manager import KINDS

HOOKS = sorted(name for name in vars(specs) if name.startswith("scenekit_"))
RECORDS = [record for _, record in KINDS.values()]


@pytest.fixture(scope="module")
def sections(repository: Path) -> dict[str, str]:
    """The text below each third-level heading of the page."""
    page = (repository / "docs" / "hooks.md").read_text(encoding="utf-8")
    parts = re.split(r"^#{1,3} (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_hook_has_its_section_with_its_docstring(sections: dict[str, str]) -> None:
    assert sorted(name for name in sections if name.startswith("scenekit_")) == HOOKS
    for name in HOOKS:
        assert f"{{generated}} hook {name}\n" in sections[name]


def test_every_record_has_its_section(sections: dict[str, str]) -> None:
    after = list(sections)[list(sections).index("Records") + 1 :]
    assert sorted(after) == sorted(record.__name__ for record in RECORDS)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_stands_in_the_table_with_its_default(record: type[Any], sections: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", sections[record.__name__], flags=re.MULTILINE)
    assert rows == [(field.name, written(field)) for field in dataclasses.fields(record)]


def written(field: dataclasses.Field[Any]) -> str:
    """The default as the table has it; empty for a field that must be given."""
    made = field.default_factory
    value = made() if made is not dataclasses.MISSING else field.default
    if value is dataclasses.MISSING:
        return ""
    named = value.__name__ if isinstance(value, type) else str(value) if isinstance(value, enum.Enum) else repr(value)
    return f"`{named}`".replace("'", '"')
