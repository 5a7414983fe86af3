"""The contracts of plugins, ours and others': `scenekit check`, and a function for each kind of plugin.

A task, detector or backbone is built into a small model and run on made-up images; ground truth is made up by what a
key's field says of its values, or by the key's own `example`. Of a data set some samples are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from scenekit.hooks import TaskSpec
from scenekit.structures.vocabulary import Vocabulary
from scenekit.testing.backbones import BACKBONE_CHECKS, check_backbone
from scenekit.testing.bench import set_up
from scenekit.testing.check import BUILDS, Check, report_of
from scenekit.testing.datasets import DATASET_CHECKS, check_dataset
from scenekit.testing.detectors import DETECTOR_CHECKS, check_detector
from scenekit.testing.images import VOCABULARY, example
from scenekit.testing.report import Finding, Report
from scenekit.testing.rules import CHECKS
from scenekit.testing.trackers import TRACKER_CHECKS, check_tracker

__all__ = [
    "BACKBONE_CHECKS",
    "BUILDS",
    "CHECKS",
    "DATASET_CHECKS",
    "DETECTOR_CHECKS",
    "TRACKER_CHECKS",
    "VOCABULARY",
    "Check",
    "Finding",
    "Report",
    "check_backbone",
    "check_dataset",
    "check_detector",
    "check_task",
    "check_tracker",
    "example",
]


def check_task(
    spec: TaskSpec,
    *,
    options: Mapping[str, Any] | None = None,
    vocabulary: Vocabulary = VOCABULARY,
    only: Collection[str] | None = None,
) -> Report:
    """Check a task against the rules that others rely on.

    Takes seconds on a CPU and needs no data, no weights and no network. Global random states are left as they were.

    Args:
        spec: Record of the task.
        options: Its options; by default its own, with whole numbers made small where it accepts that.
        vocabulary: Class names and the like; it should have things that the task applies to.
        only: Names of the checks to run; all, if None.

    Returns:
        Every broken rule with the reason and the remedy, what passed and what was skipped.

    Raises:
        InputError: For unknown checks.
    """
    remedy = "see the error; `build(core, config)` must return a Head, and what it requires must be installed"
    return report_of("task", spec.name, lambda: set_up(spec, options or {}, vocabulary), CHECKS, only, remedy)
