"""Guards of the language: public names are documented in full, and in the terms of the field.

The sources are read, not imported: a public name is one of `sk` or one that a page of the API reference shows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = REPOSITORY / "docs" / "reference" / "api"

VERBS = frozenset(
    re.findall(
        r"\w+",
        """
    Accept Accumulate Add Align Append Apply Arrange Ask Assemble Assert Assign Attach Average Blend Broadcast Build
    Cache Call Change Check Choose Classify Clear Clip Close Collate Collect Combine Compare Complete Compose
    Compute Concatenate Configure Convert Copy Correct Count Create Crop Cut Decode Decompose Define Delete Derive
    Describe Detach Detect Determine Display Distribute Divide Do Download Draw Drop Embed Encode Ensure Enumerate
    Estimate Evaluate Exchange Expand Explain Export Extract Fill Filter Find Finish Fit Flatten Flip Flush Format
    Forward Freeze Gather Generate Get Group Guard Handle Hide Hold Ignore Import Index Infer Initialize Insert
    Inspect Interpolate Invert Iterate Join Keep Label Lay Let Limit Link List Load Locate Log Look Make Map Mark
    Mask Match Measure Merge Mix Move Multiply Name Normalize Number Observe Offset Open Order Pack Pad Pair Parse
    Paste Patch Permute Pick Place Plan Plot Pool Postprocess Predict Prepare Preprocess Print Produce Project Propose
    Provide Push Put Raise Rank Read Record Reduce Refine Register Relabel Release Remap Remove Rename Render
    Renumber Reorder Repeat Replace Report Require Resample Rescale Reset Reshape Resize Resolve Restore Restrict
    Return Rotate Round Run Sample Save Scale Score Search Select Send Separate Serialize Set Share Show Shuffle
    Simplify Skip Smooth Sort Split Spread Stack Start Step Stop Store Subdivide Subtract Sum Summarize Swap Switch
    Take Test Time Trace Track Train Transfer Transform Translate Triangulate Turn Unpack Unproject Update Upload
    Upsample Use Validate Verify Visualize Voxelize Wait Warn Weight Wrap Write Yield
    """,
    )
)
"""With which the docstring of a function may begin."""

FOREIGN = re.compile(
    r"\b(nobody|somebody|anybody|everybody|whoever|whomever|excused|mend(s|ed|ing)?|takes? in|taken in"
    r"|pass(es|ed)? over|pictures?|told|blam(e|es|ed|ing)|(?<!ground )(?<!ground-)(?<!ground_)truths?)\b",
    re.IGNORECASE,
)
"""Words for which the field has a term: image, ground truth, ignored, merge, skip, validate, ..."""

DATA_WORDS = {
    "datasets/scenekit_datasets/synthetic/captions.py": {"somebody"},
    "plugins/scenekit_plugins/detectron2_weights/cubercnn.py": {"picture"},
}
"""What captions and class names of data sets contain; published weights are trained on them."""

STORED_OPTIONS = re.compile(r"\bconfig\.picture\b|^    picture: bool\b", re.MULTILINE)
"""Options of recipes and checkpoints, whose names stay."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Definition = FunctionNode | ast.ClassDef


@dataclass(frozen=True)
class Public:
    """A class or function that the API reference shows."""

    path: Path
    node: Definition


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def source_of(module: str) -> Path | None:
    """The file of a module; of scenekit itself, the stub that lists its names."""
    if module == "scenekit":
        return REPOSITORY / "scenekit" / "__init__.pyi"
    for root in (REPOSITORY, REPOSITORY / "plugins", REPOSITORY / "datasets"):
        stem = root.joinpath(*module.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def definition(module: str, name: str) -> Public | None:
    """Where `module.name` is defined, through all imports; None for constants and names of other packages."""
    path = source_of(module)
    if path is None:
        return None
    for node in parsed(path).body:
        if isinstance(node, Definition) and node.name == name:
            return Public(path, node)
        if isinstance(node, ast.ImportFrom):
            origin = f"scenekit.{node.module}" if node.level else str(node.module)
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return definition(origin, alias.name)
    return None


def names_of(module: str) -> list[str]:
    """The names that autodoc shows of a module: those in its `__all__`, else the public ones that it defines."""
    path = source_of(module)
    assert path is not None, f"a page names {module}, which does not exist"
    body = parsed(path).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return [node.name for node in body if isinstance(node, Definition) and not node.name.startswith("_")]


def names_on_pages() -> Iterator[tuple[str, str]]:
    """(Module, name) of all that the pages and `sk` show."""
    for page in sorted(PAGES.glob("*.md")):
        for kind, target in re.findall(r"\.\. auto(module|class|function):: (\S+)", page.read_text(encoding="utf-8")):
            if kind == "module":
                yield from ((target, name) for name in names_of(target))
            else:
                yield target.rpartition(".")[0], target.rpartition(".")[2]
    stub = (REPOSITORY / "scenekit" / "__init__.pyi").read_text(encoding="utf-8")
    yield from (("scenekit", name) for name in re.findall(r" as (\w+)$", stub, re.MULTILINE))


def public_definitions() -> dict[Path, list[Public]]:
    found: dict[Path, list[Public]] = {}
    for module, name in names_on_pages():
        public = definition(module, name)
        if public is not None and public not in found.setdefault(public.path, []):
            found[public.path].append(public)
    return found


def section(doc: str, name: str) -> str:
    """The indented lines behind `name:`; empty without that section."""
    match = re.search(rf"^{name}:\n((?:[ \t]+.*\n?|\n)+)", doc, re.MULTILINE)
    return match[1] if match else ""


def parameters(node: FunctionNode) -> list[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in ("self", "cls")]


def undocumented(names: list[str], doc: str, owner: str) -> Iterator[str]:
    listed = section(doc, "Args") + section(doc, "Attributes")
    for name in names:
        if not name.startswith("_") and not re.search(rf"^\s+\**{name}( \(.*\))?:", listed, re.MULTILINE):
            yield f"{owner}: Args: lacks {name}"


def problems_of_function(node: FunctionNode, owner: str) -> Iterator[str]:
    """What a docstring lacks: a verb, parameters, the result. Properties are values: a noun phrase is enough."""
    doc = ast.get_docstring(node)
    if not doc:
        yield f"{owner} has no docstring"
        return
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if decorators & {"property", "cached_property", "functools.cached_property"}:
        return
    if doc.split()[0].strip(".,:") not in VERBS:
        yield f"{owner} begins with {doc.split()[0]!r}, not with a verb"
    yield from undocumented(parameters(node), doc, owner)
    gives_nothing = node.returns is None or ast.unparse(node.returns) in ("None", "NoReturn")
    if not gives_nothing and not (section(doc, "Returns") or section(doc, "Yields")):
        yield f"{owner} has no Returns:"


def fields_without_line(node: ast.ClassDef) -> list[str]:
    """Annotated public names of a class with neither a string below them nor a description in their value."""
    followers = [*node.body[1:], None]
    return [
        field.target.id
        for field, below in zip(node.body, followers, strict=True)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant))
        if not (field.value is not None and "description=" in ast.unparse(field.value))
    ]


def bases_of(public: Public) -> Iterator[Public]:
    """The classes of this repository that a class inherits from, itself left out."""
    assert isinstance(public.node, ast.ClassDef)
    module = ".".join(public.path.relative_to(REPOSITORY).with_suffix("").parts)
    for base in public.node.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        origin = "scenekit" if name.startswith("sk.") else module.removeprefix("plugins.").removeprefix("datasets.")
        found = definition(origin.removesuffix(".__init__"), name.removeprefix("sk."))
        if found is not None and isinstance(found.node, ast.ClassDef):
            yield found
            yield from bases_of(found)


def documented_by_bases(public: Public) -> set[str]:
    """Methods that a base documents; an override needs to repeat nothing."""
    return {
        method.name
        for base in bases_of(public)
        if isinstance(base.node, ast.ClassDef)
        for method in base.node.body
        if isinstance(method, FunctionNode) and ast.get_docstring(method)
    }


def problems_of_class(node: ast.ClassDef, inherited: set[str]) -> Iterator[str]:
    doc = ast.get_docstring(node) or ""
    if not doc:
        yield f"{node.name} has no docstring"
    yield from undocumented(fields_without_line(node), doc, node.name)
    for method in node.body:
        if not isinstance(method, FunctionNode):
            continue
        if method.name == "__init__":
            yield from undocumented(parameters(method), doc, f"{node.name}()")
        inherits = bool(node.bases) and ast.get_docstring(method) is None
        if not method.name.startswith("_") and not inherits and method.name not in inherited:
            yield from problems_of_function(method, f"{node.name}.{method.name}")


def problems(public: Public) -> list[str]:
    if isinstance(public.node, ast.ClassDef):
        return list(problems_of_class(public.node, documented_by_bases(public)))
    return list(problems_of_function(public.node, public.node.name))


PUBLIC = public_definitions()
SOURCES = sorted(path for root in ("scenekit", "plugins", "datasets") for path in (REPOSITORY / root).rglob("*.py"))


def functions(path: Path) -> Iterator[FunctionNode]:
    """Those whose docstring begins with a verb: not properties, checks (they state a rule), the program's help."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, FunctionNode) and ast.get_docstring(node) and node.name != "overview":
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if not re.search(r"\b(property|cached_property|check\()", decorators):
                yield node


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", sorted(PUBLIC), ids=relative)
def test_public_names_are_documented_in_full(path: Path) -> None:
    """Args, Returns, a verb in front, a line for each field: what a page of reference must say."""
    lacking = [problem for public in PUBLIC[path] for problem in problems(public)]
    assert not lacking, f"{relative(path)}:\n" + "\n".join(lacking)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_docstrings_begin_with_a_verb(path: Path) -> None:
    """Also those of functions that no page shows."""
    firsts = {node.name: (ast.get_docstring(node) or "").split()[0].strip(".,:") for node in functions(path)}
    assert not {name: first for name, first in firsts.items() if first not in VERBS}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_terms_of_the_field(path: Path) -> None:
    """Docstrings, messages, comments and names use the field's terms."""
    lines = enumerate(STORED_OPTIONS.sub("", path.read_text(encoding="utf-8")).splitlines(), start=1)
    allowed = DATA_WORDS.get(relative(path), set())
    matches = ((number, match[0]) for number, line in lines for match in FOREIGN.finditer(line))
    foreign = [f"{number}: {word}" for number, word in matches if word not in allowed]
    assert not foreign, f"{relative(path)}:\n" + "\n".join(foreign)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('def f(x):\n    """The x."""', "f begins with 'The', not with a verb"),
        ('def f(x):\n    """Return x.\n\n    Args:\n        y: Other.\n    """', "f: Args: lacks x"),
        ('def f() -> int:\n    """Return one."""', "f has no Returns:"),
        ("def f():\n    pass", "f has no docstring"),
        ('class A:\n    """A record."""\n    x: int', "A: Args: lacks x"),
        ('class A:\n    """A part."""\n    def __init__(self, x): ...', "A(): Args: lacks x"),
        ('class A:\n    """A part."""\n    def go(self): ...', "A.go has no docstring"),
    ],
)
def test_the_guard_finds_what_is_lacking(source: str, problem: str) -> None:
    node = ast.parse(source).body[0]
    assert isinstance(node, Definition) and problem in problems(Public(Path(__file__), node))


@pytest.mark.parametrize(
    "source",
    [
        'def f(x) -> int:\n    """Return x.\n\n    Args:\n        x: A number.\n\n    Returns:\n        It.\n    """',
        'class A:\n    """A record."""\n    x: int\n    """A line."""\n    @property\n    def y(self): "Twice x."',
        'class A(B):\n    """A.\n\n    Args:\n        x: B.\n    """\n    def __init__(self, x): 1\n    def g(self): 1',
    ],
)
def test_the_guard_accepts_what_is_complete(source: str) -> None:
    node = ast.parse(source).body[0]
    assert isinstance(node, Definition) and not problems(Public(Path(__file__), node))
