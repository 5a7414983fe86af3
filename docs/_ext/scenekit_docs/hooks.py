"""Docstrings of the hook specifications, which are Markdown themselves."""

import inspect

from scenekit.hooks import specs
from scenekit_docs.markdown import fenced, page


def hook(name: str) -> str:
    """Signature and docstring of one hook."""
    spec = getattr(specs, name)
    return page(fenced(f"{name}{signature(spec)}", "python"), inspect.getdoc(spec) or "")


def signature(spec: object) -> str:
    """As the source writes it: annotations are text there."""
    told = inspect.signature(spec)  # type: ignore[arg-type]
    inside = ", ".join(f"{p.name}: {p.annotation}" for p in told.parameters.values())
    return f"({inside}) -> {told.return_annotation}"
