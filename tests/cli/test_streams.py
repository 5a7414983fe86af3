"""Standard output holds results and nothing else; signals, a full disk and a closed pipe end a command in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CHATTY = """
import atexit, os, subprocess
import scenekit as sk

print("imported")
os.write(1, b"written\\n")
subprocess.run(["echo", "echoed"])
atexit.register(lambda: (print("at exit"), os.write(1, b"written at exit\\n")))


@sk.hookimpl
def scenekit_tasks():
    print("in the hook")
    return []
"""

COMMAND = """
import json
print("command imported")

def chat():
    "Print the number of failures."
    from scenekit.hooks import registry
    print(json.dumps({"failures": len(registry().failures)}))

def leave():
    "Leave."
    raise SystemExit(3)

def gone():
    "End otherwise."
    import asyncio
    raise asyncio.CancelledError("gone")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed plugin that prints, and commands of a third party."""
    site = tmp_path_factory.mktemp("site")
    (site / "tests_chatty.py").write_text(CHATTY)
    (site / "tests_commands.py").write_text(COMMAND)
    info = site / "chatty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chatty\nVersion: 1.0\n")
    commands = "".join(f"{name} = tests_commands:{name}\n" for name in ("chat", "leave", "gone"))
    (info / "entry_points.txt").write_text(f"[scenekit]\nchatty = tests_chatty\n[scenekit.commands]\n{commands}")
    return site


def scenekit(arguments: Sequence[str], site: Path | None = None, **options: Any) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-m", "scenekit", *arguments]
    return subprocess.run(command, text=True, env={**variables, "PYTHONPATH": str(site or "")}, **streams)


PRINTED = ("imported", "written", "echoed", "in the hook", "at exit", "written at exit")


def test_what_plugins_print_is_a_message(site: Path) -> None:
    done = scenekit(["plugins", "--json"], site)
    assert done.returncode == 0 and isinstance(json.loads(done.stdout), dict)
    assert set(PRINTED) <= set(done.stderr.splitlines())


def test_a_command_of_a_third_party_prints_its_result(site: Path) -> None:
    done = scenekit(["chat"], site)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"failures": 0})
    assert {*PRINTED, "command imported"} <= set(done.stderr.splitlines())


def test_how_a_command_of_a_third_party_may_end(site: Path) -> None:
    assert scenekit(["leave"], site).returncode == 3
    done = scenekit(["gone"], site)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "error: gone ended with CancelledError: gone"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "--help"], ["--version"], ["recipe", "schema"]], ids=str)
def test_standard_output_that_is_full(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = scenekit(arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


def test_standard_output_that_is_closed() -> None:
    done = scenekit(["--help"], stdout=None, preexec_fn=lambda: os.close(1))
    assert done.returncode == 1
    assert done.stderr == "error: standard output is closed; send it to a file, or to /dev/null\n"


def test_standard_error_that_is_closed() -> None:
    done = scenekit(["recipe", "show", "nowhere.yaml"], stderr=None, preexec_fn=lambda: os.close(2))
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (15, 143, "terminated")])
def test_signals_end_a_command_in_one_line(tmp_path: Path, number: int, status: int, word: str) -> None:
    """The command is waiting for a file when the signal is sent: a named pipe into which nothing is written."""
    os.mkfifo(recipe := tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "scenekit", "recipe", "show", str(recipe)]
    restore = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=restore)
    writing = os.open(recipe, os.O_WRONLY)  # returns when the command opens the other end
    time.sleep(0.2)
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    os.close(writing)
    assert (process.returncode, messages) == (status, f"error: {word}\n")
