"""Heads of several models on one trunk: each predicts as in its own model, or is refused with the reason."""

import json
import re
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.cli.main import main
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, SEMANTIC
from scenekit.recipe import Recipe
from scenekit.training.adding import with_added_task
from scenekit.training.loop import train
from scenekit.weights.grafting import Scion, graft
from tests.training import toy

toy.register()


def recipe(*tasks: str, seed: int = 0) -> Recipe:
    whole = toy.recipe(steps=1, ema=None, seed=seed).model_dump(mode="json")
    whole["model"]["tasks"] = {name: whole["model"]["tasks"][name] for name in tasks}
    return Recipe.parse(whole)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a` segments, `b` is `a` with masks, `c` is `a` with keypoints, `other` has another trunk."""
    out = tmp_path_factory.mktemp("runs")
    train(recipe("semantic"), out=out / "a", device="cpu", progress=False)
    for name, task in (("b", "masks"), ("c", "keypoints")):
        added = with_added_task(recipe(task), task, str(out / "a" / "model"))
        train(added, out=out / name, device="cpu", progress=False)
    train(recipe("masks", seed=1), out=out / "other", device="cpu", progress=False)
    return out


def model(runs: Path, name: str) -> str:
    return str(runs / name / "model")


def test_each_head_predicts_as_in_its_own_model(runs: Path) -> None:
    scions = [Scion(model(runs, "a")), Scion(model(runs, "b"), ("masks",)), Scion(model(runs, "c"), ("keypoints",))]
    joint, origins = graft(scions)
    assert joint.tasks == ("semantic", "masks", "keypoints") and origins["masks"] == model(runs, "b")
    image = toy.Toys()[0].image
    found = joint.predict(image, threshold=0.0)
    first, second, third = (sk.load(model(runs, name)).predict(image, threshold=0.0) for name in "abc")
    assert len(found.objects) and torch.equal(found.objects.scores, first.objects.scores)
    assert torch.equal(found[SEMANTIC], first[SEMANTIC])
    assert torch.equal(found[MASKS].dense, second[MASKS].dense)
    assert torch.equal(found[KEYPOINTS].xy.nan_to_num(-1), third[KEYPOINTS].xy.nan_to_num(-1))


def test_the_command_writes_the_model_with_its_origins(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = model(runs, "a"), model(runs, "b")
    with pytest.raises(SystemExit) as leaving:
        main(["graft", f"{a}:trunk,detection", f"{b}:masks", "-o", str(runs / "joint"), "--json"])
    assert leaving.value.code == 0
    written = json.loads(capsys.readouterr().out)
    assert written["tasks"] == ["masks"] and written["from"]["backbone"] == a and written["from"]["masks"] == b
    assert sk.load(runs / "joint").tasks == ("masks",)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("a", "other:masks"), r"'masks' of .*other/model reads 'backbone', whose weights differ in .*a/model: net\."),
        (("b", "c"), "both give 'semantic'; name it for one of them"),
        (("a", "b:trunk,masks"), "trunk and detection are those of the first model"),
        (("a", "b:mask"), "has no task 'mask'; did you mean 'masks'"),
        (("a:semantics",), "has no task 'semantics'; did you mean 'semantic'"),
    ],
)
def test_refusals(texts: tuple[str, ...], message: str, runs: Path) -> None:
    scions = []
    for text in texts:
        name, colon, parts = text.partition(":")
        scions.append(Scion.parse(f"{model(runs, name)}{colon}{parts}"))
    with pytest.raises(InputError, match=message):
        graft(scions)


def test_models_of_other_images_or_classes_are_refused(runs: Path, tmp_path: Path) -> None:
    wider = recipe("masks").model_dump(mode="json")
    wider["model"]["input"]["max_size"] = 128
    train(Recipe.parse(wider), out=tmp_path, device="cpu", progress=False)
    message = re.escape("differ in model.input; only heads that were trained on the same trunk and detector")
    with pytest.raises(InputError, match=message):
        graft([Scion(model(runs, "a")), Scion(str(tmp_path / "model"))])


def test_how_parts_are_written() -> None:
    assert Scion.parse("runs/a/model:trunk, masks") == Scion("runs/a/model", ("trunk", "masks"))
    assert Scion.parse("owner/name@v1") == Scion("owner/name@v1")
    assert Scion.parse("C:/models/a") == Scion("C:/models/a")
    for wrong in ("a:", ":masks", "a:masks,"):
        with pytest.raises(InputError, match="expected a model and its parts"):
            Scion.parse(wrong)
