"""The model card: what it says is what the model, its manifest and its evaluations say."""

import math
from dataclasses import replace

import pytest
import torch
import yaml

from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.recipe import DatasetConfig
from scenekit.weights import save_model
from scenekit.weights.card import Evaluation, evaluation_of, evaluations_in, model_card, with_evaluations
from scenekit.weights.checkpoint import read_manifest

from .. import tiny

RESULTS = {"masks": {"AP": 0.25, "AP75": math.nan, "per_class": {"cup": 0.5}}, "detection": {"AP": 1 / 3}}


@pytest.fixture(scope="module")
def model():
    return build(tiny.config(("masks", "keypoints")), tiny.VOCABULARY)


def card(model, manifest=None, evaluations=(), **options):
    manifest = with_evaluations(manifest or {"scenekit": "0.1.0"}, evaluations)
    return model_card(model, "acme/street", manifest, 8_300_000, **options)


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_front_matter(model):
    evaluation = Evaluation(data="synthetic/val", results=RESULTS, images=100)
    front = front_matter(card(model, evaluations=[evaluation], license="apache-2.0"))
    assert front["library_name"] == "scenekit" and front["license"] == "apache-2.0"
    assert front["pipeline_tag"] == "object-detection" and {"scenekit", "masks", "keypoints"} <= set(front["tags"])
    (entry,) = front["model-index"]
    assert entry["name"] == "street"
    masks, boxes = entry["results"]
    assert masks["dataset"] == {"type": "synthetic", "name": "synthetic/val"} and masks["task"]["name"] == "masks"
    assert (masks["task"]["type"], boxes["task"]["type"]) == ("image-segmentation", "object-detection")
    assert masks["metrics"] == [{"type": "AP", "name": "masks AP", "value": 0.25}], "neither NaN nor nested"
    assert boxes["metrics"][0]["value"] == 1 / 3
    assert "model-index" not in front_matter(card(model)) and "license" not in front_matter(card(model))


def test_a_third_partys_task_says_its_own_tag(model, monkeypatch):
    """In the tags of the repository, and as the type of its results; a task without one is filed as detection."""
    spec = replace(model.specs["keypoints"], name="ranging", hub_tag="depth-estimation")
    monkeypatch.setattr(model, "specs", {"masks": replace(model.specs["masks"], hub_tag=None), "ranging": spec})
    results = {"masks": {"AP": 0.5}, "ranging": {"error": 0.25}}
    front = front_matter(card(model, evaluations=[Evaluation(data="acme/val", results=results)]))
    assert "depth-estimation" in front["tags"] and "image-segmentation" not in front["tags"]
    types = {entry["task"]["name"]: entry["task"]["type"] for entry in front["model-index"][0]["results"]}
    assert types == {"masks": "object-detection", "ranging": "depth-estimation"}


def test_the_hubs_own_reader_takes_it(model):
    from huggingface_hub import ModelCard

    evaluation = Evaluation(data="synthetic/val", results=RESULTS, images=100)
    read = ModelCard(card(model, evaluations=[evaluation])).data
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in read.eval_results] == [
        ("synthetic/val", "AP", 0.25),
        ("synthetic/val", "AP", 1 / 3),
    ]


def test_what_it_tells(model):
    lines = card(model).splitlines()
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    for line in (
        "# street",
        'model = sk.load("acme/street")',
        "| masks | which pixels belong to each object |",
        "| backbone | mobilenet_v3_small |",
        "| input | shorter side 64 pixels, longer side at most 96 |",
        f"| parameters | {parameters:.1f} million |",
        "| weights | 8.3 MB |",
        "| things | 2 | cup, person |",
        "| points of person | 3 | head, left_foot, right_foot |",
        "Not evaluated yet; run `scenekit evaluate --model acme/street --data DATA --split SPLIT`.",
    ):
        assert line in lines
    assert not any(line.startswith(("| attributes", "| stuff")) for line in lines), "no head knows any"


def test_evaluations_come_with_data_and_command(model):
    data = DatasetConfig(name="synthetic", split="val", options={"seed": 3, "root": "/home/someone/data"})
    evaluation = evaluation_of(data, RESULTS, 100)
    manifest = {"extra": {"step": 7, "trained_on": ["synthetic/train"], "evaluations": [evaluation.model_dump()]}}
    text = card(model, manifest)
    assert "scenekit evaluate --model acme/street --data synthetic --split val --option seed=3 --limit 100" in text
    assert "7 training steps; trained on synthetic/train" in text and "/home/someone" not in text
    assert "| masks | AP | 0.25 |" in text and "synthetic/val, 100 images" in text


def test_a_card_of_what_is_on_disk(model, tmp_path):
    evaluation = Evaluation(data="synthetic/val", results=RESULTS)
    save_model(model, tmp_path, dtype=torch.float16, extra={"evaluations": [evaluation.model_dump()]})
    (found,) = evaluations_in(read_manifest(tmp_path))
    assert found.results["detection"] == {"AP": 1 / 3}


def test_evaluations_that_are_none():
    with pytest.raises(InputError, match="the manifest's evaluations: 'data' is missing") as caught:
        evaluations_in({"extra": {"evaluations": [{"results": {}}]}})
    assert "\n" not in str(caught.value)
