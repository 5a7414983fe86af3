"""How many hostile inputs each property is tried on.

A bounded number, the same each time; with `-m thousands` some thousands, others each time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES, THOUSANDS = 40, 300

COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("bounded", max_examples=EXAMPLES, derandomize=True, **COMMON)
settings.register_profile("thousands", max_examples=THOUSANDS, **COMMON)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the number before any property is collected."""
    settings.load_profile("thousands" if "thousands" in config.getoption("markexpr") else "bounded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every property, so that `-m thousands` selects all of them."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("thousands")
