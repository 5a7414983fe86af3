"""Formulas of the pages: LaTeX becomes MathML at build, so that browsers need neither a script nor the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from latex2mathml.converter import convert

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MATRIX = re.compile(r"\\begin\{(\w*matrix|cases)\}.*?\\end\{\1\}", re.DOTALL)
"""What gets a row of its own: brackets stretch to the height of the row that they stand in."""

LEFT_OVER = re.compile(r">[^<]*[\\{}]|>&<")
"""What the converter leaves of a command, a brace or an alignment that it does not know; it escapes those it means."""


def to_mathml(latex: str, display: str = "inline") -> str:
    """Return the formula as MathML, inline or as a block.

    Raises:
        ValueError: If the formula is malformed, or has a command that the converter does not know.
    """
    try:
        mathml: str = convert(MATRIX.sub(r"{\g<0>}", latex), display=display)
    except Exception as error:  # its exceptions have no base class, and no message
        raise ValueError(f"formula {latex!r}: {type(error).__name__}") from error
    if LEFT_OVER.search(mathml):
        raise ValueError(f"formula {latex!r}: latex2mathml does not know a command or an alignment in it")
    return mathml


def visit_inline(translator: Any, node: Any) -> None:
    """Write the formula into the line."""
    from docutils.nodes import SkipNode

    translator.body.append(_mathml(node, "inline"))
    raise SkipNode


def visit_block(translator: Any, node: Any) -> None:
    """Write the formula as a paragraph of its own."""
    from docutils.nodes import SkipNode

    translator.body.append(f'<div class="math">{_mathml(node, "block")}</div>\n')
    raise SkipNode


def _mathml(node: Any, display: str) -> str:
    from sphinx.util.logging import getLogger

    try:
        return to_mathml(node.astext(), display)
    except ValueError as error:
        getLogger(__name__).warning(str(error), location=node)
        return ""


def setup(app: Sphinx) -> None:
    """Make MathML the way that HTML shows formulas; MathJax would be fetched from the network."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
