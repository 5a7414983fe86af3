"""Files of a whole graph are written all or none, and before work that takes minutes a folder is made."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scenekit.errors import InputError
from scenekit.io.files import created
from scenekit.runtimes import whole
from scenekit.runtimes.whole import WholeGraph, write_whole


def write(monkeypatch: pytest.MonkeyPatch, folder: Path, error: OSError | None) -> None:
    """Write a graph whose conversion is made up."""

    def save(path: str) -> None:
        Path(path).write_text("a part")
        if error is not None:
            raise error

    monkeypatch.setattr(whole, "check_writable", lambda: None)
    monkeypatch.setattr(whole, "_in_onnx", lambda graph: SimpleNamespace(save=save))
    program = torch.export.export(nn.Identity(), (torch.zeros(1),))
    write_whole(WholeGraph(program, {}, {}, {}, {"size": [1, 2]}), folder)


def test_both_files_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(monkeypatch, tmp_path / "a" / "b", None)
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"whole.json", "whole.onnx"}


def test_a_full_disk_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError, match=r"cannot write .*whole.onnx: No space left on device; free some space"):
        write(monkeypatch, tmp_path / "a" / "b", full)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError):
        write(monkeypatch, tmp_path, OSError(errno.EIO, "broken"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["file", "file/out", "x" * 300, "a\0b"])
def test_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError), created(tmp_path / name):
        pytest.fail("there is no such folder")


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), created(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
