"""The names that users type: all there, and none hidden by a module of the same name."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import scenekit


def test_every_public_name_is_there_whatever_was_imported_before() -> None:
    for module in pkgutil.walk_packages(scenekit.__path__, "scenekit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in set(scenekit.__all__) - {"testing"}:  # the one sub-module among them
        assert not inspect.ismodule(getattr(scenekit, name)), f"sk.{name} is hidden by a module"


def test_import_brings_no_torch() -> None:
    code = "import sys, scenekit; assert 'torch' not in sys.modules; assert {'load', 'Scene'} <= set(dir(scenekit))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stub_is_the_only_list_of_names() -> None:
    stub = Path(inspect.getfile(scenekit)).with_suffix(".pyi").read_text(encoding="utf-8")
    assert set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == set(scenekit.__all__)
    assert not set(re.findall(r"\w+", inspect.getsource(scenekit))) & {"Scene", "Head", "load", "MASKS"}
