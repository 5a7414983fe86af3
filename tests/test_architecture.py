"""Guards against the ways in which this kind of project turns ugly.

A forward pass with one more `if has_x` per task; configuration and registries that eat the code; plugins as theatre,
where built-ins reach into private parts.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest

import scenekit as sk
from scenekit.hooks import registry, specs
from scenekit.hooks.manager import KINDS

REPOSITORY = Path(__file__).resolve().parent.parent
PLUGIN_ROOTS = ("plugins", "datasets")
PLUGIN_PACKAGES = ("scenekit_plugins", "scenekit_datasets")
HOOKS = {name: spec for name, spec in vars(specs).items() if name.startswith("scenekit_")}

FLOORS = (
    "errors",
    "config",
    "ops",
    "structures",
    "io",
    "fields",
    "keys",
    "scene_json",
    "scene",
    "metrics",
    "hooks",
    "recipe",
    "backbones",
    "model",
    "streaming",
    "data",
    "evaluation",
    "tracking",
    "graph",
    "visualization",
    "world",
    "detection",
    "runtimes",
    "weights",
    "training",
    "testing",
    "ros",
    "cli",
)
"""The rooms of `scenekit/` from the ground floor up: a module imports only from its own room and those below."""

FACADES = {
    ("scenekit.scene", "scenekit.graph.build"): "Scene.graph",
    ("scenekit.scene", "scenekit.visualization.draw"): "Scene.draw",
}
"""Imports inside of functions that run up, and the method that they serve."""

WORDS_OF_FILE_FORMATS = {
    "scenekit/data/relabel.py": {"attributes"},
    "scenekit/io/coco_records.py": {"attributes"},
    "scenekit/metrics/coco/average_precision.py": {"keypoints"},
    "scenekit/metrics/coco/files.py": {"keypoints"},
    "scenekit/metrics/dense_captions/files.py": {"captions"},
    "scenekit/metrics/dense_captions/average_precision.py": {"captions"},
    "scenekit/metrics/scene_graph/arrays.py": {"relations"},
    "scenekit/metrics/scene_graph/files.py": {"relations"},
    "scenekit/fields/relations.py": {"relations"},
    "scenekit/structures/vocabulary.py": {"attributes"},
    "scenekit/world/export/dsg.py": {"attributes"},
    "scenekit/fields/attributes.py": {"attributes"},
    "scenekit/detection/detector.py": {"classification"},
    "scenekit/detection/crops/stage.py": {"classification"},
    **{f"scenekit/detection/one_stage/{name}.py": {"classification"} for name in ("fcos", "retinanet", "ssd", "yolo")},
    "scenekit/templates/detector/scenekit_example.py": {"classification"},
}
"""Where a word that also is a task's name belongs to a format that is read or measured, or names a loss."""

WORDS_OF_MODALITIES = {
    "scenekit/keys.py": {"depth"},
    "scenekit/metrics/omni3d/files.py": {"depth"},
    "scenekit/recipe/renaming.py": {"points"},
    "scenekit/data/labels/coverage.py": {"points"},
    "scenekit/cli/predict.py": {"depth"},
    "scenekit/ros/bags.py": {"depth", "points"},
    "scenekit/ros/markers.py": {"points"},
}
"""Where a word that also is a modality's name is that of a key, a file format, points of skeletons, an option of the
command line, or what is in a bag."""

ONE_PASS = tuple(
    f"model/{name}.py" for name in ("scene_model", "region_selection", "plan", "head", "postprocess", "build", "board")
)
"""The modules through which every task goes."""

KEYS_OF_THE_CORE = {"IMAGES", "BACKBONE_FEATURES", "FEATURES", "PROPOSALS", "OBJECTS", "Key", "Stream"}

KINDS_OF_VALUES = {
    *("SEMANTIC", "PANOPTIC", "DEPTH", "RELATIONS", "MASKS", "AMODAL_MASKS", "KEYPOINTS", "ATTRIBUTES", "CAPTIONS"),
    "APPEARANCE",
    *("BOXES3D", "MESHES", "VOXELS", "TRUNCATION", "VISIBILITY", "PHRASE_CAPTIONS"),
    *("CLASSIFICATION", "LOCALIZATION", "ImageClasses", "LocatedClasses", "EVENTS", "Events"),
    *("Masks", "Keypoints", "Captions", "Boxes3D", "Meshes", "Panoptic", "Segment", "Relations", "Pairs"),
}
"""Keys of tasks, and the structures of their values."""

NAMES_KINDS_OF_VALUES: dict[str, str] = {
    "scenekit/data/clip.py": "a clip of a data set has events",
    "scenekit/data/clips.py": "samples of clips have those of the clip",
    "scenekit/graph/build.py": "`relabel` takes the labels of the predictor of relations, whose rows number the edges",
    "scenekit/graph/query.py": "the query language has a word for attributes",
    "scenekit/graph/query_grammar.py": "the query language has a word for attributes",
    "scenekit/io/mesh_files.py": "files of meshes hold meshes",
    "scenekit/metrics/boxes3d/errors.py": "a protocol on 3D boxes",
    "scenekit/world/association.py": "objects of a map overlap as 3D boxes",
    "scenekit/world/drawing.py": "objects of a map are 3D boxes from above",
    "scenekit/world/map_graph.py": "objects of a map are 3D boxes",
    "scenekit/world/sightings.py": "a map is made of 3D boxes, and its edges say which key is not that of relations",
    "scenekit/ros/detections.py": "messages of ROS hold masks, label maps and 3D boxes",
    "scenekit/ros/markers.py": "messages of Foxglove hold keypoints",
    "scenekit/visualization/export/mesh_scene.py": "files of solids hold meshes, whatever kind of value gives them",
}
"""The files of the core that may import them all the same, and why."""


def sources(*roots: str) -> list[Path]:
    return sorted(path for root in roots for path in (REPOSITORY / root).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything imported; the name is empty for a whole module."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno} imports by a relative path"
            yield from ((str(node.module), alias.name) for alias in node.names)


def runtime_imports(path: Path) -> Iterator[str]:
    """Modules of scenekit that the file imports when it runs, in functions as well; not those for type checkers."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scenekit."):
            yield str(node.module)
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            pending.extend(ast.iter_child_nodes(node))


def floor(module: str) -> int:
    """That of its room; a module `command` belongs to the command line, which alone loads it, by entry point."""
    return FLOORS.index("cli" if module.endswith(".command") else module.split(".")[1])


@functools.cache
def documented() -> tuple[set[str], set[str]]:
    """Names of the modules that the API pages list whole, and of single functions, classes and constants."""
    pages = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs" / "reference" / "api").glob("*.md")]
    listed = re.findall(r"^\.\. auto(\w+):: (scenekit[\w.]*)$", "\n".join(pages), re.MULTILINE)
    return {name for kind, name in listed if kind == "module"}, {name for kind, name in listed if kind != "module"}


@functools.cache
def is_documented(module: str, name: str) -> bool:
    """Whether an API page lists the object, under this name or where it is defined, or `sk` has it."""
    modules, single = documented()
    if {module, f"{module}.{name}"} & modules or f"{module}.{name}" in single:
        return True
    value = getattr(importlib.import_module(module), name)
    if f"{getattr(value, '__module__', '')}.{name}" in single:
        return True
    homes = (sk, *map(importlib.import_module, modules))
    return any(hasattr(home, name) and getattr(home, name) is value for home in homes)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", sources("scenekit"), ids=relative)
def test_imports_run_down(path: Path) -> None:
    """No module needs one of a higher floor: not when it is imported, nor later, the facades aside."""
    if "templates" in path.parts or (path.parent.name == "scenekit" and path.stem.startswith("__")):
        return
    module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    running_up = [other for other in runtime_imports(path) if floor(other) > floor(module)]
    assert not [other for other in running_up if (module, other) not in FACADES]


def test_every_facade_is_one() -> None:
    """The list of exceptions holds none that is no longer needed."""
    for module, other in FACADES:
        assert other in set(runtime_imports(REPOSITORY / f"{module.replace('.', '/')}.py"))


@pytest.mark.parametrize("path", sources("scenekit"), ids=relative)
def test_the_core_names_no_task(path: Path) -> None:
    """Not in a comparison, not in a table: a string that is a task's name has no place outside the shared keys."""
    if relative(path) == "scenekit/keys.py":
        return
    allowed = WORDS_OF_FILE_FORMATS.get(relative(path), set())
    names = set(registry().names("task")) - allowed
    found = [
        (node.lineno, node.value) for node in nodes(path) if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not found, f"{relative(path)} speaks of tasks by name: {found}"


@pytest.mark.parametrize("path", sources("scenekit"), ids=relative)
def test_the_core_names_no_modality(path: Path) -> None:
    """What images come with is read, moved and packed by the records of plugins."""
    names = set(registry().names("modality")) - WORDS_OF_MODALITIES.get(relative(path), set())
    found = [(n.lineno, n.value) for n in nodes(path) if isinstance(n, ast.Constant) and n.value in names]
    assert not found, f"{relative(path)} speaks of modalities by name: {found}"


@pytest.mark.parametrize("name", ONE_PASS)
def test_the_one_pass_knows_no_key_of_a_task(name: str) -> None:
    imported = {name for module, name in imports(REPOSITORY / "scenekit" / name) if module == "scenekit.keys"}
    assert imported <= KEYS_OF_THE_CORE


def kinds_of_values_in(path: Path) -> set[str]:
    """The keys and structures of tasks that a file imports from scenekit or reads as `sk.NAME`."""
    imported = {name for module, name in imports(path) if module.startswith(("scenekit.keys", "scenekit.structures"))}
    read = {n.attr for n in nodes(path) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "sk"}
    return KINDS_OF_VALUES & (imported | read)


def test_a_kind_of_value_lives_in_its_field() -> None:
    """What the core does to values it asks of their fields: a new kind touches keys.py, its field and its structure."""
    homes = ("scenekit/keys.py", "scenekit/fields/", "scenekit/structures/", "scenekit/templates/")
    others = {relative(path): path for path in sources("scenekit") if not relative(path).startswith(homes)}
    naming = {name: kinds for name, path in others.items() if (kinds := kinds_of_values_in(path))}
    assert naming.keys() - NAMES_KINDS_OF_VALUES.keys() == set(), "ask the key's field instead"
    assert NAMES_KINDS_OF_VALUES.keys() - naming.keys() == set(), "no longer needed; remove the exception"


@pytest.mark.parametrize("path", sources("scenekit"), ids=relative)
def test_the_core_imports_no_plugin(path: Path) -> None:
    assert not [module for module, _ in imports(path) if module.split(".")[0] in PLUGIN_PACKAGES]
    strings = [node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    modules = tuple(f"{package}." for package in PLUGIN_PACKAGES)
    assert not [text for text in strings if text.startswith(modules)], "nor by name at run time"


@pytest.mark.parametrize("path", sources(*PLUGIN_ROOTS), ids=relative)
def test_plugins_use_public_parts_only(path: Path) -> None:
    for module, name in imports(path):
        if module.split(".")[0] == "scenekit":
            assert not any(map(is_private, [*module.split("."), name])), f"{relative(path)} imports {module}.{name}"
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            assert owner in ("self", "cls"), f"{relative(path)}:{node.lineno} reaches into {owner}.{node.attr}"


@pytest.mark.parametrize("path", sources(*PLUGIN_ROOTS), ids=relative)
def test_plugins_import_what_the_api_pages_list(path: Path) -> None:
    for module, name in imports(path):
        if module.startswith("scenekit."):
            assert is_documented(module, name), f"{relative(path)} imports {module}.{name}, which no API page lists"


@pytest.mark.parametrize("path", sources(*PLUGIN_ROOTS), ids=relative)
def test_plugins_do_not_know_each_other(path: Path) -> None:
    """They meet on the board: what an entry point names is imported by nobody but itself."""
    own = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts[1:3])
    others = {entry.value for entry in entry_points(group="scenekit")} - {own}
    for module, name in imports(path):
        assert not {module, f"{module}.{name}"} & others, f"{relative(path)} imports {module}"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_shows_how_it_is_used(name: str) -> None:
    """Its docstring says when it is called and holds an example that pluggy takes."""
    text = inspect.getdoc(HOOKS[name]) or ""
    assert "alled " in text
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    plugin = type("Plugin", (), {})
    scope = {"sk": sk}
    exec(compile(example[1], name, "exec"), scope)
    setattr(plugin, name, staticmethod(scope[name]))
    manager = pluggy.PluginManager("scenekit")
    manager.add_hookspecs(specs)
    manager.register(plugin)
    assert len(getattr(manager.hook, name).get_hookimpls()) == 1


def test_every_hook_has_a_test() -> None:
    """Those that hand over records are run through one by one in tests/hooks, the observers by name."""
    text = (REPOSITORY / "tests" / "hooks" / "test_manager.py").read_text()
    assert '@pytest.mark.parametrize("kind", KINDS)' in text
    tested = {hook for hook, _ in KINDS.values()} | set(re.findall(r"scenekit_\w+", text))
    assert set(HOOKS) <= tested


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_real_user(name: str) -> None:
    """Something that is installed with scenekit itself implements it, and not a test alone."""
    implementations = getattr(registry().manager.hook, name).get_hookimpls()
    assert any(" of scenekit " in implementation.plugin_name for implementation in implementations)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_page(name: str) -> None:
    assert f"### {name}\n" in (REPOSITORY / "docs" / "hooks.md").read_text(encoding="utf-8")


def test_built_ins_enter_by_the_door() -> None:
    found = registry()
    assert not found.failures
    assert set(found.names("task")) >= {"semantic", "masks", "panoptic", "keypoints"}
    assert found.names("detector") and found.names("backbone") and found.names("dataset")
