"""The program around the commands: help without torch, isolation of broken commands, exit statuses."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest
import typer

from scenekit.cli import program
from scenekit.cli.main import main
from scenekit.errors import InputError, ScenekitError


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces the installed commands by the given objects (an Exception: one that fails to import with it)."""

    class Entry(EntryPoint):
        def load(self) -> object:
            command = commands[self.name]
            if isinstance(command, Exception):
                raise command
            return command

    commands: dict[str, object] = {}

    def install(**given: object) -> None:
        commands.update(given)
        entries = [Entry(name, f"somewhere:{name}", program.GROUP) for name in given]
        monkeypatch.setattr(program, "entry_points", lambda group: entries)

    return install


def status_of(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    return leaving.value.code


def failing_with(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_help_imports_no_torch_and_is_quick() -> None:
    code = """if True:
        import sys
        from scenekit.cli.main import main
        try:
            main(["--help"])
        finally:
            assert not {"torch", "torchvision", "PIL"} & set(sys.modules)
    """
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert "predict" in done.stdout
    # Processor time, so that other work on the machine does not count; the aim is half a second on the clock.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0


def test_input_error_is_one_line_and_status_2(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(work=failing_with(InputError("no file\n'x.jpg'")), other=lambda: None)
    assert status_of("work") == 2
    assert capsys.readouterr() == ("", "error: no file 'x.jpg'\n")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (ScenekitError("broken"), 1)])
def test_other_exit_statuses(install: Callable[..., None], error: BaseException, status: int) -> None:
    install(work=failing_with(error), other=lambda: None)
    assert status_of("work") == status


@pytest.mark.parametrize("arguments", [["nonsense"], ["work", "--nonsense"], ["work", "surplus"]])
def test_wrong_usage_is_status_2(install: Callable[..., None], arguments: list[str]) -> None:
    install(work=lambda: None, other=lambda: None)
    assert status_of(*arguments) == 2


def test_broken_command_breaks_no_other(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(work=lambda: print("worked"), broken=ImportError("no module named frobnicate\nand more"))
    assert status_of("work") == 0
    assert status_of("--help") == 0
    assert "frobnicate" in capsys.readouterr().out
    assert status_of("broken", "--whatever", "x") == 1
    assert "'broken'" in (said := capsys.readouterr().err) and "frobnicate" in said and said.count("\n") == 1


def test_command_may_be_a_group(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    group = typer.Typer()
    group.command("one")(lambda: print("first"))
    group.command("two")(lambda: print("second"))
    install(group=group)
    assert status_of("group", "two") == 0
    assert capsys.readouterr().out == "second\n"


def test_a_reader_that_has_left_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [sys.executable, "-m", "scenekit", "--version"]
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, env=buffered)
    assert (done.returncode, done.stderr) == (141, "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out.startswith("scenekit 0.")


@pytest.mark.parametrize(
    "given, expected",
    [
        ("--json", "--json=-"),
        ("a.jpg --json", "a.jpg --json=-"),
        ("--json a.jpg", "--json=- a.jpg"),
        ("--json a.jsonl b.mp4", "--json a.jsonl b.mp4"),
        ("--json - b.mp4", "--json - b.mp4"),
        ("--json=a b.mp4", "--json=a b.mp4"),
        ("--json A.JSON", "--json A.JSON"),
        ("--json --out a.json", "--json=- --out a.json"),
        ("a -- --json", "a -- --json"),
        ("--json -- b", "--json=- -- b"),
        ("", ""),
    ],
)
def test_options_whose_value_may_be_left_out(given: str, expected: str) -> None:
    assert program.with_values(given.split(), {"--json": (".json", ".jsonl")}) == expected.split()
    assert program.with_values(given.split(), {}) == given.split()
