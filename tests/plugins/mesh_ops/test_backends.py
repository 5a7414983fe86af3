"""Which backend does the work."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from contextvars import Context
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from scenekit.errors import InputError
from scenekit_plugins.meshes import ops
from scenekit_plugins.meshes.ops import backend as backends
from scenekit_plugins.meshes.ops import current_backend, has_pytorch3d, use_backend

CHOSEN_BY_BACKEND = re.findall(r"^(\w+) = on_backend\(", Path(ops.__file__).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_backend_named_last_counts(backend: str) -> None:
    assert current_backend() == backend
    with use_backend("torch"):
        assert current_backend() == "torch"
    assert current_backend() == backend


def test_a_backend_that_does_not_exist() -> None:
    with (
        pytest.raises(InputError, match="no backend of mesh operations is named 'pytorch'; did you mean"),
        use_backend("pytorch"),
    ):
        pass


def test_pytorch3d_is_asked_for_but_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not has_pytorch3d()
    with (
        pytest.raises(InputError, match="needs pytorch3d installed; the backend torch does not"),
        use_backend("pytorch3d"),
    ):
        pass


def test_the_environment_names_the_backend_where_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Context()
    monkeypatch.delenv("SCENEKIT_MESH_BACKEND", raising=False)
    assert outside.run(current_backend) == "torch"
    monkeypatch.setenv("SCENEKIT_MESH_BACKEND", "numpy")
    with pytest.raises(InputError, match="no backend of mesh operations is named 'numpy'"):
        outside.run(current_backend)


def test_both_backends_have_the_same_functions() -> None:
    """By their source: pytorch3d need not be installed."""
    source = Path(backends.__file__).with_name("pytorch3d_backend.py").read_text(encoding="utf-8")
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert set(CHOSEN_BY_BACKEND) == {name for name in functions if not name.startswith("_")}
    for name in CHOSEN_BY_BACKEND:
        arguments = functions[name].args
        expected = list(inspect.signature(getattr(ops, name)).parameters)
        assert [argument.arg for argument in arguments.args + arguments.kwonlyargs] == expected, name


def test_layers_run_on_the_backend_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph convolution adds what the backend's `gather_scatter` returns."""
    module = SimpleNamespace(gather_scatter=lambda values, edges, directed: torch.full_like(values, 7.0))
    monkeypatch.setitem(sys.modules, "scenekit_plugins.meshes.ops.pytorch3d_backend", module)
    monkeypatch.setattr(backends, "has_pytorch3d", lambda: True)
    layer, verts, edges = ops.GraphConv(2, 3), torch.rand(4, 2), torch.tensor([[0, 1]])
    with use_backend("pytorch3d"):
        assert torch.equal(layer(verts, edges), layer.w0(verts) + 7)
