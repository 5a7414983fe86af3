"""What scenekit's pages need beyond Sphinx: reference pages made from the code, and tables made from measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    from scenekit_docs import directives, docstrings, notebooks

    directives.setup(app)
    docstrings.setup(app)
    notebooks.setup(app)
    return {"parallel_read_safe": True}
