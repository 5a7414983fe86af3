"""Protocols that need no torch import without it, and so do all commands of `scenekit score`."""

from __future__ import annotations

import subprocess
import sys

FREE_OF_TORCH = (
    "attributes",
    "coco",
    "dense_captions",
    "events",
    "meshes",
    "mot",
    "panoptic",
    "proposals",
    "scene_graph",
    "semantic",
)

SCRIPT = f"""
import sys
from importlib import import_module
from importlib.metadata import entry_points

commands = entry_points(group="scenekit.score")
for command in commands:
    command.load()
assert {{"coco", "semantic", "kitti"}} <= commands.names, commands.names
assert not {{"torch", "numpy"}} & sys.modules.keys(), "a command imports numbers before it runs"
for protocol in {FREE_OF_TORCH}:
    module = import_module(f"scenekit.metrics.{{protocol}}")
    for name in module.__all__:
        getattr(module, name)
    assert "torch" not in sys.modules, protocol
"""


def test_neither_commands_nor_protocols_on_arrays_import_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
