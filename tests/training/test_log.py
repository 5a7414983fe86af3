"""Lines of the log, and how a resumed run takes back those after its checkpoint."""

import json

import pytest

from scenekit.training.log import Log, Window, read_log


def test_means_count_only_steps_that_had_labels():
    window = Window()
    window.add({"a.x": 1.0, "b.y": 5.0})
    window.add({"a.x": 2.0, "b.unlabelled": 0.0})
    assert window.means() == {"a.x": 1.5, "b.y": 5.0}


def test_windows_of_processes_add_up():
    first, second = Window(), Window()
    first.add({"a.x": 1.0})
    second.add({"a.x": 2.0})
    second.add({"a.x": 6.0, "b.y": 4.0})
    assert Window.merged([first.sums, second.sums]).means() == {"a.x": 3.0, "b.y": 4.0}


def test_a_saved_window_goes_on():
    window = Window()
    window.add({"a.x": 0.1})
    again = Window(json.loads(json.dumps(window.sums)))
    again.add({"a.x": 0.2})
    window.add({"a.x": 0.2})
    assert again.means() == window.means() == {"a.x": pytest.approx(0.15)}


def test_resuming_takes_back_later_and_torn_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path, 0)
    for step in (1, 2, 3):
        log.write({"step": step})
    with open(path, "a") as file:
        file.write('{"step": 4, "lo')
    assert [record["step"] for record in read_log(path)] == [1, 2, 3]
    Log(path, 2).write({"step": 3, "new": True})
    assert read_log(path) == [{"step": 1}, {"step": 2}, {"step": 3, "new": True}]
