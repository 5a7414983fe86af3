"""Which backend does the work."""

from __future__ import annotations

import importlib.util
from contextvars import Context

import pytest

from scenekit.errors import InputError
from scenekit_plugins.meshes.ops import current_backend, has_pytorch3d, use_backend


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
