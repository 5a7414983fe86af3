"""`scenekit score omni3d`, on the stored case."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d"
FILES = (str(FOLDER / "omni3d_eval_gt.json"), str(FOLDER / "omni3d_eval_pred.json"))
RUNS = json.loads((FOLDER / "omni3d_eval_results.json").read_text())["runs"]


@pytest.mark.parametrize(
    "name, options",
    [
        ("base_filter", ()),
        (
            "loose_filter_proximity",
            ("--truncation", "0.99", "--visibility", "0.01", "--min-height", "0", "--boxes", "proj", "--proximity"),
        ),
    ],
)
def test_the_numbers_of_the_authors_program(name: str, options: tuple[str, ...], run: Callable[..., Result]) -> None:
    found = run("score", "omni3d", *FILES, *options, "--json").json
    for metric in ("AP", "AP15", "AP25", "AP50", "APn", "APm", "AR100"):
        assert found["3D"][metric] == pytest.approx(RUNS[name]["3D"][metric], abs=1e-6)


def test_tables_and_unknown_boxes(run: Callable[..., Result]) -> None:
    result = run("score", "omni3d", *FILES)
    assert result.status == 0 and "Omni3D 3D" in result.out + result.err
    wrong = run("score", "omni3d", *FILES, "--boxes", "tihgt")
    assert wrong.status == 2 and "did you mean 'tight'?" in " ".join(wrong.err.split())
