"""The rules of every kind of plugin, from scenekit.testing."""

from scenekit.testing import BACKBONE_CHECKS, CHECKS, DATASET_CHECKS, DETECTOR_CHECKS, TRACKER_CHECKS
from scenekit_docs.markdown import code, table

OF_KIND = {
    "task": CHECKS,
    "detector": DETECTOR_CHECKS,
    "dataset": DATASET_CHECKS,
    "backbone": BACKBONE_CHECKS,
    "tracker": TRACKER_CHECKS,
}


def table_of_checks(kind: str) -> str:
    """Return a table of the checks of a kind of plugin: name in the report, rule, remedy."""
    rows = [(code(check.name), check.rule, check.remedy) for check in OF_KIND[kind]]  # type: ignore[attr-defined]
    return table(("check", "rule", "if broken"), rows)
