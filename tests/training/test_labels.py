"""A run whose data has no labels for any of its tasks is refused before its first step."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scenekit.errors import InputError
from scenekit.recipe import Recipe
from scenekit.training.loop import train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "dog/1.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        Image.new("RGB", (40, 32)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def recipe(folder: Path, detector: str | None = None, **tasks: Any) -> Recipe:
    return Recipe.parse(
        {
            "model": {
                "input": {"min_size": 32, "max_size": 64},
                "backbone": {"name": "mobilenet_v3_small", "options": {"norm": "frozen"}},
                "pyramid": None if detector is None else {"channels": 16},
                "detector": detector,
                "tasks": {name: {"hidden": [4], "pooled": 1} for name in tasks},
            },
            "data": {"train": [{"name": "image_folder", "options": {"root": str(folder)}}]},
            "train": {"steps": 1, "batch_size": 2, "warmup": 0, "workers": 0},
        }
    )


def test_localization_without_boxes_is_refused_and_told_what_would_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        train(recipe(folder, localization=1), out=tmp_path / "run", device="cpu", progress=False)
    assert str(raised.value) == (
        "nothing to learn from: localization learns from localization; no image of image_folder/train has any of it. "
        "Name a data set with localization, or one with objects and data.labelers: [largest_object], or the task "
        "classification, which learns from what there is"
    )
    assert not (tmp_path / "run").exists(), "nothing was written"


def test_a_detector_without_objects_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"detection learns from objects; .* Name a data set with objects, or the task cl"
    ):
        train(recipe(folder, detector="retinanet"), out=tmp_path / "run", device="cpu", progress=False)


def test_one_task_with_labels_suffices(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beside classification, localization costs a warning."""
    both = recipe(folder, classification=1, localization=1)
    model = train(both, out=tmp_path / "run", device="cpu", progress=False)
    assert model.tasks == ("classification", "localization")
    assert "nothing supervises the task localization" in caplog.text
    only = both.model_copy(update={"train": both.train.model_copy(update={"only": ("localization",)})})
    with pytest.raises(InputError, match="nothing to learn from: localization learns from"):
        train(only, out=tmp_path / "only", device="cpu", progress=False)
