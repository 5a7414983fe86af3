"""`scenekit evaluate`."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

import scenekit as sk
from scenekit.cli.evaluate import data_config, parsed_options, print_results
from scenekit.errors import InputError
from scenekit.recipe import Recipe
from scenekit.weights import save_model

SCENES = ("--option", "size=[64, 96]", "--option", "cache=false")


def test_metrics_by_task(run, tiny_model) -> None:
    result = run("evaluate", "--model", tiny_model, "--split", "test", "--limit", "2", "--json", *SCENES)
    assert result.status == 0
    assert set(result.json) == {"detection", "masks", "keypoints", "semantic", "panoptic"}
    assert {"AP", "AP50", "AP75"} <= set(result.json["detection"])
    assert "mIoU" in result.json["semantic"] and {"PQ", "SQ", "RQ"} <= set(result.json["panoptic"])


def test_predictions_are_written_and_may_be_more(run, tiny_model, tmp_path: Path) -> None:
    """The detector of this model keeps 5 detections an image."""
    arguments = ("evaluate", "--model", tiny_model, "--limit", "2", "--tasks", "detection", "--json", *SCENES)
    counts = []
    for folder, more in (("few", ()), ("many", ("--max-dets", "8"))):
        result = run(*arguments, "--predictions", tmp_path / folder, *more)
        assert result.status == 0 and "note: wrote" in result.err
        files = {Path(path).name: json.loads(Path(path).read_text()) for path in result.json["predictions"]["files"]}
        assert set(files) == {"bbox.json", "image_info.json"} and len(files["image_info.json"]["images"]) == 2
        counts.append(len(files["bbox.json"]))
        assert ("AR8" if more else "AR100") in result.json["detection"]
    assert counts == [10, 16]


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


def test_metrics_at_cut_offs_stand_side_by_side_and_a_baseline_beside(capsys: pytest.CaptureFixture[str]) -> None:
    own = {"sgdet/R@20": 0.25, "sgdet/R@50": 0.5, "sgdet/zR@50": math.nan, "sgdet/images": 7, "per_predicate": {}}
    print_results({"graphs": own, "graphs (frequency)": {"sgdet/R@50": 0.125}, "boxes": {"AP": 0.75}})
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["graphs", "sgdet/images", "7"] in lines and ["boxes", "AP", "0.7500"] in lines
    assert ["sgdet/R", "0.2500", "0.5000", "0.1250"] in lines and ["sgdet/zR", "", "-", ""] in lines
    assert not any("per_predicate" in cell for line in lines for cell in line)


def test_tasks_without_a_number_are_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = {"AP": math.nan, "R@20": math.nan, "per_class": {"cup": {"AP": math.nan}}}
    print_results({"boxes": {"AP": 0.75, "APs": math.nan, "per_class": {}}, "masks": nothing, "masks (mean)": nothing})
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == "not measured: masks, masks (mean)"
    assert text.count("masks") == 2 and "0.7500" in text


def test_the_recipe_of_the_run_gives_data_and_labelers(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    data = {"train": [{"name": "synthetic"}], "val": {"name": "synthetic", "split": "val"}, "labelers": ["visibility"]}
    Recipe.parse({"data": data}).save(tmp_path / "recipe.yaml")
    found = data_config(str(tmp_path / "model"), None, None, {"length": 2})
    (chosen,), labelers = found.train, found.labelers
    assert (chosen.split, chosen.options, labelers) == ("val", {"length": 2}, ("visibility",))
    assert data_config(str(tmp_path / "model"), "coco", None, {}).labelers == ()


def test_labelers_derive_what_a_named_data_set_lacks(run, vocabulary, tmp_path: Path) -> None:
    config = {
        "input": {"min_size": 32, "max_size": 64},
        "backbone": {"name": "mobilenet_v3_small"},
        "pyramid": None,
        "detector": None,
        "tasks": {"classification": {}},
    }
    named = replace(vocabulary, lists={"image_classes": vocabulary.things})
    save_model(sk.build(sk.ModelConfig.model_validate(config), named), tmp_path / "model")
    options = ("--model", tmp_path / "model", "--data", "synthetic", "--set", "cache=false", "--limit", "1", "--json")
    assert run("evaluate", *options, "--labelers", "largest_object").json["classification"]["images"] == 1
    assert run("evaluate", *options).json["classification"]["images"] == 0


def test_several_data_sets_of_a_recipe_are_measured_under_their_names(run, vocabulary, tmp_path: Path) -> None:
    config = {"backbone": {"name": "mobilenet_v3_small"}, "pyramid": {"channels": 16}, "input": {"min_size": 32}}
    save_model(sk.build(sk.ModelConfig.model_validate(config), vocabulary), tmp_path / "model")
    options = {"cache": False, "length": 1, "size": [48, 64]}
    val = [{"name": "synthetic", "split": split, "options": options} for split in ("val", "test")]
    Recipe.parse({"data": {"train": [{"name": "synthetic"}], "val": val}}).save(tmp_path / "recipe.yaml")
    result = run("evaluate", "--model", tmp_path / "model", "--json", "--predictions", tmp_path / "out")
    assert {name: list(found) for name, found in result.json.items()} == {
        "synthetic/val": ["detection", "predictions"],
        "synthetic/test": ["detection", "predictions"],
    }
    assert sorted(path.name for path in (tmp_path / "out" / "synthetic").iterdir()) == ["test", "val"]
    text = run("evaluate", "--model", tmp_path / "model").out
    assert "synthetic/val:" in text and "synthetic/test:" in text
