"""`scenekit score scene-graph` and `dense-captions`, on the cases of the programs that they are held against."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenekit.metrics.scene_graph.recall import CUTOFFS, MODES, Mode
from tests.cli.conftest import Result
from tests.metrics.graph_reference import PREDICATES, images, numbers

Content = dict[str, Any]

CASES = json.loads((Path(__file__).parents[1] / "reference" / "captions" / "densecap_eval.json").read_text())


def graphs(mode: Mode) -> tuple[Content, Content, Content]:
    """GT.json, PRED.json and the file of unseen triplets."""
    found, unseen = images(mode)
    truth = [
        {"id": i, "boxes": t.boxes.tolist(), "labels": t.labels.tolist(), "relations": t.relations.tolist()}
        for i, (t, _) in enumerate(found)
    ]
    predictions = [
        {
            "id": i,
            "boxes": p.boxes.tolist(),
            "labels": p.labels.tolist(),
            "scores": p.scores.tolist(),
            "relations": [
                {"subject": subject, "object": object_, "scores": scores}
                for (subject, object_), scores in zip(p.pairs.tolist(), p.probabilities.tolist(), strict=True)
            ],
        }
        for i, (_, p) in enumerate(found)
    ]
    return {"images": truth}, {"images": predictions}, {"triplets": unseen}


def captions(name: str) -> tuple[Content, Content]:
    def half_open(boxes: list[list[float]]) -> list[list[float]]:
        return [[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y, w, h in boxes]

    images = list(enumerate(CASES[name]["images"]))
    truth = [{"id": i, "boxes": half_open(p["gt_boxes"]), "captions": p["gt_captions"]} for i, p in images]
    found = [
        {"id": i, "boxes": half_open(p["boxes"]), "captions": p["captions"], "scores": p["logprobs"]} for i, p in images
    ]
    return {"images": truth}, {"images": found}


def written(folder: Path, *contents: Content) -> list[Path]:
    paths = [folder / name for name in ("GT.json", "PRED.json", "UNSEEN.json")[: len(contents)]]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return paths


@pytest.mark.parametrize("mode", MODES)
def test_scene_graph_files_equal_the_benchmarks(mode: Mode, tmp_path: Path, run: Callable[..., Result]) -> None:
    truth, prediction, unseen = written(tmp_path, *graphs(mode))
    options = ("--mode", mode, "--zero-shot", unseen, "--skip-without-pairs", "--json")
    result = run("score", "scene-graph", truth, prediction, *options)
    official = numbers(mode)["scene_graph_benchmark"]
    official |= numbers(mode)["scene_graph_benchmark_stable_sort_no_graph_constraint"]
    names = ["R", "mR", "zR", "ngR", "ng_mR", "ng_zR"] + ["A"] * (mode != "sgdet")
    expected = {f"{name}@{k}": official[name][str(k)] for name in names for k in CUTOFFS}
    assert {name: result.json[name] for name in expected} == pytest.approx(expected, abs=1e-9, rel=0)
    assert result.json["per_predicate"].keys() == {str(i) for i in range(1, len(PREDICATES) + 1)}
    assert "image id 11: 'relations' number 4 relates an object to itself" in result.err
    assert "repeats another" in result.err


def test_images_without_pairs_have_recall_0_and_tables_say_the_mode(tmp_path: Path, run: Callable[..., Result]) -> None:
    content, *others = graphs("sgcls")
    files = written(tmp_path, {**content, "predicates": PREDICATES}, *others)[:2]
    expected = numbers("sgcls")["neural_motifs"]["R"]
    result = run("score", "scene-graph", *files, "--mode", "sgcls", "--json").json
    assert [result[f"R@{k}"] for k in CUTOFFS] == pytest.approx([expected[str(k)] for k in CUTOFFS], abs=1e-9)
    assert "zR@20" not in result and result["images"] == 11
    printed = run("score", "scene-graph", *files, "--mode", "sgcls").out
    assert "scene graphs, sgcls, 11 images" in printed and f"{expected['20']:.4f}" in printed and "p7" in printed


def test_dense_caption_files(tmp_path: Path, run: Callable[..., Result]) -> None:
    """Without demands on the text numbers are DenseCap's; with them they are those of the score that is named."""
    files = written(tmp_path, *captions("random"))
    result = run("score", "dense-captions", *files, "--json").json
    official = CASES["random"]["result_no_last_gt_quirk"]
    assert result["detection_mAP"] == pytest.approx(official["detmap"], abs=1e-9)
    assert result["language_score"] == "unigram-F" and 0 < result["mAP"] < result["detection_mAP"]
    assert result["regions"] == CASES["random"]["npos"] and result["CIDEr-D"] > 0
    quirk = run("score", "dense-captions", *files, "--last-region", "--json").json
    assert quirk["detection_mAP"] == pytest.approx(CASES["random"]["result_lua"]["detmap"], abs=1e-9)
    printed = run("score", "dense-captions", *files).out
    assert "mAP (unigram-F)" in printed and "METEOR" not in printed and f"{result['mAP']:.4f}" in printed


def test_several_references_other_scripts_and_texts_without_words(tmp_path: Path, run: Callable[..., Result]) -> None:
    box = [[0, 0, 10, 10]]
    truth = {"images": [{"id": "a", "boxes": box, "captions": [["синее небо", "the sky"]]}]}
    found = {"id": "a", "boxes": box * 2, "captions": ["синее небо", "\U0001f600"], "scores": [1, 0.5]}
    files = written(tmp_path, truth, {"images": [found]})
    result = run("score", "dense-captions", *files, "--json")
    assert result.json["mAP"] == 1
    assert "image id a: 'captions' number 1 has no word" in result.err
    assert run("score", "dense-captions", *files, "--strict").status == 2


def test_help_says_what_the_files_hold(run: Callable[..., Result]) -> None:
    for command, words in (
        (
            "scene-graph",
            ["predicates count from 1", "[subject, object, predicate]", "[no relation,", "[[subject class"],
        ),
        ("dense-captions", ["METEOR"]),
    ):
        text = " ".join(run("score", command, "--help").out.replace("│", " ").split())
        assert all(word in text for word in [*words, '"images"', "--strict"])


def changed(content: Content, image: int = 0, **fields: Any) -> Content:
    """The content with other fields of one image; None takes a field away."""
    content = copy.deepcopy(content)
    record = content["images"][image]
    record |= fields
    content["images"][image] = {name: value for name, value in record.items() if value is not None}
    return content


RELATION = {"subject": 0, "object": 1, "scores": [0.1] * 8}

BAD_TRUTH = {
    "GT.json: image id 3 has no 'labels'": (3, {"labels": None}),
    "GT.json: image id 0: 'relations' number 1 has the object 99, but there are": (
        0, {"relations": [[0, 1, 1], [0, 99, 1]]},
    ),
    "GT.json: image id 0: 'relations' number 0 has the predicate 0; they are counted from 1": (
        0, {"relations": [[0, 1, 0]]},
    ),
    "image id 0: the predicate 9 occurs, but only 7 are known": (0, {"relations": [[0, 1, 9]]}),
    "GT.json: image id 1: the id 1 occurs twice": (0, {"id": 1}),
    "GT.json: image number 0 has no 'id'": (0, {"id": None}),
}  # fmt: skip

BAD_PREDICTIONS = {
    "PRED.json has no prediction for image 2 (1 of 13 are missing)": (2, {"id": 77}),
    "PRED.json: image id 0: 12 'labels' for 13 'boxes'; each needs one": (0, {"boxes": [[0, 0, 5, 5]] * 13}),
    "PRED.json: image id 0: 'scores' number 1 holds nan": (0, {"scores": [0.5, float("nan"), *[0.5] * 10]}),
    "PRED.json: image id 0: 'boxes' must be rows of 4 numbers": (0, {"boxes": "everywhere"}),
    "PRED.json: image id 0: 'relations' must be a list of objects with": (0, {"relations": [[0, 1, 1]]}),
    "PRED.json: image id 0: 'relations' number 1 has no 'scores'": (
        0, {"relations": [RELATION, {"subject": 0, "object": 1}]},
    ),
    "PRED.json: image id 0: 'relations' number 0 has the subject 40, but there are 12": (
        0, {"relations": [{**RELATION, "subject": 40}]},
    ),
    "PRED.json: image id 1: 7 scores per pair for 7 predicates; 8 are needed": (
        1, {"relations": [{**RELATION, "scores": [0.1] * 7}]},
    ),
    "PRED.json: image id 0: 'scores of relations' number 1 holds nan": (
        0, {"relations": [RELATION, {**RELATION, "scores": [float("nan")] * 8}]},
    ),
    "PRED.json: image id 0: 'scores of relations' must be rows of equal length": (
        0, {"relations": [RELATION, {**RELATION, "scores": [0.5]}]},
    ),
}  # fmt: skip


def test_bad_scene_graphs_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    truth, prediction, _ = graphs("sgdet")
    command = ("score", "scene-graph", tmp_path / "GT.json", tmp_path / "PRED.json", "--mode", "sgdet")
    for message, (image, fields) in BAD_TRUTH.items():
        written(tmp_path, changed(truth, image, **fields), prediction)
        assert message in refused(*command)
    for message, (image, fields) in BAD_PREDICTIONS.items():
        written(tmp_path, truth, changed(prediction, image, **fields))
        assert message in refused(*command)
    written(tmp_path, truth, prediction)
    assert "'relations' number 5 repeats another" in refused(*command, "--strict")
    assert "unknown mode 'sgd'" in refused(*command[:-1], "sgd")


def test_bad_files_of_triplets_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    truth, prediction, unseen = written(tmp_path, *graphs("sgdet")[:2], {"triplets": [[1, 2]]})
    command = ("score", "scene-graph", truth, prediction, "--mode", "sgdet", "--zero-shot", unseen)
    assert "UNSEEN.json: 'triplets' must be rows of 3 integers" in refused(*command)
    unseen.write_text("[]")
    assert "UNSEEN.json: expected a JSON object with a list 'triplets'" in refused(*command)


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        (1, {"scores": None}, "PRED.json: image id 0 has no 'scores'"),
        (1, {"scores": [1]}, "PRED.json: image id 0: 1 'scores' for 20 'boxes'; each needs one"),
        (1, {"scores": [float("nan")] * 20}, "PRED.json: image id 0: 'scores' number 0 holds nan"),
        (1, {"captions": ["a"]}, "PRED.json: image id 0: 1 'captions' for 20 'boxes'"),
        (1, {"captions": [["a", "b"]] * 20}, "PRED.json: image id 0: 'captions' number 0 must be text, not"),
        (0, {"captions": [7]}, "GT.json: image id 0: 'captions' number 0 must be text, or a list of texts, not 7"),
        (0, {"captions": "a dog"}, "GT.json: image id 0: 'captions' must be a list"),
        (0, {"boxes": [[0, 0, 1]]}, "GT.json: image id 0: 'boxes' must be rows of 4 numbers"),
        (0, {"id": 9}, "PRED.json has no prediction for image 9"),
    ],
)
def test_bad_captions_are_refused(
    file: int, fields: Content, message: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    contents = list(captions("random"))
    contents[file] = changed(contents[file], **fields)
    assert message in refused("score", "dense-captions", *written(tmp_path, *contents))


def test_unknown_language_scores_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    files = written(tmp_path, *captions("single"))
    assert "unknown language score 'meteor'" in refused("score", "dense-captions", *files, "--language", "meteor")
