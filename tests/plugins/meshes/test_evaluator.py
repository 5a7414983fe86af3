"""Mesh R-CNN's metrics of meshes and of scenes, held against the authors' program and cases by hand."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError
from scenekit.structures import Meshes
from scenekit_plugins.meshes.comparison import compare_meshes, has_surface
from scenekit_plugins.meshes.evaluator import MeshEvaluator
from scenekit_plugins.meshes.ops import ico_sphere
from tests.plugins.meshes import pix3d_results

STORED = np.load(Path(__file__).parents[2] / "reference" / "mesh3d" / "meshrcnn_metrics.npz")
CASES = json.loads(str(STORED["meta"]))["cases"]
VOCABULARY = sk.Vocabulary(("ball", "box"))
FEW = 1000


def stored_meshes(name: str) -> Meshes:
    packed = (torch.from_numpy(STORED[f"{name}/{part}"]) for part in ("verts", "faces"))
    counts = (STORED[f"{name}/num_{part}"].tolist() for part in ("verts", "faces"))
    verts, faces = (torch.split(part, count) for part, count in zip(packed, counts, strict=True))
    return Meshes.from_lists(verts, faces)


@pytest.mark.parametrize("case", ["default_gt10", "p2m", "tuple_scale", "one_gt"])
def test_meshes_compared_as_by_mesh_rcnn(case: str) -> None:
    pred, gt = stored_meshes("pred"), stored_meshes("gt")
    options: dict[str, Any] = dict(CASES[case]["args"]["kwargs"])
    if isinstance(options.get("scale"), list):
        options["scale"] = tuple(options["scale"])
    true = gt[[0]] if case == "one_gt" else gt
    found = compare_meshes(pred, true, generator=torch.Generator().manual_seed(1), **options)
    names = [name.split("/")[1].removesuffix("|mean_f64") for name in STORED.files if name.startswith(f"{case}/")]
    for name in {name for name in names if "|" not in name}:
        measure, _, cutoff = name.partition("@")
        value = found[f"{measure}@{float(cutoff):g}" if cutoff else name].double().numpy()
        mean, std = (STORED[f"{case}/{name}|{part}_f64"] for part in ("mean", "std"))
        tolerance = np.maximum(5 * std, 0.5 if cutoff else 1e-6)
        assert (np.abs(value - mean) <= tolerance).all(), (name, value, mean, tolerance)


def test_average_precision_is_that_of_mesh_rcnn() -> None:
    evaluator = MeshEvaluator(pix3d_results.VOCABULARY)
    for truth, prediction in pix3d_results.images():
        evaluator.update(truth, prediction)
    result, stored = evaluator.result(), pix3d_results.stored_results()
    placed = evaluator.shapes["mesh as placed"].result()
    for kind in ("box", "mask", "mesh"):
        by_class = placed if kind == "mesh" else evaluator.shapes[kind].result()
        for name, value in by_class.items():
            assert value == pytest.approx(stored[f"{kind}_ap@0.5 - {name}"][0], abs=1e-6)
    assert result["AP_mesh as placed"] == pytest.approx(stored["mesh_ap@0.5"][0], abs=1e-6)
    assert result["AP_box"] == pytest.approx(stored["box_ap@0.5"][0], abs=1e-6)
    assert result["AP_mask"] == pytest.approx(stored["mask_ap@0.5"][0], abs=1e-6)


# By hand: balls of radius 1 at depth 10, which a camera of focal length 100 sees 20 pixels wide.


def ball(x: float, depth: float = 10.0, radius: float = 1.0) -> tuple[Tensor, Tensor]:
    sphere = ico_sphere(2)
    return sphere.verts * radius + torch.tensor([x, 0.0, depth]), sphere.faces


def scene(balls: list[tuple[Tensor, Tensor]], boxes: list[float], **columns: Any) -> sk.Scene:
    """Boxes 20 pixels wide at these x, with a label (or that of the first class) and perhaps scores."""
    corners = torch.tensor([[x, 40.0, x + 20, 60.0] for x in boxes]).reshape(-1, 4)
    labels = torch.tensor(columns.pop("labels", [0] * len(boxes)), dtype=torch.int64)
    objects = sk.Objects(corners, labels, **{name: torch.tensor(value) for name, value in columns.items()})
    meshes = Meshes.from_lists([verts for verts, _ in balls], [faces for _, faces in balls])
    return sk.Scene((100, 100), VOCABULARY, {sk.OBJECTS: objects}, {sk.MESHES: meshes})


def labelled(truth: sk.Scene, **claims: Any) -> sk.Sample:
    supervision = sk.Supervision(**{"keys": frozenset({sk.MESHES}), **claims})
    return sk.Sample(torch.zeros(3, 100, 100, dtype=torch.uint8), truth, supervision, 7)


def measured(truth: sk.Sample, prediction: sk.Scene) -> dict[str, Any]:
    evaluator = MeshEvaluator(VOCABULARY, FEW, FEW)
    evaluator.update(truth, prediction)
    return evaluator.result()


TWO = scene([ball(-2), ball(2)], [20.0, 60.0], labels=[0, 1])


def test_perfect_predictions() -> None:
    result = measured(labelled(TWO), replace(TWO, streams={sk.OBJECTS: replace(TWO.objects, scores=torch.ones(2))}))
    assert result["AP_mesh"] == result["AP_mesh as placed"] == result["AP_box"] == 1
    assert result["F1@0.5"] > 90 and result["Chamfer-L2"] < 0.3 and result["NormalConsistency"] > 0.97
    assert result["matched"] == 2 and result["without mesh"] == 0
    assert "AP_mask" not in result


def test_depth_is_the_true_one_unless_as_placed() -> None:
    """A ball of twice the size at twice the depth looks the same, and is moved to the same place."""
    found = scene([ball(-4, 20, 2), ball(2)], [20.0, 60.0], labels=[0, 1], scores=[0.9, 0.8])
    result = measured(labelled(TWO), found)
    assert result["AP_mesh"] == 1 and result["AP_mesh as placed"] == 0.5
    assert result["per_category"]["ball"]["F1 as placed@0.5"] == 0
    assert result["per_category"]["ball"]["F1@0.5"] == pytest.approx(result["per_category"]["box"]["F1@0.5"], abs=3)


def test_an_object_is_covered_once_and_best_scores_choose_first() -> None:
    """Two of three detections of one ball are right: the second is too many, though it is as good as the first."""
    one = scene([ball(-2)], [20.0])
    found = scene([ball(-2), ball(-2, radius=2), ball(-2)], [20.0] * 3, scores=[0.5, 0.9, 0.8])
    result = measured(labelled(one), found)
    assert result["AP_mesh"] == pytest.approx(1 / 2), "the wrong shape comes first"
    assert result["matched"] == 1 and result["F1@0.5"] < 20, "the best score stands for the object"


def test_wrong_class_and_wrong_place() -> None:
    one = scene([ball(-2)], [20.0])
    assert measured(labelled(one), scene([ball(-2)], [20.0], labels=[1], scores=[0.9]))["AP_mesh"] == 0
    elsewhere = scene([ball(-2), ball(4)], [20.0, 80.0], scores=[0.5, 0.9])
    assert measured(labelled(one), elsewhere)["AP_mesh"] == 0.5
    assert measured(labelled(one, exhaustive=frozenset()), elsewhere)["AP_mesh"] == 1, "it may be of an unlabelled one"


def test_objects_without_a_mesh_and_crowds_are_ignored() -> None:
    truth = scene([ball(-2), ball(0), ball(2)], [0.0, 40.0, 80.0], crowd=[False, True, False])
    truth = replace(truth, valid={sk.MESHES: torch.tensor([True, True, False])})
    found = scene([ball(-2), ball(0), ball(2)], [0.0, 40.0, 80.0], scores=[0.1, 0.9, 0.9])
    result = measured(labelled(truth), found)
    assert result["AP_mesh"] == 1 and result["matched"] == 1


def test_classes_that_are_not_covered_are_passed_over() -> None:
    found = scene([ball(-2), ball(2)], [20.0, 60.0], labels=[0, 1], scores=[0.5, 0.9])
    result = measured(labelled(TWO, classes=frozenset({"ball"})), found)
    assert result["per_category"]["ball"]["AP_mesh"] == 1 and math.isnan(result["per_category"]["box"]["AP_mesh"])


@pytest.mark.parametrize("fault", ["nothing", "no faces", "NaN", "behind"])
def test_predictions_without_a_surface_are_wrong(fault: str) -> None:
    verts, faces = ball(-2)
    bad = {
        "nothing": (verts[:0], faces[:0]),
        "no faces": (verts, faces[:0]),
        "NaN": (verts.index_fill(0, torch.tensor([3]), torch.nan), faces),
        "behind": (verts - torch.tensor([0.0, 0, 30]), faces),
    }[fault]
    result = measured(labelled(scene([ball(-2)], [20.0])), scene([bad], [20.0], scores=[0.9]))
    assert result["AP_mesh"] == 0 and result["F1@0.5"] == 0 and result["matched"] == 1
    assert result["without mesh"] == (fault != "behind")
    assert math.isnan(result["Chamfer-L2"]) == (fault != "behind")


def test_merged_parts_are_the_whole_and_sampling_is_the_same_each_time() -> None:
    found = scene([ball(-2.2), ball(2)], [20.0, 60.0], labels=[0, 1], scores=[0.5, 0.9])
    whole, first, second = (MeshEvaluator(VOCABULARY, FEW, 100) for _ in range(3))
    other = replace(labelled(TWO), id=8)
    for sample, part in ((labelled(TWO), first), (other, second)):
        whole.update(sample, found)
        part.update(sample, found)
    first.merge(pickle.loads(pickle.dumps(second)))
    assert first.result() == whole.result()
    with pytest.raises(InputError, match="other numbers of samples, cannot be merged"):
        first.merge(MeshEvaluator(VOCABULARY, FEW, FEW))


def test_nothing_to_measure() -> None:
    empty = scene([], [])
    assert math.isnan(measured(labelled(empty), empty)["AP_mesh"])
    silent = labelled(TWO, keys=frozenset())
    assert measured(silent, empty)["matched"] == 0
    assert measured(labelled(TWO), empty)["AP_mesh"] == 0


def test_meshes_without_a_surface_cannot_be_compared() -> None:
    verts, faces = ball(0)
    meshes = Meshes.from_lists([verts, verts, verts * 0], [faces, faces[:0], faces])
    assert has_surface(meshes).tolist() == [True, False, False]
    with pytest.raises(InputError, match=r"the predicted ones \[1, 2\] have no surface"):
        compare_meshes(meshes, meshes[[0, 0, 0]])
    with pytest.raises(InputError, match="as many true meshes as predicted ones, or one, expected; got 2 and 3"):
        compare_meshes(meshes, meshes[[0, 0]])
    assert compare_meshes(meshes[[]], meshes[[0]]) == {}
