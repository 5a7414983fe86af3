"""Checkpoints as training scripts save them: where their weights are, under which names, and what is beside them."""

from __future__ import annotations

import argparse
import logging
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scenekit.backbones.state import read_state
from scenekit.errors import InputError

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2), "norm.num_batches_tracked": torch.tensor(4)}
OTHER = {name: value + 1 for name, value in STATE.items()}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


class Settings:
    """A class of the training script."""

    def __init__(self) -> None:
        self.names = ["a"]
        self.where = Path("data")


class Counts(dict[str, int]):
    """A mapping of the training script."""


def read(folder: Path, content: Any, own: tuple[str, ...] = ()) -> dict[str, Tensor]:
    torch.save(content, folder / "checkpoint.pth")
    return read_state(folder / "checkpoint.pth", own)


def assert_equal(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "home", ["model", "state_dict", "model_state_dict", "network", "net", "params", "weights", "generator", "ema"]
)
def test_weights_beside_the_rest_of_a_training_run(tmp_path: Path, home: str) -> None:
    rest = {"optimizer": OPTIMIZER, "lr_scheduler": {"last_epoch": 3}, "epoch": 3, "rng_state": torch.zeros(4)}
    assert_equal(read(tmp_path, {**rest, home: OrderedDict(STATE)}), STATE)


@pytest.mark.parametrize("content", [{"ema": {"module": STATE, "updates": 5}}, {"model": {"state_dict": STATE}}])
def test_weights_two_levels_down(tmp_path: Path, content: dict[str, Any]) -> None:
    assert_equal(read(tmp_path, content), STATE)


@pytest.mark.parametrize(
    "args",
    [argparse.Namespace(lr=0.1), Settings(), Counts(a=1), defaultdict(list, a=[1]), Path("data"), {1, 2}, Settings],
)
def test_objects_beside_the_weights_are_skipped(tmp_path: Path, args: Any) -> None:
    assert_equal(read(tmp_path, {"model": STATE, "optimizer": OPTIMIZER, "args": args}), STATE)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."])
def test_prefixes_of_wrappers_are_removed(tmp_path: Path, prefix: str) -> None:
    assert_equal(read(tmp_path, {"state_dict": {prefix + name: value for name, value in STATE.items()}}), STATE)


def test_a_prefix_of_the_network_itself_stays(tmp_path: Path) -> None:
    state = {f"model.{name}": value for name, value in STATE.items()}
    assert_equal(read(tmp_path, state, own=tuple(state)), state)
    mixed = {**STATE, "model.extra": torch.ones(1)}
    assert_equal(read(tmp_path, mixed), mixed)


@pytest.mark.parametrize("name", ["ema", "model_ema", "ema_state_dict", "state_dict_ema"])
def test_an_average_goes_first_and_a_warning_says_so(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert_equal(read(tmp_path, {"model": STATE, name: OTHER}), OTHER)
    assert f"the weights under {name!r} are used, not those under 'model'" in caplog.text


def test_an_entry_that_is_asked_for_goes_before_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"model": STATE, "ema": {"module": OTHER}}, path := tmp_path / "checkpoint.pth")
    assert_equal(read_state(path, entry="model"), STATE)
    assert_equal(read_state(path, entry="ema.module"), OTHER)
    assert not caplog.text
    with pytest.raises(InputError, match=r"no weights under 'modle'; did you mean 'model'"):
        read_state(path, entry="modle")
    torch.save(STATE, path)
    with pytest.raises(InputError, match="no weights under 'model'; there they have no name, leave it out"):
        read_state(path, entry="model")


def test_checkpoints_of_lightning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopping = {"wait_count": 0, "best_score": torch.tensor(0.5), "patience": 3}
    saved = {"best_model_score": torch.tensor(0.5), "best_k_models": {"a.ckpt": torch.tensor(0.5)}}
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": OrderedDict({f"model.{name}": value for name, value in STATE.items()}),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"EarlyStopping{'monitor': 'loss'}": stopping, "ModelCheckpoint": saved},
        "optimizer_states": [OPTIMIZER],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "settings": Settings()},
    }
    assert_equal(read(tmp_path, content), STATE)
    assert not caplog.text


def test_averages_of_torch_and_of_ema_pytorch(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    assert set(read(tmp_path, {"model_ema": averaged.state_dict()})) == {"weight", "bias"}
    both = {"initted": torch.tensor(True), "step": torch.tensor([3])}
    both |= {f"online_model.{name}": value for name, value in STATE.items()}
    both |= {f"ema_model.{name}": value for name, value in OTHER.items()}
    assert_equal(read(tmp_path, both), OTHER)


def test_an_average_without_names_is_not_taken(tmp_path: Path) -> None:
    assert_equal(read(tmp_path, {"model": STATE, "ema": {"decay": 0.9, "shadow_params": [torch.ones(1)]}}), STATE)


def test_weights_that_no_name_tells_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights under discriminator, generator; save the right ones alone"):
        read(tmp_path, {"generator": STATE, "discriminator": OTHER})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "got nothing"),
        ([1, 2], "got list"),
        (nn.Linear(1, 1), "got an object of a class"),
        ({"model": nn.Linear(1, 1), "epoch": 3}, r"'model' \(an object of a class\), 'epoch' \(int\)"),
        ({"optimizer": OPTIMIZER}, r"'optimizer' \(dict\)"),
    ],
)
def test_files_without_weights_say_what_they_hold(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"{told}; save the weights alone: torch.save\(model.state_dict\(\), FILE\)"):
        read(tmp_path, content)


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_a_text_is_not_a_weights_file(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_text("hello")
    with pytest.raises(InputError, match=r"not a weights file \(not written by torch.save"):
        read_state(tmp_path / "weights.pth")


def test_code_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    assert_equal(read(tmp_path, {"model": STATE, "args": Payload(tmp_path / "witness")}), STATE)
    assert not (tmp_path / "witness").exists()
