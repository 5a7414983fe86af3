"""Every test of this folder runs on both backends, unless it asks for none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenekit_plugins.meshes.ops import has_pytorch3d, use_backend


@pytest.fixture(params=["torch", "pytorch3d"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The backend of mesh operations that the test runs on."""
    if request.param == "pytorch3d" and not has_pytorch3d():
        pytest.skip("the backend pytorch3d is not tested: pytorch3d is not installed")
    with use_backend(request.param):
        yield request.param
