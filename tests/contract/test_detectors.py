"""Every installed detector keeps the rules that heads, losses and external regions rely on."""

import pytest

from scenekit.hooks import registry
from scenekit.testing import check_detector


@pytest.mark.parametrize("name", registry().names("detector"))
def test_it_keeps_the_rules(name: str) -> None:
    report = check_detector(registry().get("detector", name))
    assert report.ok, str(report)
