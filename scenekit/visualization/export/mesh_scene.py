"""The scene as a file of solids in metres, for programs that show and edit meshes: GLB and OBJ.

The files have the axes of glTF: x right, y up, the camera at the origin looks along -z. That is our camera frame turned
about x by 180 degrees, which leaves left left and faces as they wind. Letters: V vertices.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from scenekit.errors import InputError
from scenekit.io.files import write_atomically
from scenekit.keys import BOXES3D, MESHES
from scenekit.scene import Scene
from scenekit.visualization.camera_view import camera_of, drawable_cuboids
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import linear_from_srgb

AXES = np.array([1.0, -1.0, -1.0])
"""From the camera frame (x right, y down, z forward) to that of the files, and back."""

BAR = 0.015
"""Thickness of the bars that stand for a box, in units of its longest side."""

ROUGHNESS = 0.8


def save_mesh(scene: Scene, path: str | Path) -> None:
    """Write the objects in metres, whole or not at all: a .glb, or an .obj with an .mtl of their colors beside it.

    x is right, y up, and the camera at the origin looks along -z, as glTF has it. Objects are named by label and row
    (`chair_0`) and have their color in drawings. Where an object has no mesh its 3D box stands for it, as a frame of
    thin bars; objects that have neither are left out, and a scene without any gives a valid file without solids. GLB
    holds the camera too, and with each object its `row`, `label`, `identity` and `score`. Meshes with vertices that are
    not finite and boxes that cannot be (see `Boxes3D.valid`) count as none.

    Raises InputError for another suffix, and for scenes in which nothing looked for meshes or 3D boxes.
    """
    write = writer_of(path)
    if MESHES not in scene and BOXES3D not in scene:
        raise InputError(
            "this scene has neither meshes nor 3D boxes, so there is nothing to write in metres; run a model that has"
            " a task for them, without leaving it out"
        )
    write(scene, Path(path))


def writer_of(path: str | Path) -> Callable[[Scene, Path], None]:
    """How a file of this name is written."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"{path}: a file name that ends in {' or '.join(WRITERS)} expected")
    return WRITERS[suffix]


def solids(scene: Scene) -> Iterator[tuple[int, trimesh.Trimesh]]:
    """(row, solid) of each object that has a mesh, or else a 3D box, in the camera frame."""
    meshes = meshes_of(scene)
    frames = {row: mesh for row, mesh in frames_of(scene).items() if row not in meshes}
    yield from sorted({**meshes, **frames}.items())


def meshes_of(scene: Scene) -> dict[int, trimesh.Trimesh]:
    """The meshes that have faces and finite vertices, by row."""
    if MESHES not in scene:
        return {}
    rows = scene.rows_with(MESHES).nonzero()[:, 0].tolist()
    found = {row: scene[MESHES].to_trimesh(row) for row in rows}
    return {row: mesh for row, mesh in found.items() if len(mesh.faces) and np.isfinite(mesh.vertices).all()}


def frames_of(scene: Scene) -> dict[int, trimesh.Trimesh]:
    """The 3D boxes as frames of bars, by row."""
    if BOXES3D not in scene:
        return {}
    rows, boxes = drawable_cuboids(scene)
    parts = (part.detach().cpu().double().numpy() for part in (boxes.center, boxes.size, boxes.rotation))
    frames = {}
    for row, center, (width, height, length), rotation in zip(rows, *parts, strict=True):
        frame = bars(np.array([length, height, width]))
        frames[row] = trimesh.Trimesh(frame.vertices @ rotation.T + center, frame.faces, process=False)
    return frames


def bars(sides: Float[np.ndarray, "3"]) -> trimesh.Trimesh:
    """The twelve edges of a box around the origin as bars inside it."""
    thick = np.minimum(BAR * sides.max(), sides)
    pieces = []
    for axis, first, second in product(range(3), (-1, 1), (-1, 1)):
        place = np.insert([first, second], axis, 0) * (sides - thick) / 2
        extents = np.where(np.arange(3) == axis, sides, thick)
        pieces.append(trimesh.creation.box(extents).apply_translation(place))
    verts = np.concatenate([piece.vertices for piece in pieces])
    faces = [piece.faces + len(piece.vertices) * n for n, piece in enumerate(pieces)]
    return trimesh.Trimesh(verts, np.concatenate(faces), process=False)


def assembled(scene: Scene) -> trimesh.Scene:
    """All solids in the axes of the files, each with its name, its material and what is known of its object."""
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
    """`chair_0`: label and row, without the spaces that OBJ does not take."""
    return "_".join([*scene.names()[row].split(), str(row)])


def object_facts(scene: Scene, row: int) -> dict[str, Any]:
    """What goes into the file with an object."""
    objects = scene.objects
    facts = {"row": row, "label": scene.names()[row], "identity": int(objects.ids[row])}
    score = math.nan if objects.scores is None else float(objects.scores[row])
    return {**facts, "score": score} if math.isfinite(score) else facts


def write_glb(scene: Scene, path: Path) -> None:
    """One binary glTF 2.0 file."""
    write_atomically(path, glb(scene))


def glb(scene: Scene) -> bytes:
    """The content of the .glb file that `save_mesh` writes."""
    whole, with_camera = assembled(scene), camera_adder(scene)
    return bytes(export_glb(whole, tree_postprocessor=with_camera)) if whole.geometry else bare_glb(with_camera)


def bare_glb(complete: Callable[[dict[str, Any]], None]) -> bytes:
    """A valid file without solids, which trimesh does not write: header and JSON (glTF 2.0, section 4.4)."""
    tree: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": []}
    complete(tree)
    content = json.dumps(tree).encode()
    content += b" " * (-len(content) % 4)
    return struct.pack("<4sII", b"glTF", 2, 20 + len(content)) + struct.pack("<I4s", len(content), b"JSON") + content


def camera_adder(scene: Scene) -> Callable[[dict[str, Any]], None]:
    """A function that adds the camera to the tree of a glTF file.

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
    """A Wavefront OBJ file, and its materials in a file of the same name that ends in .mtl."""
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
