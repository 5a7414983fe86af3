"""Curves for TensorBoard: which numbers are written where, and nothing where it is absent."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

import scenekit as sk
from scenekit.hooks import registry
from scenekit_plugins.tensorboard import TensorBoard, observer
from tests.training import toy


class Writer:
    """Stands for TensorBoard's."""

    made: list["Writer"] = []

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = folder, [], False
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


def test_installed_one_listens() -> None:
    assert registry().manager.is_registered(observer)


def test_numbers_by_path(writers: list[Writer]) -> None:
    board = TensorBoard()
    board.scenekit_run_started("runs/a")
    board.scenekit_step_done(3, {"step": 3, "lr": 0.5, "losses": {"masks.mask": 2}, "note": "text"})
    board.scenekit_evaluated(4, {"detection": {"AP": 0.25, "per_class": {"cup": {"AP": 0.5}}}}, None)
    board.scenekit_evaluated(None, {"detection": {"AP": 1.0}}, None)
    board.scenekit_run_ended()
    (writer,) = writers
    assert writer.folder == str(Path("runs/a/tensorboard")) and writer.closed
    assert writer.scalars == [
        ("lr", 0.5, 3), ("losses/masks.mask", 2.0, 3),
        ("evaluation/detection/AP", 0.25, 4), ("evaluation/detection/per_class/cup/AP", 0.5, 4),
    ]  # fmt: skip


def test_a_run_is_written(writers: list[Writer], tmp_path: Path) -> None:
    toy.register()
    sk.train(toy.recipe(steps=2), out=tmp_path, progress=False, device="cpu")
    (writer,) = writers
    assert {step for name, _, step in writer.scalars if name == "loss"} == {1, 2} and writer.closed


def test_absent_tensorboard_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    board = TensorBoard()
    board.scenekit_run_started("runs/a")
    board.scenekit_step_done(1, {"loss": 1.0})
    board.scenekit_run_ended()
    assert board.writer is None
