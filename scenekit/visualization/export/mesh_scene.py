"""The scene as a file of solids in metres, for programs that show and edit meshes: GLB and OBJ.

The files have the axes of glTF: x right, y up, the camera at the origin looks along -z. That is our camera frame turned
about x by 180 degrees, which leaves left left and faces as they wind. Letters: V vertices.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from scenekit.errors import InputError
from scenekit.io.files import write_atomically
from scenekit.keys import OBJECTS, Key
from scenekit.scene import Scene
from scenekit.structures.meshes import Meshes
from scenekit.visualization.camera_view import camera_of
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import linear_from_srgb

AXES = np.array([1.0, -1.0, -1.0])
"""From the camera frame (x right, y down, z forward) to that of the files, and back."""

ROUGHNESS = 0.8


def save_mesh(scene: Scene, path: str | Path) -> None:
    """Write the objects in metres, atomically: a .glb, or an .obj with an .mtl of their colors beside it.

    x is right, y up, and the camera at the origin looks along -z, as glTF has it. Objects are named by class name and
    row (`chair_0`) and have their color in drawings. An object without a mesh is represented by its 3D box, as a frame
    of thin bars; objects that have neither are left out, and a scene without any gives a valid file without solids. GLB
    holds the camera too, and with each object its `row`, `label`, `identity` and `score`. Invalid meshes and boxes (see
    `Boxes3D.valid`) count as absent.

    Args:
        scene: A scene with meshes, 3D boxes or other shapes in space.
        path: The file; its suffix selects the format.

    Raises:
        InputError: The suffix is another one, or the scene has no key with shapes in space.
    """
    write = writer_of(path)
    if not has_solids(scene):
        raise InputError(
            "the scene has no meshes, 3D boxes or other shapes in space, so there is nothing to write in metres; run a"
            " model that has a task for them, without leaving it out"
        )
    write(scene, Path(path))


def writer_of(path: str | Path) -> Callable[[Scene, Path], None]:
    """Return the function that writes a file of this name."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"{path}: expected a file name that ends in {' or '.join(WRITERS)}")
    return WRITERS[suffix]


def has_solids(scene: Scene) -> bool:
    """Return whether a kind of value of the scene has shapes in space, even if there is no shape."""
    return any(True for _ in shapes_in(scene))


def solids(scene: Scene, stand_ins: bool = True) -> Iterator[tuple[int, trimesh.Trimesh]]:
    """Yield the solid of each object that has one.

    Args:
        scene: A scene with meshes, 3D boxes or other shapes.
        stand_ins: Whether objects without a finer shape get what stands in for one, such as the frame of a 3D box.

    Yields:
        The row of an object, and its solid in the camera frame, in metres.
    """
    meshes: dict[int, trimesh.Trimesh] = {}
    for key, shapes in sorted(shapes_in(scene), key=lambda entry: entry[0].field.stands_in):
        if stand_ins or not key.field.stands_in:
            carried = scene.rows_with(key).nonzero()[:, 0].tolist()
            finite = {row: shape for row in carried if (shape := usable(shapes, row)) is not None}
            meshes = {**finite, **meshes}
    yield from sorted(meshes.items())


def shapes_in(scene: Scene) -> Iterator[tuple[Key[Any, Any], Meshes]]:
    """Yield the keys of objects whose values are shapes in space, with these."""
    for key, value in scene.values.items():
        if key.of == OBJECTS and (shapes := key.field.solids(value)) is not None:
            yield key, shapes


def usable(shapes: Meshes, row: int) -> trimesh.Trimesh | None:
    """Return the mesh of a row; None where it has no faces or vertices that are not finite."""
    mesh = shapes.to_trimesh(row)
    return mesh if len(mesh.faces) and np.isfinite(mesh.vertices).all() else None


def assembled(scene: Scene) -> trimesh.Scene:
    """Return all solids in the axes of the files, each with its name, its material and the attributes of its object."""
    whole, colors = trimesh.Scene(), object_colors(scene)
    for row, solid in solids(scene):
        name = object_name(scene, row)
        linear = [*linear_from_srgb(np.array(colors[row]) / 255), 1.0]
        material = PBRMaterial(
            name, baseColorFactor=linear, metallicFactor=0.0, roughnessFactor=ROUGHNESS, doubleSided=True
        )
        visual, facts = TextureVisuals(material=material), object_facts(scene, row)
        turned = trimesh.Trimesh(solid.vertices * AXES, solid.faces, process=False, visual=visual, metadata=facts)
        whole.add_geometry(turned, node_name=name, geom_name=name)
    return whole


def object_name(scene: Scene, row: int) -> str:
    """Return `chair_0`: class name and row, without the spaces that OBJ does not allow."""
    return "_".join([*scene.names()[row].split(), str(row)])


def object_facts(scene: Scene, row: int) -> dict[str, Any]:
    """Return the attributes of an object for the file."""
    objects = scene.objects
    facts = {"row": row, "label": scene.names()[row], "identity": int(objects.ids[row])}
    score = math.nan if objects.scores is None else float(objects.scores[row])
    return {**facts, "score": score} if math.isfinite(score) else facts


def write_glb(scene: Scene, path: Path) -> None:
    """Write one binary glTF 2.0 file."""
    write_atomically(path, glb(scene))


def glb(scene: Scene) -> bytes:
    """Return the content of the .glb file that `save_mesh` writes."""
    whole, with_camera = assembled(scene), camera_adder(scene)
    return bytes(export_glb(whole, tree_postprocessor=with_camera)) if whole.geometry else bare_glb(with_camera)


def bare_glb(complete: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a valid file without solids, which trimesh does not write: header and JSON (glTF 2.0, section 4.4)."""
    tree: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": []}
    complete(tree)
    content = json.dumps(tree).encode()
    content += b" " * (-len(content) % 4)
    return struct.pack("<4sII", b"glTF", 2, 20 + len(content)) + struct.pack("<I4s", len(content), b"JSON") + content


def camera_adder(scene: Scene) -> Callable[[dict[str, Any]], None]:
    """Return a function that adds the camera to the tree of a glTF file.

    glTF's camera has its principal point in the middle; the whole matrix stands among its `extras`.
    """
    camera, (height, width) = camera_of(scene), scene.size
    lens = {
        "yfov": 2 * math.atan(height / 2 / float(camera.matrix[1, 1])),
        "aspectRatio": width / height,
        "znear": 0.01,
    }
    extras = {"matrix": camera.matrix.tolist(), "assumed": camera.assumed, "width": width, "height": height}

    def add(tree: dict[str, Any]) -> None:
        tree["cameras"] = [{"type": "perspective", "perspective": lens, "extras": extras}]
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]))
        tree["nodes"].append({"name": "camera", "camera": 0})

    return add


def write_obj(scene: Scene, path: Path) -> None:
    """Write a Wavefront OBJ file, and its materials to a file of the same name that ends in .mtl."""
    materials = path.with_suffix(".mtl")
    lines, colors, before = [f"mtllib {materials.name}"], [], 1
    for row, solid in solids(scene):
        name = object_name(scene, row)
        lines += [f"o {name}", f"usemtl {name}"]
        lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in (solid.vertices * AXES).tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (solid.faces + before).tolist()]
        red, green, blue = (level / 255 for level in object_colors(scene)[row])
        colors += [f"newmtl {name}", f"Kd {red:.4f} {green:.4f} {blue:.4f}"]
        before += len(solid.vertices)
    write_atomically(materials, "\n".join([*colors, ""]).encode())
    write_atomically(path, "\n".join([*lines, ""]).encode())


WRITERS = {".glb": write_glb, ".obj": write_obj}
