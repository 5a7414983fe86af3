"""Names of files that fit a file system, and drafts beside their target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scenekit.errors import InputError
from scenekit.io.files import drafted_folder, short_name, write_atomically


def test_short_names_stay() -> None:
    assert short_name("street", 20) == "street"
    assert short_name("x" * 20, 20) == "x" * 20


@pytest.mark.parametrize("name", ["x" * 240, "ä" * 120, "図" * 80, "👩‍🔬" * 30, "\udcff" * 200])
def test_long_names_are_cut_off_at_whole_letters_and_stay_different(name: str) -> None:
    short, other = short_name(name, 100), short_name(name + "y", 100)
    assert len(os.fsencode(short)) <= 100 and short != other and short[:-9] == name[: len(short) - 9]
    assert short == short_name(name, 100)


def test_a_name_as_long_as_the_file_system_permits(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]


def write_three(target: Path) -> None:
    with drafted_folder(target, last="b.json") as draft:
        (draft / "a").mkdir()
        (draft / "a" / "x").write_bytes(b"1")
        for name in ("b.json", "c"):
            (draft / name).write_bytes(b"2")


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_is_written_with_its_last_file_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    target, moved, replace = tmp_path / "new" / "out", [], Path.replace

    def watched(entry: Path, place: Path) -> Path:
        moved.append(place.name)
        return replace(entry, place)

    monkeypatch.setattr(Path, "replace", watched)
    if exists:
        target.mkdir(parents=True)
    write_three(target)
    assert moved == (["a", "c", "b.json"] if exists else ["out"])
    assert {path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*")} == {
        "out", "out/a", "out/a/x", "out/b.json", "out/c",
    }  # fmt: skip


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_folder_that_exists_is_left_empty_where_a_move_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, fails: int
) -> None:
    replace, moves = Path.replace, iter(range(1, 10))

    def failing(entry: Path, place: Path) -> Path:
        if next(moves) == fails:
            raise error
        return replace(entry, place)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_three(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_draft_that_an_ended_process_has_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".0123abcd.12.3456"
    left.mkdir()
    (left / "b.json").touch()
    write_three(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b.json", "c"}
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        write_three(tmp_path)


def test_folders_above_a_target_that_fails_are_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), drafted_folder(tmp_path / "new" / "deep" / "out", last=""):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_meanwhile_is_not_called_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"), drafted_folder(tmp_path / "out", last=""):
        (tmp_path / "none.txt").read_bytes()
    with (
        pytest.raises(InputError, match=r"cannot write .*out: No such file"),
        drafted_folder(tmp_path / "out", "") as at,
    ):
        (at / "none" / "file").write_bytes(b"")
