"""Formulas of the pages become MathML; what cannot be converted is an issue of the build."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


@pytest.fixture(scope="module")
def formulas(repository: Path) -> ModuleType:
    """The module that converts them."""
    sys.path.insert(0, str(repository / "docs" / "_ext"))
    try:
        from scenekit_docs import formulas
    finally:
        sys.path.pop(0)
    return formulas


def test_a_fraction_with_indices(formulas: ModuleType) -> None:
    math = ElementTree.fromstring(formulas.to_mathml(r"\frac{e^{z_k}}{\sum_j e^{z_j}}", "block"))
    assert math.attrib["display"] == "block"
    over, under = math.find(f".//{NAMESPACE}mfrac") or ()
    assert "".join(over.itertext()) == "ezk" and "".join(under.itertext()) == "∑jezj"


def test_the_brackets_of_a_matrix_are_as_high_as_the_matrix(formulas: ModuleType) -> None:
    math = ElementTree.fromstring(
        formulas.to_mathml(r"X = \begin{bmatrix} a \\ b \end{bmatrix} \begin{bmatrix} c \end{bmatrix}")
    )
    rows = [row for row in math.iter(f"{NAMESPACE}mrow") if row.find(f"{NAMESPACE}mtable") is not None]
    assert [[child.tag.removeprefix(NAMESPACE) for child in row] for row in rows] == [["mo", "mtable", "mo"]] * 2


@pytest.mark.parametrize("latex", [r"\left( a", r"\nosuch{a}", r"a}", r"\begin{aligned}a &= b\end{aligned}", r"a_b_c"])
def test_what_is_not_converted_is_an_error_that_shows_the_formula(formulas: ModuleType, latex: str) -> None:
    with pytest.raises(ValueError, match="formula") as error:
        formulas.to_mathml(latex)
    assert repr(latex) in str(error.value)


@pytest.mark.parametrize("latex", [r"\{a\}", r"a \& b", r"a < b", r"\begin{cases} a & b \\ c & d \end{cases}"])
def test_signs_that_are_meant_are_kept(formulas: ModuleType, latex: str) -> None:
    ElementTree.fromstring(formulas.to_mathml(latex))


def test_a_page_is_built_with_formulas_and_no_script(tmp_path: Path, repository: Path) -> None:
    application = pytest.importorskip("sphinx.application")
    pytest.importorskip("myst_parser")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(repository / 'docs' / '_ext')!r})\n"
        "extensions = ['myst_parser', 'scenekit_docs.formulas']\n"
        "myst_enable_extensions = ['amsmath', 'dollarmath']\nhtml_math_renderer = 'mathml'\n"
    )
    page = "# Page\n\nA weight $\\lambda$.\n\n$$\na = b\n$$\n\n\\begin{align*}\nc &= d\n\\end{align*}\n\n$\\nosuch$\n"
    (tmp_path / "index.md").write_text(page)
    out, warnings = tmp_path / "out", io.StringIO()
    application.Sphinx(tmp_path, tmp_path, out, tmp_path / "trees", "html", status=None, warning=warnings).build()
    html = (out / "index.html").read_text(encoding="utf-8")
    assert html.count('display="inline"') == 1 and html.count('display="block"') == 2
    assert "cdn" not in html and "MathJax" not in html
    assert [line for line in warnings.getvalue().splitlines() if "nosuch" in line and "index.md" in line]
