"""Runs in processes of their own: killed in the middle and gone on with, and several working together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenekit.data.mixing import draws
from scenekit.training.log import read_log

SCRIPT = Path(__file__).with_name("run_toy.py")
LIMIT_S = 240


def start(out, environment=None, **options):
    command = [sys.executable, str(SCRIPT), str(out), json.dumps(options)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_two(out, **options):
    """Two processes that share the work."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "1"}
    return [start(out, {**shared, "RANK": str(n), "LOCAL_RANK": str(n)}, **options) for n in range(2)]


def finished(process):
    """The checksum of the weights that the process printed last."""
    output, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors
    return output.split()[-1]


def losses(out):
    return [{k: v for k, v in record.items() if k != "images_per_second"} for record in read_log(out / "log.jsonl")]


def wait_for_steps(out, count):
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if len(read_log(out / "log.jsonl")) >= count:
            return
        time.sleep(0.05)
    raise TimeoutError(f"no {count} steps in {out} after {LIMIT_S} s")


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(tmp_path):
    options = {"steps": 12, "train": {"save_every": 3, "workers": 1, "ema": 0.9}, "tasks": {"tally": {}}}
    unbroken = start(tmp_path / "whole", **options)
    expected = finished(unbroken)
    broken = start(tmp_path / "cut", **options)
    wait_for_steps(tmp_path / "cut", 5)
    broken.send_signal(signal.SIGKILL)
    broken.communicate(timeout=LIMIT_S)
    assert broken.returncode == -signal.SIGKILL and not (tmp_path / "cut" / "model").exists()
    assert finished(start(tmp_path / "cut", resume=True, **options)) == expected
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 12


@pytest.mark.slow
def test_two_processes_where_one_has_no_labels_for_a_head(tmp_path):
    data = [{"name": "toys", "options": {"labelled": kinds}} for kinds in (["semantic"], ["masks", "keypoints"])]
    order = draws([32, 32], [1.0, 1.0], seed=1)
    sources = [(next(order).source, next(order).source) for _ in range(6)]
    assert {(0, 1), (1, 0)} & set(sources), "in no step the two processes would have different labels"
    train = {"batch_size": 1, "seed": 1, "grad_norm_every": 1}
    options = {"steps": 6, "train": train, "data": data, "tasks": {"tally": {}}}
    first, second = [finished(process) for process in start_two(tmp_path, **options)]
    assert first == second, "the processes ended with different weights"
    for record, pair in zip(losses(tmp_path), sources, strict=True):
        assert ("semantic.pixel" in record["losses"]) == (0 in pair)
        assert ("masks.mask" in record["losses"]) == (1 in pair)


@pytest.mark.slow
def test_two_processes_with_gradient_checkpointing_have_the_weights_of_those_without(tmp_path):
    found = []
    for recomputed in (False, True):
        train = {"batch_size": 1, "gradient_checkpointing": recomputed}
        processes = start_two(tmp_path / str(recomputed), steps=2, train=train, backbone={"name": "resnet18"})
        found.append([finished(process) for process in processes])
    assert found[0] == found[1]  # process by process: each has batch statistics of its own
