"""`scenekit world`: scenes of a file become a map and its files; bad input is one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scenekit as sk
from scenekit.cli.main import main
from scenekit.io.json_lines import json_line
from tests.world.posed import Thing, looking, scene_of

CHAIR = Thing("chair", (3.0, 0.0, 0.45), attributes=("red",))
TABLE = Thing("table", (4.0, 1.0, 0.4), (1.5, 0.8, 0.8))
FRONT = looking((0, 0, 1.2), (3.5, 0.5, 0.5))


def scenes_file(path: Path, things: list[Thing], posed: bool = True) -> Path:
    scenes = [scene_of(things, FRONT, float(n), [(0, "left of", 1)] if len(things) > 1 else []) for n in range(4)]
    if not posed:
        scenes = [replace(scene, moment=replace(scene.moment, pose=None)) for scene in scenes]
    path.write_text("\n".join(json.dumps(scene.to_json()) for scene in scenes) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leaving:
        main(["world", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(leaving.value.code or 0), captured.out, captured.err


def test_every_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR, TABLE])
    out = tmp_path / "new"
    files = {name: out / f"map{name}" for name in (".json", ".glb", ".png", ".graphml")}
    status, text, _ = run(
        capsys, scenes, "--out", files[".json"], "--glb", files[".glb"], "--dsg", out / "dsg.json",
        "--image", files[".png"], "--graph", files[".graphml"],
    )  # fmt: skip
    assert status == 0 and "2 objects in 4 scenes, 0 unconfirmed" in text and "chair" in text
    world = sk.World.load(files[".json"])
    assert [item.label for item in world.objects] == ["chair", "table"]
    assert sk.find(sk.load_graph(files[".graphml"]), "red chair left of table")
    assert Image.open(files[".png"]).size == world.draw().size
    assert files[".glb"].read_bytes()[:4] == b"glTF" and json.loads((out / "dsg.json").read_text())["nodes"]


def test_options_may_come_first_and_json_is_read_by_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR])
    status, text, _ = run(capsys, "--json", "--confirm", 1, scenes)
    data = json.loads(text)
    assert status == 0 and data["scenes"] == 4 and data["objects"][0]["label"] == "chair"
    np.testing.assert_allclose(data["objects"][0]["position"], CHAIR.place, atol=1e-5)
    array = tmp_path / "scenes.json"
    array.write_text(f"[{','.join(scenes.read_text().splitlines())}]")
    assert json.loads(run(capsys, "map", "--json", "--confirm", 1, array)[1]) == data


def test_poses_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR], posed=False)
    status, _, error = run(capsys, scenes)
    assert status == 2 and "has no pose" in error and error.count("\n") == 1
    rows = [" ".join(map(str, FRONT[:3].flatten().tolist()))] * 31
    (poses := tmp_path / "poses.txt").write_text("\n".join(rows))
    status, text, _ = run(capsys, scenes, "--poses", poses, "--json")
    np.testing.assert_allclose(json.loads(text)["objects"][0]["position"], CHAIR.place, atol=1e-5)
    poses.write_text(rows[0])
    status, _, error = run(capsys, scenes, "--poses", poses)
    assert status == 2 and "scene 1: there is no pose for image 10" in error


def test_changes_between_two_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    run(capsys, scenes_file(tmp_path / "a.jsonl", [CHAIR, TABLE]), "--out", first)
    moved = replace(TABLE, place=(4.0, 0.2, 0.4))
    run(capsys, scenes_file(tmp_path / "b.jsonl", [moved]), "--out", second)
    status, text, _ = run(capsys, "diff", first, second)
    assert status == 0 and "moved" in text and "vanished" in text and "0.80" in text
    data = json.loads(run(capsys, "diff", first, second, "--json")[1])
    assert [change["label"] for change in data["moved"]] == ["table"]
    assert [item["label"] for item in data["vanished"]] == ["chair"] and data["appeared"] == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--out", "map.json", "--glb", "map.stl"), "ends in .glb or .obj"),
        (("--image", "map.jpg"), "--image: map.jpg: expected a file name that ends in .png"),
        (("--dsg", "map.txt"), "--dsg: map.txt"),
        (("--graph", "map.txt"), "ends in .graphml or .json"),
        (("--up", "z"), "--up: expected three numbers"),
        (("--up", "0,0"), "up must be a direction of three numbers"),
        (("--times", "times.txt"), "--times is for the lines of --poses"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR])
    status, _, error = run(capsys, scenes, *arguments)
    assert status == 2 and message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scenes.jsonl"]


def test_a_line_that_was_cut_off_gets_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR])
    whole = scenes.read_text()
    scenes.write_text(whole + whole[:99])
    status, text, error = run(capsys, scenes, "--json")
    assert status == 0 and json.loads(text)["scenes"] == 4 and "line 5 was cut off" in error


def test_texts_with_line_separators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = scene_of([CHAIR], FRONT)
    scene = replace(scene, values={**scene.values, sk.CAPTIONS: sk.Captions((("a\u2028chair",),))})
    (path := tmp_path / "scenes.jsonl").write_text(json_line(scene.to_json()), encoding="utf-8")
    status, text, _ = run(capsys, path, "--json")
    assert status == 0 and json.loads(text)["scenes"] == 1


def test_ids_count_where_scenes_have_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The chair moves: with its track it is one object, without two."""
    places = [CHAIR] * 4 + [replace(CHAIR, place=(3.0, 2.0, 0.45))] * 4
    scenes = [scene_of([chair], FRONT, float(n), tracked=True) for n, chair in enumerate(places)]
    (path := tmp_path / "scenes.jsonl").write_text("".join(json_line(scene.to_json()) for scene in scenes))
    counts = [len(json.loads(run(capsys, path, "--json", *more)[1])["objects"]) for more in ([], ["--no-tracked"])]
    assert counts == [1, 2]
    status, _, error = run(capsys, scenes_file(tmp_path / "untracked.jsonl", [CHAIR]), "--tracked")
    assert status == 2 and "scene 0: the scene has no tracks" in error and error.count("\n") == 1


def test_lines_that_are_no_scenes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = scenes_file(tmp_path / "scenes.jsonl", [CHAIR])
    for text, message in (("{}", "line 5 is not a scene"), ("{\n", "line 5 is not valid JSON")):
        (broken := tmp_path / "broken.jsonl").write_text(scenes.read_text() + text)
        status, _, error = run(capsys, broken)
        assert status == 2 and message in error and error.count("\n") == 1
    run(capsys, scenes, "--out", tmp_path / "map.json")
    assert "scenekit world diff" in run(capsys, tmp_path / "map.json")[2]
    (empty := tmp_path / "empty.jsonl").write_text("\n")
    assert "expected a scene in each line, got none" in run(capsys, empty)[2]
