"""Parts of the report that are in metres: where objects are, the scene from above, and its solids to take away."""

from __future__ import annotations

import base64
from html import escape

from scenekit.keys import BOXES3D, MESHES
from scenekit.scene import Scene
from scenekit.visualization.camera_view import distances, drawable_cuboids
from scenekit.visualization.export.mesh_scene import glb
from scenekit.visualization.report.tables import Column


def space_columns(scene: Scene) -> list[Column]:
    """Place, size and distance of the objects that have a 3D box; no columns where nothing looked for those."""
    if BOXES3D not in scene:
        return []
    rows, boxes = drawable_cuboids(scene)
    places, sizes, far = ([""] * len(scene.objects) for _ in range(3))
    for i, row in enumerate(rows):
        places[row] = ", ".join(f"{value:.2f}" for value in boxes.center[i].tolist())
        sizes[row] = " × ".join(f"{value:.2f}" for value in boxes.size[i].tolist())
        far[row] = f"{distances(boxes)[i]:.2f}"
    titles = ("x, y, z in m", "w × h × l in m", "distance in m")
    return [Column(title, cells, numeric=True) for title, cells in zip(titles, (places, sizes, far), strict=True)]


def solids_link(name: str, scene: Scene) -> str:
    """A link that saves the meshes, or else the 3D boxes, as a GLB file, which the report itself holds."""
    if MESHES not in scene and BOXES3D not in scene:
        return ""
    content = base64.b64encode(glb(scene)).decode("ascii")
    address = f"data:model/gltf-binary;base64,{content}"
    file = f"{escape(name)}.glb"
    return f'<p class="note"><a download="{file}" href="{address}">Solids in metres: {file}</a></p>'
