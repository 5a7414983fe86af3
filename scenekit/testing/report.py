"""Results of the checks of a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One broken rule."""

    check: str
    """Name of the check."""
    reason: str
    """What happened."""
    remedy: str
    """What the author can do."""

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}. Remedy: {self.remedy}"


@dataclass(frozen=True)
class Report:
    """The results of checking one task, detector, data set or backbone."""

    name: str
    """Its name."""
    kind: str = "task"
    """What it is: "task", "detector", "dataset", "backbone" or "tracker"."""
    passed: tuple[str, ...] = ()
    """Names of the checks that passed."""
    findings: tuple[Finding, ...] = ()
    """The broken rules."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Names of the checks that did not run, each with the reason."""

    @property
    def ok(self) -> bool:
        """Whether no rule is broken; checks that were skipped do not count."""
        return not self.findings

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks whose rule is broken."""
        return tuple(finding.check for finding in self.findings)

    def __str__(self) -> str:
        counts = f"{len(self.passed)} passed, {len(self.findings)} failed, {len(self.skipped)} skipped"
        return "\n  ".join((f"{self.kind} {self.name}: {counts}", *map(str, self.findings)))

    def to_json(self) -> dict[str, Any]:
        """Encode the report as plain JSON.

        Returns:
            The mapping that `scenekit check --json` prints.
        """
        return {
            "kind": self.kind,
            "name": self.name,
            "ok": self.ok,
            "passed": list(self.passed),
            "findings": [asdict(finding) for finding in self.findings],
            "skipped": dict(self.skipped),
        }
