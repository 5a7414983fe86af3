"""Meshes drawn over the image. Letters: F faces of all objects, h w pixels of the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from scenekit.keys import MESHES
from scenekit.scene import Scene
from scenekit.visualization.camera_view import NEAR, View, camera_tags
from scenekit.visualization.canvas import Style, draw_seams
from scenekit.visualization.draw import around, object_colors, object_texts
from scenekit.visualization.text_labels import Tag, draw_tags, roomiest_spot
from scenekit_plugins.meshes.raster import clip_near, visible_faces

LIGHT = np.array([-0.35, -0.75, -0.56])
"""Towards the light, in the camera frame: from above, a little from the left, and from behind the viewer."""

AMBIENT, DIFFUSE = 0.5, 0.62
"""Brightness of a face in the shade, and what the light adds at most."""

SURFACE_OPACITY, BETWEEN_WIRES = 0.88, 0.18


@dataclass(frozen=True)
class Surface:
    """The faces that may be seen: where, of which object, how bright.

    `corners` [F 3 3] are (x, y, 1 / depth) in pixels of the image, `rows` [F] the objects, `light` [F] from 0 to 1.
    """

    corners: Float[np.ndarray, "F 3 3"]
    rows: Int[np.ndarray, " F"]
    light: Float[np.ndarray, " F"]


def draw_meshes(image: Image.Image, scene: Scene, *, labels: bool = True, wireframe: bool = False) -> Image.Image:
    """Draw meshes, shaded in the colors of their objects; hidden parts and meshes with low scores are not drawn.

    Faces behind the camera are cut off, and those with vertices that are not finite left out. Without a camera the
    default one is assumed, and the image states it.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with meshes.
        labels: Whether to write class names.
        wireframe: Whether to draw edges instead of faces.

    Returns:
        A new image of the same size.
    """
    view = View.of(image, scene)
    surface = surface_of(scene, view)
    faces = visible_faces(surface.corners, image.size[::-1])
    rows = np.append(surface.rows, -1)[faces]
    opacity = wires(faces, surface, Style.of(image).line) if wireframe else (faces >= 0) * SURFACE_OPACITY
    drawn = image.convert("RGB")
    drawn.paste(Image.fromarray(shaded(faces, rows, surface, scene)), mask=Image.fromarray(as_alpha(opacity)))
    drawn = drawn if wireframe else draw_seams(drawn, rows)
    return draw_tags(drawn, [*camera_tags(view), *mesh_tags(scene, rows)]) if labels else drawn


def surface_of(scene: Scene, view: View) -> Surface:
    """Return all faces before the camera, in pixels of the image."""
    triangles, rows = triangles_of(scene)
    parts, source = clip_near(triangles, NEAR)
    pixels = view.homogeneous(parts)
    depth = pixels[:, :, 2:]
    corners = np.concatenate((pixels[:, :, :2] / depth, 1 / depth), axis=2)
    return Surface(corners, rows[source], lit(triangles)[source])


def triangles_of(scene: Scene) -> tuple[Float[np.ndarray, "F 3 3"], Int[np.ndarray, " F"]]:
    """Return the corners of every face in metres, in the camera frame, and its object; finite ones only."""
    meshes = MESHES.field.solids(scene[MESHES])
    assert meshes is not None, "meshes are shapes in space"
    owners = np.repeat(np.arange(len(meshes)), np.diff(meshes.faces_offset.cpu().numpy()))
    first = meshes.verts_offset.cpu().numpy()[owners]
    verts = meshes.verts.detach().cpu().double().numpy()
    triangles = verts[meshes.faces.cpu().numpy() + first[:, None]]
    kept = np.isfinite(triangles).all(axis=(1, 2)) & scene.rows_with(MESHES).numpy()[owners]
    return triangles[kept], owners[kept]


def lit(triangles: Float[np.ndarray, "F 3 3"]) -> Float[np.ndarray, " F"]:
    """Return the brightness of each face: Lambert's cosine of the side that the camera sees."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    away = (normal * triangles.mean(axis=1)).sum(axis=1) > 0
    length = np.linalg.norm(normal, axis=1)
    cosine = (normal @ LIGHT) * np.where(away, -1, 1) / np.where(length > 0, length, 1.0)
    brightness: Float[np.ndarray, " F"] = AMBIENT + DIFFUSE * cosine.clip(0, 1)
    return brightness


def shaded(
    faces: Int[np.ndarray, "h w"], rows: Int[np.ndarray, "h w"], surface: Surface, scene: Scene
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the color of the visible face at each pixel; black where there is none."""
    colors = np.array([*object_colors(scene), (0, 0, 0)], dtype=float)
    light = np.append(surface.light, 0.0)
    pixels: UInt8[np.ndarray, "h w 3"] = (colors[rows] * light[faces][..., None]).clip(0, 255).astype(np.uint8)
    return pixels


def wires(faces: Int[np.ndarray, "h w"], surface: Surface, line: int) -> Float[np.ndarray, "h w"]:
    """Return the opacity of a wireframe: full on the edges of the visible faces, little between them."""
    y, x = np.nonzero(faces >= 0)
    corners = surface.corners[faces[y, x], :, :2]
    opacity = np.zeros(faces.shape)
    pixels = np.stack((x, y), axis=1) + 0.5
    nearest = np.min([distance_to_line(pixels, corners[:, i], corners[:, i - 1]) for i in range(3)], axis=0)
    opacity[y, x] = (line / 2 + 0.5 - nearest).clip(BETWEEN_WIRES, 1)
    return opacity


def distance_to_line(
    points: Float[np.ndarray, "P 2"], a: Float[np.ndarray, "P 2"], b: Float[np.ndarray, "P 2"]
) -> Float[np.ndarray, " P"]:
    """Return the distance from each point to the line through its a and b, in pixels."""
    (ux, uy), (px, py) = (b - a).T, (points - a).T
    distance: Float[np.ndarray, " P"] = np.abs(ux * py - uy * px) / np.maximum(np.hypot(ux, uy), 1e-9)
    return distance


def mesh_tags(scene: Scene, rows: Int[np.ndarray, "h w"]) -> Iterator[Tag]:
    """Yield the name of each object, with the score of its mesh, on the roomiest part of its visible surface."""
    colors, scores = object_colors(scene), scene[MESHES].scores
    texts = object_texts(scene)
    if scores is not None:
        texts = [f"{name} {score:.2f}" for name, score in zip(scene.names(), scores.tolist(), strict=True)]
    for row in np.unique(rows[rows >= 0]).tolist():
        spot = roomiest_spot(rows == row, (1.0, 1.0))
        yield Tag(texts[row], colors[row], around(spot), spot)


def as_alpha(opacity: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Convert 0 to 1 to 0 to 255."""
    return (opacity * 255).round().astype(np.uint8)
