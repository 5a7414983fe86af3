"""Ray casting with embree: what each ray hits first, and whether a lamp is hidden.

Letters: P rays, T triangles, V vertices.
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
    """Raise InputError unless embree is there: trimesh's own ray casting would take minutes a scene."""
    if EmbreeScene is None:
        raise InputError(
            "synthetic scenes need embreex for ray casting; install it with: pip install 'scenekit[synth]'"
        )


@dataclass(frozen=True)
class Hits:
    """First hits of P rays; `triangle` is -1 for a miss. `distance` is in lengths of the ray's direction."""

    triangle: Int[np.ndarray, " P"]
    distance: Float[np.ndarray, " P"]
    u: Float[np.ndarray, " P"]
    v: Float[np.ndarray, " P"]


class Tracer:
    """Triangles in the camera frame, ready for rays."""

    def __init__(self, verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"]) -> None:
        require_embree()
        self._scene: Any = EmbreeScene()
        TriangleMesh(self._scene, verts.astype(np.float32), faces.astype(np.int32))

    def first(self, origins: Float[np.ndarray, "3 P"], directions: Float[np.ndarray, "3 P"]) -> Hits:
        """What the rays meet first."""
        out = self._scene.run(_rays(origins), _rays(directions), output=1)
        return Hits(out["primID"], out["tfar"], out["u"], out["v"])

    def blocked(
        self, origins: Float[np.ndarray, "3 P"], directions: Float[np.ndarray, "3 P"]
    ) -> Bool[np.ndarray, " P"]:
        """Whether anything lies between an origin and origin + direction."""
        out = self._scene.run(
            _rays(origins), _rays(directions), dists=np.ones(origins.shape[1], np.float32), query="OCCLUDED"
        )
        return np.asarray(out != -1)


def _rays(values: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "P 3"]:
    """Embree wants a ray a row."""
    return np.ascontiguousarray(values.T, dtype=np.float32)
