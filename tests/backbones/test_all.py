"""Every network of every library, by `pytest -m all_backbones`: minutes, so not among the tests that always run.

Networks are built and run on the meta device: all shapes are checked, nothing is computed. A network may refuse to be a
backbone, in one line that says why; anything else that goes wrong fails.
"""

import logging

import pytest
import torch

from scenekit.backbones import build_backbone
from scenekit.backbones.layouts import LAYOUTS
from scenekit.errors import InputError
from scenekit.hooks import registry
from tests.backbones.contract import check_learning, check_levels

pytestmark = pytest.mark.all_backbones

PARTS = 16
"""A library's names are gone through in so many parts, each with every sixteenth name: one part is a fair sample."""

_log = logging.getLogger(__name__)


@pytest.mark.parametrize("name", LAYOUTS)
def test_torchvision(name: str) -> None:
    check_levels(build_backbone(name))
    check_learning(build_backbone(name))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_library(library: str, part: int) -> None:
    pytest.importorskip(library)
    names = [name for name in registry().get("backbone", f"{library}/").names() if "." not in name]
    refusals = {name: refusal for name in names[part::PARTS] if (refusal := _refusal(f"{library}/{name}"))}
    _log.info("%s: %d of %d refuse", library, len(refusals), len(names[part::PARTS]))
    for name, refusal in refusals.items():
        _log.info("%s: %s", name, refusal)
    assert all("\n" not in refusal for refusal in refusals.values())


def _refusal(name: str) -> str:
    """Why it cannot be a backbone; empty for one that keeps the contract."""
    try:
        with torch.device("meta"):
            backbone = registry().get("backbone", name).build()
    except InputError as error:
        return str(error)
    check_levels(backbone, 128, 160, device="meta")
    return ""
