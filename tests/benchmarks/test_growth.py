"""The benchmark of growth: the fitted exponent, the amounts of work, and a quick run as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torchvision.ops import box_area


@pytest.fixture(scope="module")
def growth(repository: Path) -> ModuleType:
    """The module, which imports its neighbors as a script does."""
    sys.path.insert(0, str(repository / "benchmarks"))
    try:
        import growth
    finally:
        sys.path.pop(0)
    return growth


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_has_its_exponent(growth: ModuleType, power: float) -> None:
    assert growth.exponent([(amount, 7.0 * amount**power) for amount in (1, 3, 10, 300)]) == pytest.approx(power)


def test_the_exponent_of_the_upper_half_leaves_the_constant_part_behind(growth: ModuleType) -> None:
    """100 ms anyway and 1 ms an object: nothing changes up to 2, and from 10,000 on a pass is proportional to them."""
    rows = [{"objects": n, "milliseconds": 100.0 + n, "images_per_second": 0.0} for n in (1, 2, 10_000, 1_000_000)]
    found = growth.exponents(rows)
    assert found["upper_half"] == pytest.approx(np.log(1_000_100 / 10_100) / np.log(100), abs=1e-3)
    assert 0 < found["all"] < found["upper_half"] < 1


@pytest.mark.parametrize("count", [1, 3, 10, 1000])
def test_objects_are_of_one_size_inside_the_image_and_of_all_classes(growth: ModuleType, count: int) -> None:
    objects = growth.tiled(count, classes=12)
    height, width = growth.SIZE
    assert len(objects) == count and len(objects.boxes.unique(dim=0)) == count
    assert torch.allclose(box_area(objects.boxes), torch.tensor(float(np.prod(growth.BOX))), rtol=1e-4)
    assert objects.boxes.min() >= 0 and (objects.boxes.amax(dim=0)[2:] <= torch.tensor([width, height])).all()
    assert len(objects.labels.unique()) == min(count, 12)


@pytest.mark.slow
def test_a_quick_run_measures_every_sweep(growth: ModuleType, repository: Path, tmp_path: Path) -> None:
    script, out = repository / "benchmarks" / "growth.py", tmp_path / "growth.json"
    subprocess.run([sys.executable, script, "--quick", "--threads", "1", "--out", out], check=True, capture_output=True)
    found = json.loads(out.read_text(encoding="utf-8"))
    for name, amounts in growth.QUICK.items():
        assert [row[name] for row in found[name]] == list(amounts)
        assert all(row["milliseconds"] > 0 for row in found[name])
        times = [row["milliseconds"] for row in found[name]]
        slope = np.polyfit(np.log(amounts), np.log(times), 1)[0]
        assert found["exponents"][name]["all"] == pytest.approx(slope, abs=1e-3)
