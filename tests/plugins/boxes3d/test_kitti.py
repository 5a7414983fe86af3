"""KITTI's average precision of scenes: the stored files as scenes, and what a scene cannot tell."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.evaluator import Evaluator
from scenekit.evaluation.loop import evaluators
from scenekit.recipe import ModelConfig
from scenekit.structures import Camera
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.kitti.labels import Rules, class_names_of, read_labels
from scenekit_plugins.boxes3d.kitti import KittiEvaluator

FOLDER = Path(__file__).parents[2] / "reference" / "mesh3d" / "kitti"
STORED = json.loads((FOLDER / "results.json").read_text())["results"]["kitti_eval_dict"]
NAMES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist")
VOCABULARY = sk.Vocabulary(NAMES)
CAMERA = Camera(torch.tensor([[720.0, 0, 620], [0, 720, 187], [0, 0, 1]]))


def scene(labels: Labels, vocabulary: sk.Vocabulary = VOCABULARY) -> sk.Scene:
    return sk.Scene((375, 1242), vocabulary, {sk.OBJECTS: labels.objects}, labels.values, labels.valid, CAMERA)


def labelled(truth: sk.Scene) -> sk.Sample:
    claims = sk.Supervision(frozenset({sk.BOXES3D}))
    return sk.Sample(torch.zeros(3, 375, 1242, dtype=torch.uint8), truth, claims, 0)


def images() -> list[tuple[sk.Sample, sk.Scene]]:
    rules, shift = Rules(class_names_of(NAMES)), torch.zeros(3)
    paths = sorted((FOLDER / "label_2").glob("*.txt"))
    folders = ("label_2", "pred")
    rows = [[scene(read_labels(FOLDER / folder / path.name, rules, shift)) for folder in folders] for path in paths]
    return [(labelled(truth), prediction) for truth, prediction in rows]


def test_scenes_of_files_measure_as_the_files() -> None:
    first, second = KittiEvaluator(VOCABULARY), KittiEvaluator(VOCABULARY)
    for number, (truth, prediction) in enumerate(images()):
        (first if number < 7 else second).update(truth, prediction)
    first.merge(pickle.loads(pickle.dumps(second)))
    found = first.result()
    assert {name: found[name] for name in STORED} == pytest.approx(STORED, abs=1e-4)


CAR = "Car 0 0 0.3 100 100 200 180 1.5 1.6 4 2 1.6 20 0.4\n"
HARD = "Car 0.4 2 0.3 500 100 600 180 1.5 1.6 4 -8 1.6 20 0.4\n"
MIDDLE = "KITTI/Car_3D_AP11_moderate_strict"


def files(tmp_path: Path, truth: str, prediction: str) -> tuple[sk.Scene, sk.Scene]:
    paths = tmp_path / "truth.txt", tmp_path / "prediction.txt"
    for path, text in zip(paths, (truth, prediction), strict=True):
        path.write_text(text)
    rules = Rules(class_names_of(("Car",)))
    vocabulary = sk.Vocabulary(("Car",))
    both = [scene(read_labels(path, rules, torch.zeros(3)), vocabulary) for path in paths]
    return both[0], both[1]


def measured(truth: sk.Scene, prediction: sk.Scene) -> dict[str, float]:
    evaluator = KittiEvaluator(truth.vocabulary)
    evaluator.update(labelled(truth), prediction)
    return evaluator.result()


def test_difficulty_comes_from_the_keys_of_the_scene(tmp_path: Path) -> None:
    """The second car is hidden and cut off too far for moderate: it is not missed, unless nobody says so."""
    truth, prediction = files(tmp_path, CAR + HARD, CAR.strip() + " 0.9\n")
    # One true positive of one object gives one threshold of 41, the first: an eleventh.
    assert measured(truth, prediction)[MIDDLE] == pytest.approx(100 / 11)
    silent = replace(truth, values={sk.BOXES3D: truth[sk.BOXES3D]}, valid={})
    assert measured(silent, prediction)[MIDDLE] == pytest.approx(100 / 11), "the threshold at recall 0"
    # Hidden objects that are counted make a threshold more at the same recall of one half.
    both = files(tmp_path, CAR + HARD, CAR.strip() + " 0.9\n" + HARD.strip() + " 0.8\n")
    values = {sk.BOXES3D: both[0][sk.BOXES3D]}
    harder = measured(replace(both[0], values=values, valid={}), both[1])["KITTI/Car_3D_AP40_moderate_strict"]
    assert harder > measured(*both)["KITTI/Car_3D_AP40_moderate_strict"]


def test_objects_without_3d_box_are_ignored_with_their_detections(tmp_path: Path) -> None:
    truth, prediction = files(tmp_path, CAR + HARD, HARD.strip() + " 0.95\n" + CAR.strip() + " 0.9\n")
    unknown = replace(truth, valid={sk.BOXES3D: torch.tensor([True, False])}, values={sk.BOXES3D: truth[sk.BOXES3D]})
    assert measured(unknown, prediction)[MIDDLE] == pytest.approx(100 / 11), "no false positive before it"
    ignored = replace(truth, streams={sk.OBJECTS: replace(truth.objects, ignore=torch.tensor([False, True]))})
    assert measured(ignored, prediction)[MIDDLE] == pytest.approx(100 / 11)


def test_other_words_for_the_classes() -> None:
    vocabulary = sk.Vocabulary(("person", "tree"))
    with pytest.raises(InputError, match="this vocabulary has person, tree: say which of these is which"):
        KittiEvaluator(vocabulary)
    evaluator = KittiEvaluator(vocabulary, {"person": "Pedestrian"})
    with pytest.raises(InputError, match="different classes cannot be merged"):
        evaluator.merge(KittiEvaluator(vocabulary, {"person": "Cyclist"}))


@pytest.mark.parametrize(
    "names, message",
    [
        ({"persn": "Pedestrian"}, "persn: Pedestrian: unknown 'persn'.*person"),
        ({"person": "Pedestrain"}, "person: Pedestrain: unknown 'Pedestrain'.*Pedestrian"),
    ],
)
def test_words_that_are_none(names: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KittiEvaluator(sk.Vocabulary(("person", "car")), names)


def task(**options: Any) -> Evaluator:
    recipe = {"pyramid": {"channels": 8}, "tasks": {"boxes3d": {"fcs": [8], **options}}}
    return evaluators(sk.build(ModelConfig.model_validate(recipe), VOCABULARY), ["boxes3d"])["boxes3d"]


def test_the_task_measures_by_it_where_its_options_say_so() -> None:
    first, second = task(kitti={}), task(kitti={})
    for number, (truth, prediction) in enumerate(images()):
        (first if number < 7 else second).update(truth, prediction)
    first.merge(second)
    result = first.result()
    assert {name: result["kitti"][name] for name in STORED} == pytest.approx(STORED, abs=1e-4)
    name = "KITTI/Car_3D_AP40_moderate_strict"
    assert result[name] == result["kitti"][name]
    assert sum(name.startswith("KITTI/") for name in result) == 12, "three classes, four metrics"
    assert "kitti" not in task().result()
    with pytest.raises(InputError, match="with and without KITTI's protocol"):
        first.merge(task())
