"""The rules that every task keeps, from scenekit.testing."""

from scenekit.testing import CHECKS
from scenekit_docs.markdown import code, table


def table_of_checks() -> str:
    """Each check: its name in the report, the rule, and what to do where it is broken."""
    return table(("check", "rule", "where it is broken"), [(code(c.name), c.rule, c.remedy) for c in CHECKS])
