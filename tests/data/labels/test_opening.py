"""Data sets in a label space, from their files to a trained and measured model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import scenekit as sk
from scenekit.cli.evaluate import data_config, results_of
from scenekit.data.labels.opening import MappedSet, opened
from scenekit.data.labels.proposal import propose
from scenekit.data.labels.text import written
from scenekit.data.scenes import scene_of
from scenekit.errors import InputError
from scenekit.recipe import DatasetConfig, LabelSpace, Recipe
from scenekit.recipe.label_space import plain_space
from scenekit.structures.label_map import joined
from scenekit.weights import label_space_of
from scenekit.weights.checkpoint import save_model
from tests import tiny
from tests.data.labels import coco_files


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two data sets that name the same things in other words."""
    return {
        "a": coco_files.write(tmp_path / "a", ["person", "cup"]),
        "b": coco_files.write(tmp_path / "b", ["man", "woman", "bike", "mug"]),
    }


def entry(files: dict[str, str], name: str, **more: Any) -> dict[str, Any]:
    return {"name": "coco", "options": {"annotations": files[name]}, "labels": name, **more}


SPACE = LabelSpace.model_validate(
    {
        "things": ["bicycle", "person", "cup", "mug"],
        "data": {
            "a": {"things": ["person", "cup"], "rename": {"cup": ["cup", "mug"]}},
            "b": {
                "things": ["man", "woman", "bike", "mug"],
                "rename": {"man": "person", "woman": "person", "bike": "bicycle"},
            },
        },
    }
)


def test_samples_and_scenes_are_in_the_label_space(files: dict[str, str]) -> None:
    data = opened(DatasetConfig.model_validate(entry(files, "b")), SPACE)
    assert isinstance(data, MappedSet) and len(data) == 2 and data.vocabulary.things == SPACE.things
    sample = data[0]
    assert sample.scene.names() == ["person", "person", "bicycle", "mug"]
    assert sample.supervision.classes == {"person", "bicycle", "mug"}  # no cup: it may be background there
    assert scene_of(data, 0).names() == sample.scene.names()
    other = opened(DatasetConfig.model_validate(entry(files, "a")), SPACE)[1]
    assert other.supervision.classes == {"person", "cup"}


def test_renaming_without_a_file(files: dict[str, str]) -> None:
    rename = {"man": "person", "woman": "person", "mug": None}
    data = opened(DatasetConfig.model_validate(entry(files, "b", rename=rename)))
    assert data.vocabulary.things == ("person", "bike")
    assert data[0].scene.names() == ["person", "person", "bike"] and data[0].supervision.classes == {"person", "bike"}
    chain = opened(DatasetConfig.model_validate(entry(files, "b", rename={"man": "woman", "woman": "person"})))
    assert chain.vocabulary.things == ("person", "bike", "mug")
    with pytest.raises(
        InputError, match="data set 'coco': rename: the data set has no 'men' among its names; did you m"
    ):
        opened(DatasetConfig.model_validate(entry(files, "b", rename={"men": "person"})))


def test_names_that_the_file_does_not_know(files: dict[str, str]) -> None:
    content = plain_space(SPACE)
    content["data"]["b"] = {"things": ["man", "mug"], "rename": {"man": "person"}}
    with pytest.raises(InputError, match=r"does not know classes of 'b': 'woman', 'bike'; run `scenekit labels merge`"):
        opened(DatasetConfig.model_validate(entry(files, "b")), LabelSpace.model_validate(content))


def recipe(files: dict[str, str], labels: object) -> Recipe:
    val = entry(files, "b")
    data = {"train": [entry(files, "a"), val], "val": val, "labels": labels}
    short = {"steps": 2, "batch_size": 2, "workers": 0, "warmup": 1, "log_every": 1, "evaluate_every": 2}
    model = tiny.config(()).model_dump(mode="json", exclude_unset=True)
    return Recipe.parse({"model": model, "data": data, "train": short})


def test_a_run_in_a_label_space(files: dict[str, str], tmp_path: Path) -> None:
    """Training, its evaluation, resuming and later evaluation use the classes of the file, as it was then."""
    path = tmp_path / "labels.yaml"
    path.write_text(written(SPACE, {}))
    plan = recipe(files, str(path))
    model = sk.train(plan, out=tmp_path / "run", device="cpu", progress=False)
    assert model.vocabulary.things == SPACE.things
    results = json.loads((tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()[-1])["results"]
    measured = results["detection"]["per_class"]
    assert {name for name, row in measured.items() if row["AP"] is not None} == {"bicycle", "person", "mug"}
    path.unlink()
    stored = Recipe.load(tmp_path / "run" / "recipe.yaml")
    assert stored.data.labels == SPACE
    chosen = data_config(str(tmp_path / "run" / "model"), None, None, {})
    assert chosen.label_space == SPACE and chosen.train[0].section == "b"
    assert label_space_of(tmp_path / "run" / "model") == SPACE
    path.write_text(written(SPACE, {}))
    more = plan.model_copy(update={"train": plan.train.model_copy(update={"steps": 3})})
    sk.train(more, out=tmp_path / "run", resume=True, device="cpu", progress=False)
    edited = LabelSpace.model_validate({**SPACE.model_dump(), "things": (*SPACE.things, "hat")})
    path.write_text(written(edited, {}))
    with pytest.raises(InputError, match=r"another recipe: data\.labels\.things changed"):
        sk.train(more, out=tmp_path / "run", resume=True, device="cpu", progress=False)


def test_a_model_without_its_run_is_measured_in_its_label_space(tmp_path: Path) -> None:
    space = LabelSpace.model_validate({**plain_space(SPACE), "data": {"coco": plain_space(SPACE)["data"]["b"]}})
    save_model(sk.build(tiny.config(()), tiny.VOCABULARY), tmp_path / "model", extra={"labels": plain_space(space)})
    assert data_config(str(tmp_path / "model"), "coco", None, {}).label_space == space
    assert data_config(str(tmp_path / "model"), "kitti", None, {}).label_space is None


def test_predictions_are_written_in_the_names_of_the_data_set(files: dict[str, str], tmp_path: Path) -> None:
    data = opened(DatasetConfig.model_validate(entry(files, "b")), SPACE)
    writer = results_of("coco", tmp_path / "out", data)["predictions"]
    scene = data[0].scene
    known = sk.Objects(scene.objects.boxes, torch.tensor([0, 1, 2, 3]), scores=torch.full((4,), 0.5))
    writer.update(data[0], sk.Scene(scene.size, data.vocabulary, {sk.OBJECTS: known}))
    (found,) = [json.loads(Path(name).read_text()) for name in writer.result()["files"] if "bbox" in name]
    ids = {name: n for n, name in enumerate(("man", "woman", "bike", "mug"), 1)}
    assert [row["category_id"] for row in found] == [ids["bike"], ids["man"], ids["mug"]]  # a cup has no name there


def test_the_samples_of_five_data_sets_join(samples: Path, tmp_path: Path) -> None:
    """COCO (panoptic), Visual Genome, KITTI, Pix3D and synthetic scenes: opened, joined, and in one batch."""
    names = tmp_path / "ids.txt"
    names.write_text("000000\n000008\n")
    panoptic = samples / "coco_panoptic_NC"
    coco = {"annotations": str(panoptic / "panoptic_examples.json"), "images": str(panoptic / "input_images")}
    entries = [
        DatasetConfig(name="coco", options=coco),
        DatasetConfig(
            name="visual_genome", split="all", options={"root": str(samples / "visual_genome"), "cache": False}
        ),
        DatasetConfig(name="kitti", options={"root": str(samples / "boxes3d" / "kitti_NC"), "splits": str(names)}),
        DatasetConfig(name="pix3d", options={"root": str(samples / "pix3d")}),
        DatasetConfig(name="synthetic", options={"length": 1, "size": [72, 96], "cache": False}),
    ]
    vocabularies = {each.name: opened(each).vocabulary for each in entries}
    with pytest.raises(InputError, match="stuff in the other"):
        vocabularies["coco"].merged(vocabularies["visual_genome"])
    proposal = propose(vocabularies)
    space = LabelSpace.parse(yaml.load(written(proposal.space, proposal.reasons), yaml.BaseLoader), "labels.yaml")
    sets = {each.name: opened(each, space) for each in entries}
    vocabulary = sets["coco"].vocabulary
    for data in sets.values():
        vocabulary = joined(vocabulary, data.vocabulary)
    assert vocabulary.things == space.things and vocabulary.stuff == space.stuff
    covered = {name: data[0].supervision.classes or frozenset() for name, data in sets.items()}
    assert covered["kitti"] == {"car", "person", "Cyclist"} and covered["pix3d"] == {"bed"}
    assert "curtain" in covered["visual_genome"] and "curtain" not in covered["coco"]
    assert "mug" in covered["synthetic"] and "mug" not in covered["coco"] | covered["visual_genome"]
    assert sets["kitti"][0].scene.names()[0] == "person"  # a pedestrian
    semantic = sets["coco"][0].scene[sk.SEMANTIC]
    before = opened(entries[0])[0].scene
    old, new = before.vocabulary.labels, vocabulary.labels
    assert {new[n] for n in semantic.unique().tolist() if n >= 0} == {
        {"curtain": "curtain-stuff", "sky-other-merged": "sky"}.get(name, space.data["coco"].targets["labels"][name])
        for name in (old[n] for n in before[sk.SEMANTIC].unique().tolist() if n >= 0)
    }
    assert sets["synthetic"].vocabulary.skeleton is not None and "person" in vocabulary.skeletons
