"""Sphinx extension of scenekit's pages: reference pages generated from the code, tables generated from results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Set up the extension; called by Sphinx."""
    from scenekit_docs import directives, docstrings, formulas, notebooks

    directives.setup(app)
    docstrings.setup(app)
    formulas.setup(app)
    notebooks.setup(app)
    return {"parallel_read_safe": True}
