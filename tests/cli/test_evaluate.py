"""`scenekit evaluate`."""

import pytest

from scenekit.cli.evaluate import parsed_options
from scenekit.errors import InputError

SCENES = ("--option", "size=[64, 96]", "--option", "cache=false")


def test_metrics_by_task(run, tiny_model) -> None:
    result = run("evaluate", "--model", tiny_model, "--split", "test", "--limit", "2", "--json", *SCENES)
    assert result.status == 0
    assert set(result.json) == {"detection", "masks", "keypoints", "semantic", "panoptic"}
    assert {"AP", "AP50", "AP75"} <= set(result.json["detection"])
    assert "mIoU" in result.json["semantic"] and {"PQ", "SQ", "RQ"} <= set(result.json["panoptic"])


def test_named_tasks_as_a_table(run, tiny_model) -> None:
    result = run("evaluate", "--model", tiny_model, "--limit", "1", "--tasks", "semantic", *SCENES)
    assert result.status == 0 and "mIoU" in result.out and "AP50" not in result.out


def test_refusals(refused, tiny_model) -> None:
    model = ("--model", tiny_model)
    assert "did you mean 'detection'?" in refused("evaluate", *model, "--tasks", "detections")
    assert "did you mean 'synthetic'?" in refused("evaluate", *model, "--data", "synthetics")
    assert "no split 'vall'" in refused("evaluate", *model, "--split", "vall")
    assert "no option 'sizes'" in refused("evaluate", *model, "--option", "sizes=1")
    assert "--option expects" in refused("evaluate", *model, "--option", "size")
    assert "no option 'sizes'" in refused("evaluate", *model, "--set", "sizes=1")


def test_parsed_options() -> None:
    assert parsed_options(["root=/data", "year=2017", "keys=[a, b]"]) == {
        "root": "/data", "year": 2017, "keys": ["a", "b"],
    }  # fmt: skip
    for text in ("=1", "a b=1", "x=[1", "x"):
        with pytest.raises(InputError, match="--option"):
            parsed_options([text])
