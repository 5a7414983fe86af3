"""The names that users type: all there, and none hidden by a module of the same name."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import scenekit


def test_every_public_name_is_there_whatever_was_imported_before() -> None:
    for module in pkgutil.walk_packages(scenekit.__path__, "scenekit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in scenekit.__all__:
        assert not inspect.ismodule(getattr(scenekit, name)), f"sk.{name} is hidden by a module"


def test_import_brings_no_torch() -> None:
    code = "import sys, scenekit; assert 'torch' not in sys.modules; assert {'load', 'Scene'} <= set(dir(scenekit))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_type_checkers_see_the_same_names() -> None:
    text = inspect.getsource(scenekit)
    assert all(f" import {name} as {name}\n" in text for name in scenekit.__all__)
