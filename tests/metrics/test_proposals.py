"""Recall of proposals: a case worked by hand, pycocotools, and files that cannot be scored."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from scenekit.errors import InputError
from scenekit.io.proposal_files import read_proposals, write_proposals
from scenekit.metrics.notes import Notes
from scenekit.metrics.proposals import COUNTS, LIMITS, ProposalRecall, score_proposal_files
from tests.metrics.pycocotools_reference import HonoringIgnore, random_files

TWO = [[0, 0, 100, 100], [200, 0, 300, 100]]
PROPOSED = [[0, 0, 100, 82], [0, 0, 100, 60], [200, 0, 300, 92]]


def measured(*updates: tuple[Any, ...]) -> dict[str, Any]:
    recall = ProposalRecall()
    for number, update in enumerate(updates):
        recall.update(number, (300, 400), *update)
    return recall.result()


def official(truth: dict[str, Any], results: list[dict[str, Any]]) -> np.ndarray:
    """pycocotools without classes: recall [threshold, area range, number]."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = truth
        ground.createIndex()
        run = HonoringIgnore(ground, ground.loadRes(results), "bbox")
        run.params.useCats, run.params.maxDets = 0, list(COUNTS)
        run.evaluate()
        run.accumulate()
    return run.eval["recall"][:, 0]


def test_a_case_worked_by_hand() -> None:
    """IoU 0.82 is found at the 7 thresholds up to 0.8, IoU 0.92 at the 9 up to 0.9; an object is found but once."""
    scores = measured((TWO, PROPOSED, [0.9, 0.8, 0.7]))
    assert scores["curves"]["AR"][:3] == pytest.approx([7 / 20, 7 / 20, (7 + 9) / 20])
    assert scores["curves"]["R50"][:3] == pytest.approx([0.5, 0.5, 1.0])
    assert scores["curves"]["R75"][:3] == pytest.approx([0.5, 0.5, 1.0])
    assert scores["curves"]["R@100"] == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0])
    assert scores["AR100"] == scores["AR1000"] == scores["AR1000l"] == pytest.approx(0.8)
    assert scores["proposals"] == 3 and np.isnan(scores["AR1000s"])


def test_scores_rank_whatever_the_order_is() -> None:
    again = measured((TWO, PROPOSED[::-1], [0.7, 0.8, 0.9]))
    assert again["curves"] == measured((TWO, PROPOSED, [0.9, 0.8, 0.7]))["curves"]


def test_images_are_ranked_on_their_own() -> None:
    """One proposal of each image counts at "1 proposal", whatever the scores of other images are."""
    scores = measured((TWO[:1], TWO[:1], [0.1]), (TWO[1:], [[0, 0, 5, 5], TWO[1]], [0.9, 0.8]))
    assert scores["curves"]["AR"][:2] == pytest.approx([0.5, 1.0])


def test_an_image_without_proposals_misses_its_objects() -> None:
    assert measured((TWO, TWO, [0.9, 0.8]), (TWO, np.zeros((0, 4)), []))["AR100"] == pytest.approx(0.5)


def test_nothing_to_find_is_nan() -> None:
    scores = measured(([], TWO, [0.9, 0.8]))
    assert np.isnan(scores["AR100"]) and np.isnan(ProposalRecall().result()["AR100"])


def test_crowds_and_ignored_objects_do_not_count() -> None:
    recall = ProposalRecall()
    recall.update(1, (300, 400), [*TWO, [0, 150, 50, 200]], TWO[:1], [0.9], crowd=[0, 1, 0], ignore=[0, 0, 1])
    assert recall.result()["AR100"] == pytest.approx(1.0)


def test_merged_parts_are_the_whole() -> None:
    first, second, whole = ProposalRecall(), ProposalRecall(), ProposalRecall()
    for part, image in ((first, 1), (second, 2)):
        for recall in (part, whole):
            recall.update(image, (300, 400), TWO, PROPOSED[image:], [0.9, 0.8][: 3 - image])
    first.merge(second)
    assert json.dumps(first.result()) == json.dumps(whole.result()) and len(first) == 2


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    def written(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return written


@pytest.mark.parametrize("seed", range(3))
def test_files_equal_pycocotools(write: Any, seed: int) -> None:
    truth, results = random_files(seed)
    truth = json.loads(json.dumps(truth))
    # One category: pycocotools ranks equal scores by category even where it does not compare them.
    boxes = [{"category_id": 1, **{name: row[name] for name in ("image_id", "bbox", "score")}} for row in results]
    scores = score_proposal_files(write("gt.json", truth), write("proposals.json", boxes))
    recall = official(truth, json.loads(json.dumps(boxes)))
    for limit in LIMITS:
        assert scores[f"AR{limit}"] == pytest.approx(recall[:, 0, COUNTS.index(limit)].mean(), abs=1e-12)
        assert scores["curves"][f"R@{limit}"] == pytest.approx(recall[:, 0, COUNTS.index(limit)], abs=1e-12)
    assert scores["curves"]["AR"] == pytest.approx(recall[:, 0].mean(axis=0), abs=1e-12)
    for area, name in enumerate("sml", start=1):
        expected = recall[:, area, -1].mean()
        assert scores[f"AR1000{name}"] == pytest.approx(expected if expected >= 0 else np.nan, abs=1e-12, nan_ok=True)


TRUTH = {
    "images": [{"id": 7, "file_name": "val/a.jpg", "height": 300, "width": 400}, {"id": 8, "file_name": "val/b.jpg"}],
    "categories": [{"id": 1, "name": "cup"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 100, 100]}],
}
GOOD = {"image_id": 7, "bbox": [0, 0, 100, 82], "score": 0.5}


@pytest.mark.parametrize("name", [{"image_id": 7}, {"file_name": "val/a.jpg"}, {"file_name": "a.jpg"}])
def test_an_image_is_found_by_id_or_file(write: Any, name: Any) -> None:
    notes = Notes()
    boxes = [{"bbox": GOOD["bbox"], "score": 0.5, **name}]
    assert score_proposal_files(write("gt.json", TRUTH), write("p.json", boxes), notes)["AR100"] == pytest.approx(0.7)
    assert len(notes.lines()) == 1 and "no proposals for some images" in notes.lines()[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ({"boxes": []}, "list of objects"),
        ([3], "list of objects"),
        ([GOOD, {**GOOD, "bbox": [0, 0, 0, 5]}], r"entry 1 \(image_id 7\): .* both sides above 0"),
        ([{**GOOD, "bbox": [0, 0, -3, 5]}], "both sides above 0"),
        ([{**GOOD, "bbox": [0, 0, float("nan"), 5]}], "four finite numbers"),
        ([{**GOOD, "bbox": [0, 0, 5]}], "four finite numbers"),
        ([{"image_id": 7, "score": 1}], "'bbox' must be four"),
        ([{**GOOD, "score": 1.5}], "'score' must be a number of 0..1, got 1.5"),
        ([{**GOOD, "score": "high"}], "'score' must be"),
        ([{**GOOD, "score": True}], "'score' must be"),
        ([{"bbox": [0, 0, 5, 5], "score": 1}], "needs 'image_id', a whole number, or 'file_name'"),
        ([{**GOOD, "image_id": 7.5}], "needs 'image_id', a whole number"),
        ([GOOD, {**GOOD, "image_id": 9}], "entry 1: the ground truth does not list the image 9"),
        ([{"file_name": "c.jpg", "bbox": [0, 0, 5, 5], "score": 1}], 'does not list the image "c.jpg"'),
    ],
)
def test_invalid_files_are_refused_by_entry(write: Any, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        score_proposal_files(write("gt.json", TRUTH), write("p.json", content))
    assert "p.json" in str(caught.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    boxes, scores = np.array([[1.004, 2, 31.5, 42], [0, 0, 5, 6], [3, 3, 3.001, 9]]), np.array([0.25, 0.75, 0.5])
    path = tmp_path / "p.json"
    images = [
        (3, None, boxes, scores),
        (None, "b.jpg", boxes[:1], scores[:1]),
        (4, None, boxes[:0], scores[:0]),
    ]
    count = write_proposals(path, images)
    table = read_proposals(path)
    assert count == 3 and set(table.rows) == {3, "b.jpg"}  # without the box that is too thin to be written
    assert np.allclose(table.boxes[table.rows[3]], boxes[[1, 0]], atol=0.01), "best first"
    assert table.name_of(3, None) == 3 and table.name_of(9, "folder/b.jpg") == "b.jpg" and table.name_of(9, "c") is None
    assert not list(tmp_path.glob(".*")), "no draft is left"


def test_entries_with_both_names(tmp_path: Path) -> None:
    """The file decides: image 0 of val is not image 0 of train. An id counts for data without files or full paths."""
    box, score = np.array([[0, 0, 5, 6.0]]), np.array([1.0])
    write_proposals(tmp_path / "p.json", [(0, "val/cat/0.jpg", box, score), (1, "val/dog/0.jpg", box, score)])
    table = read_proposals(tmp_path / "p.json")
    assert table.name_of(0, "/data/val/cat/0.jpg") == table.name_of(None, "val/cat/0.jpg") == "val/cat/0.jpg"
    assert table.name_of(0, "/data/train/cat/0.jpg") is None
    assert table.name_of(0, None) == table.name_of(0, "0.jpg") == "val/cat/0.jpg", "as ground truth files name images"
    write_proposals(tmp_path / "p.json", [(0, "train/a.jpg", box, score), (0, "val/a.jpg", box, score)])
    table = read_proposals(tmp_path / "p.json")
    assert table.name_of(0, "train/a.jpg") == "train/a.jpg" and table.name_of(0, None) is None, "an id of two images"


def test_an_interrupted_write_leaves_no_file(tmp_path: Path) -> None:
    def images() -> Any:
        yield 1, None, np.array([[0, 0, 5, 5.0]]), np.array([1.0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_proposals(tmp_path / "p.json", images())
    assert not list(tmp_path.iterdir())
