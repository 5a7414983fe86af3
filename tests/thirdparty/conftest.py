"""Distributions of third parties, really installed, and the program run where they are."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Answers = list[tuple[int, str]]

PROGRAM = """
import contextlib, io, json, sys
from scenekit.cli.main import main

answers = []
for arguments in json.loads(sys.argv[1]):
    status, out = 0, io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            main(arguments)
    except SystemExit as leaving:
        status = leaving.code or 0
    answers.append((status, out.getvalue()))
print(json.dumps(answers))
"""
"""Runs commands one after the other: most of the time of a process is spent on its imports."""


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Installs source folders into a fresh folder, without network; gives that folder."""

    def install(*sources: Path) -> Path:
        target = tmp_path_factory.mktemp("site")
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return target

    return install


@pytest.fixture(scope="session")
def python() -> Run:
    """Runs Python with the folder of an installation on its path: `python(site, "-m", "scenekit", ...)`."""

    def python(site: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "240"}
        command: Sequence[str] = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=cwd or site, capture_output=True, text=True, timeout=300)

    return python


@pytest.fixture(scope="session")
def answers(python: Run) -> Callable[..., Answers]:
    """Runs commands of the program in one process: `answers(site, ["plugins", "--json"], ...)`; status and output."""

    def answers(site: Path, *commands: Sequence[str]) -> Answers:
        done = python(site, "-c", PROGRAM, json.dumps(commands))
        assert done.returncode == 0, done.stderr
        return [(status, out) for status, out in json.loads(done.stdout)]

    return answers
