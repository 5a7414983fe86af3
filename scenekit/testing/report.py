"""What checking a task found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One broken rule: the `check` that found it, what happened (`reason`), and what its author can do (`remedy`)."""

    check: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}. Remedy: {self.remedy}"


@dataclass(frozen=True)
class Report:
    """What was found about one `task`: names of the checks that `passed`, `findings`, and why others were `skipped`."""

    task: str
    passed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found; checks that do not apply do not count."""
        return not self.findings

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that found something."""
        return tuple(finding.check for finding in self.findings)

    def __str__(self) -> str:
        summary = f"{self.task}: {len(self.passed)} passed, {len(self.findings)} failed, {len(self.skipped)} skipped"
        return "\n  ".join((summary, *map(str, self.findings)))

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        findings = [asdict(finding) for finding in self.findings]
        return {
            "task": self.task,
            "ok": self.ok,
            "passed": list(self.passed),
            "findings": findings,
            "skipped": dict(self.skipped),
        }
