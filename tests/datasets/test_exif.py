"""Photographs with an EXIF orientation: turned upright, or as they are stored; messages name the tag."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import scenekit as sk
from scenekit.data.inspection import inspect
from scenekit.errors import InputError
from scenekit.io.images import ORIENTATION, orientation_of, read_image

STORED = np.zeros((4, 6, 3), dtype=np.uint8)
STORED[0, 0] = 255  # white in the upper left corner


def photograph(path: Path, turn: int) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    Image.fromarray(STORED).save(path, exif=exif)
    return path


def opened(folder: Path, turn: int, size: tuple[int, int], **options: Any) -> Any:
    """A data set of one image whose size is given as (height, width), with a box in its upper left corner."""
    photograph(folder / "1.png", turn)
    document = {
        "images": [{"id": 1, "file_name": "1.png", "height": size[0], "width": size[1]}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}],
    }
    (folder / "a.json").write_text(json.dumps(document))
    return sk.dataset("coco", annotations=str(folder / "a.json"), **options)


@pytest.mark.parametrize(
    ("turn", "corner"), [(1, (0, 0)), (2, (0, 5)), (3, (3, 5)), (4, (3, 0)), (6, (0, 3)), (8, (5, 0))]
)
def test_upright_or_as_stored(tmp_path: Path, turn: int, corner: tuple[int, int]) -> None:
    """Orientations as in the standard: 6 is to be rotated by 90 degrees clockwise, 8 by 270."""
    path = photograph(tmp_path / "a.png", turn)
    assert orientation_of(path) == turn
    assert tuple(read_image(path)[0].nonzero()[0].tolist()) == corner
    assert tuple(read_image(path, upright=False)[0].nonzero()[0].tolist()) == (0, 0)


def test_no_orientation(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert orientation_of(tmp_path / "a.png") == orientation_of(tmp_path / "missing.png") == 1
    assert orientation_of(photograph(tmp_path / "b.png", 77)) == 1


def test_a_quarter_turn_that_the_sizes_do_not_know(tmp_path: Path) -> None:
    expected = (
        r"given as \[4, 6\], .*1.png has \[6, 4\] when it is rotated by 90 degrees, as its EXIF orientation 6 says"
    )
    with pytest.raises(InputError, match=expected + "; open the data set with exif=ignore"):
        opened(tmp_path, 6, (4, 6))[0]
    image = opened(tmp_path, 6, (4, 6), exif="ignore")[0].image
    assert image.shape == (3, 4, 6) and image[0, 0, 0] == 255
    assert opened(tmp_path, 6, (4, 6), exif="ignore")[0].scene.draw().size[0] % 6 == 0, "drawn on the stored image"
    assert opened(tmp_path, 6, (6, 4))[0].image[0, 0, 3] == 255
    with pytest.raises(InputError, match=r"\[4, 6\] as it is stored; its EXIF orientation is 6: open .* exif=apply"):
        opened(tmp_path, 6, (6, 4), exif="ignore")[0]


def test_a_size_that_no_turn_explains(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1.png has \[6, 4\]$"):
        opened(tmp_path, 6, (5, 6))[0]
    with pytest.raises(InputError, match=r"1.png has \[4, 6\]$"):
        opened(tmp_path, 3, (6, 4))[0]


@pytest.mark.parametrize(
    ("turn", "what"), [(3, "rotated by 180 degrees"), (2, "mirrored"), (4, "mirrored top to bottom")]
)
def test_the_inspection_notes_turns_that_keep_the_size(tmp_path: Path, turn: int, what: str) -> None:
    notes = inspect(opened(tmp_path, turn, (4, 6))).to_json()["notes"]
    ((kind, found),) = notes.items()
    assert "EXIF" in kind and "exif=ignore" in kind and found == {"count": 1, "places": [f"image 1, {what}"]}


@pytest.mark.parametrize("name", ["coco", "kitti", "omni3d", "pix3d", "visual_genome"])
def test_every_data_set_of_photographs_has_the_option(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"exif must be 'apply' .* or 'ignore' .*, got 'no'"):
        sk.dataset(name, root=str(tmp_path), exif="no")
