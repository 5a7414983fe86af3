"""The task keeps the rules that scenekit and other tasks rely on."""

from scenekit_example import scenekit_tasks

import scenekit as sk


def test_it_keeps_every_rule() -> None:
    (task,) = scenekit_tasks()
    report = sk.testing.check_task(task)
    assert report.ok, str(report)
