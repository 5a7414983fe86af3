"""What scenekit's pages need beyond Sphinx: reference pages made from the code, and tables made from measurements."""

from typing import Any

from sphinx.application import Sphinx

from scenekit_docs import directives, docstrings, notebooks


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    directives.setup(app)
    docstrings.setup(app)
    notebooks.setup(app)
    return {"parallel_read_safe": True}
