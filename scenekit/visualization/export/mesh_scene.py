"""The scene as a file of solids in metres, for programs that show and edit meshes: GLB and OBJ.

The files have the axes of glTF: x right, y up, the camera at the origin looks along -z. That is our camera frame turned
about x by 180 degrees, which leaves left left and faces as they wind. Letters: V vertices.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from scenekit.visualization.palette import Color, linear_from_srgb

AXES = np.array([1.0, -1.0, -1.0])
"""From the camera frame (x right, y down, z forward) to that of the files, and back."""

ROUGHNESS = 0.8


class Solid(NamedTuple):
    """One object of a file."""

    name: str
    """Its name, without spaces."""
    mesh: trimesh.Trimesh
    """Its mesh in the axes of the files, in metres."""
    color: Color
    """Its color."""
    facts: Mapping[str, Any]
    """Attributes that GLB holds beside it."""


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
    check_suffix(path)
    return lambda scene, target: write_solids(list(named_solids(scene)), target, camera_adder(scene))


def check_suffix(path: str | Path) -> None:
    """Raise InputError unless files of this name can be written."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a file name that ends in {' or '.join(SUFFIXES)}")


def write_solids(parts: Sequence[Solid], path: Path, complete: Callable[[dict[str, Any]], None]) -> None:
    """Write solids atomically, as the suffix of the file says; `complete` adds what else the tree of a GLB holds."""
    if path.suffix.lower() == ".glb":
        write_atomically(path, glb_of(parts, complete))
    else:
        write_obj(parts, path)


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


def named_solids(scene: Scene) -> Iterator[Solid]:
    """Yield all solids of a scene in the axes of the files, with name, color and the attributes of its object."""
    colors = object_colors(scene)
    for row, solid in solids(scene):
        turned = trimesh.Trimesh(solid.vertices * AXES, solid.faces, process=False)
        yield Solid(object_name(scene, row), turned, colors[row], object_facts(scene, row))


def assembled(parts: Sequence[Solid]) -> trimesh.Scene:
    """Return all solids, each with its name, its material and its attributes."""
    whole = trimesh.Scene()
    for name, mesh, color, facts in parts:
        linear = [*linear_from_srgb(np.array(color) / 255), 1.0]
        material = PBRMaterial(
            name, baseColorFactor=linear, metallicFactor=0.0, roughnessFactor=ROUGHNESS, doubleSided=True
        )
        visual = TextureVisuals(material=material)
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, visual=visual, metadata=dict(facts))
        whole.add_geometry(solid, node_name=name, geom_name=name)
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


def glb(scene: Scene) -> bytes:
    """Return the content of the .glb file that `save_mesh` writes."""
    return glb_of(list(named_solids(scene)), camera_adder(scene))


def glb_of(parts: Sequence[Solid], complete: Callable[[dict[str, Any]], None]) -> bytes:
    """Return one binary glTF 2.0 file with solids; `complete` adds what else its tree holds."""
    return bytes(export_glb(assembled(parts), tree_postprocessor=complete)) if parts else bare_glb(complete)


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


def write_obj(parts: Sequence[Solid], path: Path) -> None:
    """Write a Wavefront OBJ file, and its materials to a file of the same name that ends in .mtl."""
    materials = path.with_suffix(".mtl")
    lines, colors, before = [f"mtllib {materials.name}"], [], 1
    for name, mesh, color, _ in parts:
        lines += [f"o {name}", f"usemtl {name}"]
        lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + before).tolist()]
        red, green, blue = (level / 255 for level in color)
        colors += [f"newmtl {name}", f"Kd {red:.4f} {green:.4f} {blue:.4f}"]
        before += len(mesh.vertices)
    write_atomically(materials, "\n".join([*colors, ""]).encode())
    write_atomically(path, "\n".join([*lines, ""]).encode())


SUFFIXES = (".glb", ".obj")
