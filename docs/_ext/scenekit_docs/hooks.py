"""Docstrings of the hook specifications, which are Markdown."""

import inspect

from scenekit.hooks import specs
from scenekit_docs.markdown import fenced, page


def hook(name: str) -> str:
    """Return signature and docstring of one hook."""
    spec = getattr(specs, name)
    return page(fenced(f"{name}{signature(spec)}", "python"), inspect.getdoc(spec) or "")


def signature(spec: object) -> str:
    """Return the signature as the source writes it: annotations are text there."""
    found = inspect.signature(spec)  # type: ignore[arg-type]
    parameters = ", ".join(f"{p.name}: {p.annotation}" for p in found.parameters.values())
    return f"({parameters}) -> {found.return_annotation}"
