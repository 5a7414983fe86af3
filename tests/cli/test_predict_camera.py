"""`scenekit predict --focal`: what took the images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((60, 80, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_focal_length_is_that_of_the_images(run, tiny_model, photo) -> None:
    common = ("predict", photo, "--model", tiny_model, "--tasks", "semantic", "--json")
    (scene,) = run(*common, "--focal", "70").json
    assert scene["image"]["camera"] == {"matrix": [[70, 0, 40], [0, 70, 30], [0, 0, 1]], "assumed": False}
    (scene,) = run(*common).json
    assert scene["image"]["camera"]["assumed"] is True


def test_an_impossible_focal_length_is_refused(refused, tiny_model, photo) -> None:
    said = refused("predict", photo, "--model", tiny_model, "--focal", "-3")
    assert "focal lengths above 0, got fx, fy = (-3.0, -3.0)" in said


def test_millimetres_are_no_pixels(refused, tiny_model, photo) -> None:
    said = refused("predict", photo, "--model", tiny_model, "--focal", "4.2")
    assert "--focal 4.2: expected pixels; an image of 80 x 60 would span 168 degrees" in " ".join(said.split())
