"""`scenekit convert` and the models that it writes, with a source of weights made for the purpose."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import scenekit as sk
from scenekit.errors import InputError
from scenekit.hooks import Origin, registry
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit.weights.convert import renamed

from .. import tiny
from .conftest import Result

Run, Refused = Callable[..., Result], Callable[..., str]


CLASSIFIER = {"backbone": {"name": "mobilenet_v3_small"}, "pyramid": None, "detector": None}
"""Of three classes of images, without objects."""


class Zoo:
    """Its files hold state dicts of the tiny model."""

    @sk.hookimpl
    def scenekit_weights(self) -> Iterator[sk.WeightSource]:
        yield sk.WeightSource("acme", "models of the acme zoo", load=unavailable, convert=read, names=("street",))
        yield sk.WeightSource("closed", "a zoo without files", load=unavailable)


def unavailable(name: str) -> SceneModel:
    raise InputError(f"{name} is not at hand")


def read(name: str, file: Path) -> SceneModel:
    if name != "street":
        raise InputError(f"acme knows street, not {name!r}, but {file} may be of another one")
    model = sk.build(tiny.config(("masks", "keypoints")), tiny.VOCABULARY)
    model.load_state_dict(torch.load(file, weights_only=True))
    return model


@pytest.fixture(autouse=True)
def zoo() -> Iterator[None]:
    plugin = Zoo()
    registry().add(plugin, Origin("zoo", "tests", "0"))
    yield
    registry().manager.unregister(plugin)
    for name in ("acme", "closed"):
        del registry().records["weights"][name]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = sk.build(tiny.config(("masks", "keypoints")), tiny.VOCABULARY)
    torch.save(model.state_dict(), tmp_path / "state.pth")
    return tmp_path / "state.pth"


@pytest.mark.parametrize("out", ["model.safetensors", "deep/model.safetensors", "model"])
def test_a_file_or_a_folder_that_loads(run: Run, checkpoint: Path, tmp_path: Path, out: str) -> None:
    result = run("convert", "acme/street", checkpoint, "-o", tmp_path / out)
    assert (result.status, result.err) == (0, "") and f"--model {tmp_path / out}" in result.out
    model, state = sk.load(tmp_path / out), torch.load(checkpoint, weights_only=True)
    assert model.tasks == ("masks", "keypoints") and model.vocabulary == tiny.VOCABULARY and not model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_label_file_that_begins_with_background(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("???\nmug\nhuman\n")
    run("convert", "acme/street", checkpoint, "-o", tmp_path / "model", "--labels", tmp_path / "labels.txt")
    assert sk.load(tmp_path / "model").vocabulary.things == ("mug", "human")


def test_json(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    told = run("convert", "acme/street", checkpoint, "--out", out, "--json").json
    assert told == {"model": str(out), "tasks": ["masks", "keypoints"], "classes": 4}
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "state.pth"}


def test_the_file_serves_as_a_model(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    run("convert", "acme/street", checkpoint, "-o", out)
    from PIL import Image

    Image.new("RGB", (64, 48)).save(tmp_path / "picture.png")
    assert run("predict", tmp_path / "picture.png", "--model", out, "--json").status == 0


def test_labels(run: Run, refused: Refused, checkpoint: Path, tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    for text, things, stuff in (
        ("\ufeffmug\n\n  human\n", ("mug", "human"), ("floor", "wall")),
        ("mug\nhuman\ngrass\nsky", ("mug", "human"), ("grass", "sky")),
    ):
        names.write_text(text)
        run("convert", "acme/street", checkpoint, "-o", tmp_path / "model", "--labels", names)
        vocabulary = sk.load(tmp_path / "model").vocabulary
        assert (vocabulary.things, vocabulary.stuff) == (things, stuff)
        assert vocabulary.skeletons == {"human": tiny.SKELETON}
    names.write_text("one\n")
    wrong = refused("convert", "acme/street", checkpoint, "-o", tmp_path / "none", "--labels", names)
    assert "has 2 classes; expected as many labels (or 4, with the stuff), got 1" in wrong
    assert "labels.md: no such file" in refused(
        "convert", "acme/street", checkpoint, "-o", tmp_path / "none", "--labels", tmp_path / "labels.md"
    )
    assert not (tmp_path / "none").exists()


def test_an_entry_of_the_file(run: Run, refused: Refused, checkpoint: Path, tmp_path: Path) -> None:
    """The source itself reads plain state dicts only."""
    state = torch.load(checkpoint, weights_only=True)
    first = next(iter(state))
    averaged = {"n_averaged": torch.tensor(3)}
    averaged |= {f"module.{name}": value + (name == first) for name, value in state.items()}
    torch.save({"model": state, "model_ema": averaged, "args": argparse.Namespace(lr=0.1)}, checkpoint)
    for entry, added in (("model", 0), ("model_ema", 1)):
        run("convert", "acme/street", checkpoint, "-o", tmp_path / entry, "--entry", entry)
        assert torch.equal(sk.load(tmp_path / entry).state_dict()[first], state[first] + added)
    told = refused("convert", "acme/street", checkpoint, "-o", tmp_path / "none", "--entry", "ema")
    assert f"weights file {checkpoint} " in told
    assert "has no weights under 'ema'; did you mean 'model_ema'?" in told


def test_bad_input(refused: Refused, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    assert "unknown source of weights 'acne'; did you mean 'acme'?" in refused(
        "convert", "acne/street", checkpoint, "-o", out
    )
    assert "acme knows street, not ''" in refused("convert", "acme", checkpoint, "-o", out)
    torch.save({"model": torch.load(checkpoint, weights_only=True)}, checkpoint)
    assert f"but {checkpoint} (model) may be" in refused("convert", "acme", checkpoint, "-o", out, "--entry", "model")
    assert "loaded by name, not converted" in refused("convert", "closed", checkpoint, "-o", out)
    assert "none.pth: no such file" in refused("convert", "acme/street", tmp_path / "none.pth", "-o", out)
    assert "expected a file, got a folder" in refused("convert", "acme/street", tmp_path, "-o", out)
    assert "expected a file ending in .safetensors or a folder" in refused(
        "convert", "acme/street", checkpoint, "-o", tmp_path / "model.pth"
    )
    assert not out.exists()


def test_what_cannot_be_written(refused: Refused, checkpoint: Path) -> None:
    assert "state.pth" in refused("convert", "acme/street", checkpoint, "-o", checkpoint / "model.safetensors")


def test_damaged_models_of_one_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    run("convert", "acme/street", checkpoint, "-o", out)
    content = out.read_bytes()
    for damaged, reason in (
        (content[:-10], "cut off"),
        (content[:100], "cut off"),
        (b"", "cut off"),
    ):
        out.write_bytes(damaged)
        faulty(out, reason)
    save_file(load_file_of(content, tmp_path), out)
    faulty(out, "no manifest of scenekit; convert it")
    out.unlink()
    faulty(out, "model.safetensors: no such file")


def load_file_of(content: bytes, folder: Path) -> dict[str, torch.Tensor]:
    (folder / "whole.safetensors").write_bytes(content)
    return load_file(folder / "whole.safetensors")


def faulty(model: Path, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        sk.load(str(model))
    assert "\n" not in str(caught.value)


def test_labels_of_a_classifier_are_those_of_images() -> None:
    config = ModelConfig.model_validate({**CLASSIFIER, "tasks": {"classification": {}}})
    model = build(config, Vocabulary(things=(), lists={"image_classes": ("class 1", "class 2", "class 3")}))
    other = renamed(model, ["cat", "dog", "fish"])
    assert other.vocabulary.names("image_classes") == ("cat", "dog", "fish") and not other.vocabulary.things
    assert torch.equal(other.heads["classification"].predictor.weight, model.heads["classification"].predictor.weight)
    with pytest.raises(InputError, match="has 3 classes of images; expected as many labels, got 1"):
        renamed(model, ["cat"])
