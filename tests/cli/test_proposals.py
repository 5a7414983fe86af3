"""`scenekit proposals`, and `scenekit score proposals` on what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

SMALL = ("--set", "cache=false", "--limit", "2")


@pytest.fixture(scope="module")
def ground_truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of the images that the tests propose boxes for, in COCO's layout."""
    import scenekit as sk

    data = sk.dataset("synthetic", split="val", cache=False)
    images, annotations = [], []
    for sample in (data[number] for number in range(2)):
        height, width = sample.scene.size
        images.append({"id": sample.id, "height": height, "width": width})
        for x0, y0, x1, y1 in sample.scene.objects.boxes.tolist():
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({"id": len(annotations) + 1, "image_id": sample.id, "category_id": 1, "bbox": box})
    path = tmp_path_factory.mktemp("truth") / "gt.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}))
    return path


def test_windows_are_written_and_scored(run, tmp_path: Path, ground_truth: Path) -> None:
    out, plot = tmp_path / "windows.json", tmp_path / "recall.png"
    windows = ("--source", "sliding_window", "--with", "scales=[24, 48]", "--with", "stride=0.2", "--number", "700")
    written = run("proposals", "synthetic", *SMALL, *windows, "-o", out, "--json").json
    assert written == {"proposals": str(out), "images": 2, "boxes": 1400}
    scores = run("score", "proposals", ground_truth, out, "--plot", plot, "--json").json
    assert scores["proposals"] == 700 and 0 <= scores["AR100"] <= scores["AR1000"] < 1
    assert Image.open(plot).size == (880, 340)
    table = run("score", "proposals", ground_truth, out).out
    assert "AR300" in table and "curves" not in table


def test_the_proposals_of_a_model(run, tiny_model: str, tmp_path: Path, ground_truth: Path) -> None:
    out = tmp_path / "rpn.json"
    result = run("proposals", "synthetic", *SMALL, "--model", tiny_model, "--number", "5", "-o", out)
    assert result.status == 0 and f"wrote 10 boxes of 2 images to {out}" in result.out
    assert run("score", "proposals", ground_truth, out, "--json").json["proposals"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--source selective_search, or --model small"),
        (("--source", "sliding_window", "--model", "small"), "--source selective_search, or --model small"),
        (("--model", "small", "--with", "mode=fast"), "--with is for --source"),
        (("--source", "sliding"), "'sliding_window', 'selective_search', 'rpn' or 'files', got 'sliding'"),
        (("--source", "sliding_window", "--with", "scale=3"), "did you mean 'scales'"),
        (("--source", "sliding_window", "--with", "stride=2"), "less than or equal to 1, got 2"),
        (("--source", "rpn"), "need the weights of a model"),
    ],
)
def test_bad_input(run, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = run("proposals", "synthetic", *SMALL, *options, "-o", tmp_path / "p.json")
    assert result.status == 2 and message in result.err
    assert not list(tmp_path.iterdir())


def test_the_drawing_is_a_png_in_a_folder_that_is_made(run, refused, tmp_path: Path, ground_truth: Path) -> None:
    box = {"image_id": 0, "bbox": [0, 0, 9, 9], "score": 1}
    (tmp_path / "p.json").write_text(json.dumps([box]))
    score = ("score", "proposals", ground_truth, tmp_path / "p.json", "--plot")
    assert "expected a name that ends in .png" in refused(*score, tmp_path / "recall.pdf")
    assert run(*score, tmp_path / "new" / "recall.png").status == 0
    assert Image.open(tmp_path / "new" / "recall.png").format == "PNG"


def test_files_are_named_where_asked(run, tmp_path: Path) -> None:
    """Synthetic scenes have no file, a folder of images has."""
    (tmp_path / "images" / "cat").mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "cat" / "a.png")
    data = ("image_folder", "--set", f"root={tmp_path / 'images'}", "--split", "train", "--source", "sliding_window")
    for option, file in (((), None), (("--file-names",), str(tmp_path / "images" / "cat" / "a.png"))):
        assert run("proposals", *data, "--number", "1", *option, "-o", tmp_path / "p.json").status == 0
        (entry,) = json.loads((tmp_path / "p.json").read_text())
        assert (entry["image_id"], entry.get("file_name")) == (0, file)


def test_a_folder_that_is_missing_is_reported(run, tmp_path: Path) -> None:
    out = tmp_path / "none" / "p.json"
    result = run("proposals", "synthetic", *SMALL, "--source", "sliding_window", "-o", out)
    assert result.status == 2 and "none" in result.err
