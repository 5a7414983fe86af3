"""Every installed task keeps the rules that others rely on."""

import pytest

from scenekit.hooks import registry
from scenekit.testing import CHECKS, check_task


@pytest.mark.parametrize("name", registry().names("task"))
def test_it_keeps_every_rule(name: str) -> None:
    report = check_task(registry().get("task", name))
    assert report.ok, str(report)


def test_every_check_says_what_it_demands_and_what_to_do() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.rule.endswith(".") and len(check.remedy) > 20
