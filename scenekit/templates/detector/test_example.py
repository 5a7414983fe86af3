"""The detector keeps the rules that scenekit and tasks rely on."""

from scenekit_example import scenekit_detectors

import scenekit as sk


def test_it_keeps_every_rule() -> None:
    (detector,) = scenekit_detectors()
    report = sk.testing.check_detector(detector)
    assert report.ok, str(report)
