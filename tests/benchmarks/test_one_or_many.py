"""The comparison of one joint network with many: sizes of the published networks, and which of them are counted."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.importorskip("transformers")

PAPERS = {
    "D-FINE-N": 3.8,
    "RF-DETR-N": 30.5,
    "Mask2Former Swin-T": 47,
    "EoMT-S": 24,
    "GIT-B": 177,
    "CLIP ViT-B-32": 87.8,
}
"""Millions of parameters as their authors state them; of CLIP those of the image encoder."""


@pytest.fixture(scope="module")
def one_or_many(repository: Path) -> ModuleType:
    """The module, which imports its neighbors as a script does."""
    sys.path.insert(0, str(repository / "benchmarks"))
    try:
        import one_or_many
    finally:
        sys.path.pop(0)
    return one_or_many


def test_published_networks_have_their_official_sizes(one_or_many: ModuleType) -> None:
    boxes = torch.tensor([[0.0, 0.0, 20.0, 40.0]])
    work = one_or_many.Work(torch.zeros(3, 48, 64, dtype=torch.uint8), boxes, boxes, attributes=5)
    with torch.device("meta"):
        built = {network.name: network.build(work)[0] for network in one_or_many.PUBLISHED}
    sizes = {name: one_or_many.millions(network) for name, network in built.items()}
    assert {name: sizes[name] for name in PAPERS} == pytest.approx(PAPERS, rel=0.05)


def test_the_fastest_network_whose_input_is_not_smaller_counts(one_or_many: ModuleType) -> None:
    speeds = {"D-FINE-N": 30.0, "RF-DETR-N": 20.0, "Mask2Former Swin-T": 50.0, "EoMT-S": 90.0, "ViTPose++-S": 5.0}
    table = {name: {"milliseconds": ms} for name, ms in speeds.items()}
    assert one_or_many.fastest(("boxes",), 300, table) == "RF-DETR-N"
    assert one_or_many.fastest(("boxes",), 640, table) == "D-FINE-N"
    assert one_or_many.fastest(("masks", "semantic", "panoptic"), 384, table) == "Mask2Former Swin-T"
    assert one_or_many.fastest(("masks", "semantic", "panoptic"), 385, table) == "EoMT-S"
    assert one_or_many.fastest(("keypoints",), 640, table) == "ViTPose++-S"
