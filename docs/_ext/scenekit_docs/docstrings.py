"""Docstrings and signatures for autodoc.

Docstrings are Markdown with Google-style sections, autodoc reads reStructuredText: code and sections (Args, Returns,
Raises) are rewritten, everything else means the same in both.
Signatures are shown as the source writes them, so that shapes read `Float[Tensor, "N 4"]`.
"""

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config as Sections
from sphinx.ext.napoleon import GoogleDocstring

from scenekit.config import Config
from scenekit.keys import Key

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPECIAL = re.compile(r"([|\\]|\*(?! )|(?<=\w)_(?!\w))")
"""Markup of reStructuredText to escape; a star before a space begins a list, in Markdown too."""

SECTIONS = Sections(napoleon_use_rtype=False)
"""How sections are rendered."""


def to_rst(text: str) -> str:
    """Convert fenced blocks and inline code to reStructuredText, and escape its own markup."""
    parts = FENCE.split(text)
    out = [_inline(parts[0])]
    for language, block, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        indented = "".join(f"    {line}".rstrip() + "\n" for line in block.splitlines())
        out.append(f"\n.. code-block:: {language or 'text'}\n\n{indented}\n{_inline(rest)}")
    return "".join(out)


def _inline(text: str) -> str:
    pieces = re.split(r"`([^`]+)`", text)
    return "".join(
        f"``{' '.join(piece.split())}``" if i % 2 else SPECIAL.sub(r"\\\1", piece) for i, piece in enumerate(pieces)
    )


def process_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Replace the lines in place, as autodoc expects.

    Attributes have no sections; napoleon would read what precedes a colon in them as a type.
    """
    text = obj.doc if isinstance(obj, Key) else "\n".join(lines)  # the docstring of a key would be that of its class
    lines[:] = to_rst(text).splitlines()
    if what not in ("attribute", "property", "data"):
        lines[:] = GoogleDocstring(lines, SECTIONS, app, what, name, obj, options).lines()


def process_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str | None, result: str | None
) -> tuple[str | None, str | None] | None:
    """Return parameters and result with annotations as written; None keeps those of autodoc."""
    if what not in ("class", "function", "method") or (inspect.isclass(obj) and issubclass(obj, Exception)):
        return None
    if inspect.isclass(obj) and issubclass(obj, Config):
        return "", None  # its fields are in the recipe reference
    try:
        signature = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    if any(not isinstance(p.annotation, str) and p.annotation is not p.empty for p in signature.parameters.values()):
        return None  # a signature that was created at run time
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    returns = _annotation(signature.return_annotation) if isinstance(signature.return_annotation, str) else None
    return f"({', '.join(_parameters(parameters))})", None if what == "class" else returns


def _parameters(parameters: list[inspect.Parameter]) -> list[str]:
    """Yield each parameter as it is written, with a bare `*` before keyword-only ones."""
    shown, starred = [], False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        shown.append(_parameter(p))
    return shown


def _parameter(p: inspect.Parameter) -> str:
    stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    note = "" if p.annotation is p.empty else f": {_annotation(p.annotation)}"
    return f"{stars}{p.name}{note}" + ("" if p.default is p.empty else f" = {_default(p.default)}")


def _annotation(text: str) -> str:
    """Remove the space by which linters recognize that ` N` is a shape and not a name."""
    return re.sub(r'" +(\w+)"', r'"\1"', text)


def _default(value: Any) -> str:
    """Return a plain value as an expression, any other as dots."""
    plain = value is None or isinstance(value, bool | int | float | str | tuple)
    return repr(value) if plain else "..."


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Resolve a short name, such as `Board` in an annotation, to the only page entry that ends in it."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, node.get("reftarget", "").removeprefix("sk.")
    found = [name for name in domain.objects if name == f"scenekit.{target}"] or [
        name for name, entry in domain.objects.items() if name.endswith(f".{target}") and entry.objtype == "class"
    ]
    if len(found) != 1 or not target:
        return None
    entry = domain.objects[found[0]]
    uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
    return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{entry.node_id}")


def setup(app: Sphinx) -> None:
    """Connect to the events of autodoc."""
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("missing-reference", resolve)
