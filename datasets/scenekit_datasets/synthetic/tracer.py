"""Ray casting with embree: the first hit of each ray, and whether a lamp is hidden.

Letters: P rays, V vertices, T triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.errors import InputError

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError:
    EmbreeScene = None


def require_embree() -> None:
    """Check that embree is installed: trimesh's own ray casting would take minutes per scene.

    Raises:
        InputError: If it is missing.
    """
    if EmbreeScene is None:
        raise InputError(
            "synthetic scenes need embreex for ray casting; install it with: pip install 'scenekit[synth]'"
        )


@dataclass(frozen=True)
class Hits:
    """First hits of P rays."""

    triangle: Int[np.ndarray, " P"]
    """Index of the triangle, -1 without a hit."""
    distance: Float[np.ndarray, " P"]
    """Distance in lengths of the ray's direction."""
    u: Float[np.ndarray, " P"]
    """First barycentric coordinate."""
    v: Float[np.ndarray, " P"]
    """Second barycentric coordinate."""


class Tracer:
    """Triangles in the camera frame, prepared for ray casting.

    Args:
        verts: Vertices.
        faces: Vertex indices of each face.
    """

    def __init__(self, verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"]) -> None:
        require_embree()
        self._scene: Any = EmbreeScene()
        TriangleMesh(self._scene, verts.astype(np.float32), faces.astype(np.int32))

    def first(self, origins: Float[np.ndarray, "3 P"], directions: Float[np.ndarray, "3 P"]) -> Hits:
        """Find the first hits of rays.

        Args:
            origins: Origins of the rays.
            directions: Their directions.

        Returns:
            The hits.
        """
        out = self._scene.run(_rays(origins), _rays(directions), output=1)
        return Hits(out["primID"], out["tfar"], out["u"], out["v"])

    def blocked(
        self, origins: Float[np.ndarray, "3 P"], directions: Float[np.ndarray, "3 P"]
    ) -> Bool[np.ndarray, " P"]:
        """Return whether a surface lies between an origin and origin + direction.

        Args:
            origins: Origins of the rays.
            directions: Their directions.

        Returns:
            True for each blocked ray.
        """
        out = self._scene.run(
            _rays(origins), _rays(directions), dists=np.ones(origins.shape[1], np.float32), query="OCCLUDED"
        )
        return np.asarray(out != -1)


def _rays(values: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "P 3"]:
    """Return one ray per row, as embree expects."""
    return np.ascontiguousarray(values.T, dtype=np.float32)
