"""Labels that fit the image to the pixel, computed from the same rays.

Letters: N objects, H x W pixels, K keypoints, P rays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from scenekit_datasets.synthetic import textures
from scenekit_datasets.synthetic.geometry import TEMPLATE_FROM_BOX, Mat3, Vec3
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.model import Paint
from scenekit_datasets.synthetic.render import Renderer, Solid, Surface
from scenekit_datasets.synthetic.stage import Stage
from scenekit_datasets.synthetic.tracer import Tracer
from scenekit_datasets.synthetic.vocabulary import ATTRIBUTES, CLASSES, IGNORE, KEYPOINTS, PATTERNS, THINGS

SHARE = 0.08
"""Part of an object's visible pixels from which on a color or pattern is one of its attributes."""


@dataclass(frozen=True)
class Segment:
    """One segment of the panoptic map."""

    id: int
    """Value of its pixels."""
    category: int
    """Index into CLASSES."""
    area: int
    """Number of pixels."""
    is_thing: bool
    """Whether it is an object."""


def mask_boxes(masks: Bool[np.ndarray, "N H W"]) -> Float[np.ndarray, "N 4"]:
    """Compute the tight half-open boxes of masks that are not empty.

    Args:
        masks: The masks.

    Returns:
        Boxes, xyxy in pixels.
    """
    out = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(out, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return out


def semantic_map(renderer: Renderer, surface: Surface, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Compute the semantic map.

    Args:
        renderer: The scene.
        surface: What the pixels show.
        size: (height, width) of the image in pixels.

    Returns:
        Index into CLASSES of each pixel.
    """
    stage = renderer.stage
    names = [placed.model.category for placed in renderer.objects] + [stage.ground, "wall", "sky"]
    out = np.array([CLASSES.index(name) for name in names], dtype=np.uint8)[surface.owner]
    if stage.patch is not None:
        rows = np.flatnonzero(surface.owner == renderer.ground)
        world = renderer.world(surface.point[:, rows])
        inside = textures.in_patch(stage.patch, world[0], world[1])
        out[rows[inside]] = CLASSES.index(stage.patch.kind)
    return np.asarray(out.reshape(size))


def panoptic(
    instance: Int[np.ndarray, "H W"], semantic: UInt8[np.ndarray, "H W"], labels: Int[np.ndarray, " N"]
) -> tuple[Int[np.ndarray, "H W"], tuple[Segment, ...]]:
    """Compute the panoptic map: segments 1..N are the objects in order, followed by one per stuff class in the image.

    Args:
        instance: Object of each pixel, -1 for none.
        semantic: Class of each pixel.
        labels: Label of each object.

    Returns:
        (map, segments).
    """
    out = (instance + 1).astype(np.int32)
    count = len(labels)
    areas = np.bincount(out.ravel(), minlength=count + 1)
    segments = [Segment(i + 1, int(labels[i]), int(areas[i + 1]), True) for i in range(count)]
    for category in np.unique(semantic[(instance < 0) & (semantic != IGNORE)]):
        here = (instance < 0) & (semantic == category)
        segments.append(Segment(len(segments) + 1, int(category), int(here.sum()), False))
        out[here] = len(segments)
    return out, tuple(segments)


def amodal_masks(
    solids: list[Solid], rays: Float[np.ndarray, "3 P"], size: tuple[int, int]
) -> Bool[np.ndarray, "N H W"]:
    """Compute the mask of each object as if it were alone.

    Args:
        solids: The objects.
        rays: A ray per pixel.
        size: (height, width) of the image in pixels.

    Returns:
        The masks.
    """
    out = np.zeros((len(solids), rays.shape[1]), dtype=bool)
    for mask, solid in zip(out, solids, strict=True):
        mask[:] = Tracer(solid.verts, solid.faces).first(np.zeros_like(rays), rays).triangle >= 0
    return out.reshape(len(solids), *size)


def keypoints(renderer: Renderer, intrinsics: Mat3, size: tuple[int, int]) -> Float[np.ndarray, "N K 3"]:
    """Compute keypoints of persons.

    A joint is visible when the first surface on its ray is of the same person, no farther in front of it than the body
    around that joint is thick.

    Args:
        renderer: The scene.
        intrinsics: K in pixels.
        size: (height, width) of the image in pixels.

    Returns:
        x, y in pixels and visibility (0 outside the image or no person, 1 hidden, 2 visible).
    """
    out = np.zeros((len(renderer.objects), len(KEYPOINTS), 3), dtype=np.float32)
    for index, placed in enumerate(renderer.objects):
        if placed.model.joints is not None and placed.model.reach is not None:
            joints = camera_points(renderer.stage, placed, placed.model.joints)
            out[index] = _person_keypoints(renderer, index, joints, placed.model.reach, intrinsics, size)
    return out


def _person_keypoints(
    renderer: Renderer,
    index: int,
    joints: Float[np.ndarray, "K 3"],
    reach: Float[np.ndarray, " K"],
    intrinsics: Mat3,
    size: tuple[int, int],
) -> Float[np.ndarray, "K 3"]:
    height, width = size
    rays = joints / joints[:, 2:]
    xy = (rays @ intrinsics.T)[:, :2]
    inside = (joints[:, 2] > 0.05) & (xy >= 0).all(axis=1) & (xy[:, 0] < width) & (xy[:, 1] < height)
    hit = renderer.surface(rays.T.astype(np.float32))
    before = (joints[:, 2] - hit.depth) * np.linalg.norm(rays, axis=1)
    visible = (hit.owner == index) & (before <= reach) & (before >= -reach)
    out = np.concatenate([xy, np.where(visible, 2.0, 1.0)[:, None]], axis=1)
    out[~inside] = 0
    return out.astype(np.float32)


def camera_points(stage: Stage, placed: Placed, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
    """Transform points from the template to the camera frame.

    Args:
        stage: The stage.
        placed: The object.
        points: Points in its template frame, in metres.

    Returns:
        Points in the camera frame, in metres.
    """
    world = points @ placed.turn.T + placed.place
    out: Float[np.ndarray, "K 3"] = (world - stage.view.position) @ stage.view.rotation.T
    return out


def box3d(stage: Stage, placed: Placed) -> tuple[Vec3, Vec3, Mat3]:
    """Compute the tight oriented box of an object.

    Args:
        stage: The stage.
        placed: The object.

    Returns:
        Center (camera frame, m), size (width, height, length; m) and rotation, camera from box.
    """
    low, high = placed.model.extent
    center = camera_points(stage, placed, (low + high)[None] / 2)[0]
    length, width, height = high - low
    return center, np.array([width, height, length]), stage.view.rotation @ placed.turn @ TEMPLATE_FROM_BOX


@dataclass(frozen=True)
class Looks:
    """The visible properties of one object."""

    category: str
    """Its category."""
    color: str | None
    """Name of its main color, if visible."""
    second: str | None
    """Name of its second color, if visible."""
    pattern: str
    """Its pattern."""
    finish: str
    """"shiny" or "matte"."""
    size: str | None
    """"small", "large" or None."""
    pose: str
    """Its pose."""
    ground: str | None
    """Stuff that it stands on."""
    colors: frozenset[str]
    """Names of all visible colors."""


def looks(renderer: Renderer, surface: Surface, index: int, ground: str | None) -> Looks:
    """Describe one object.

    Colors are the named paints that cover at least SHARE of the visible pixels, or the main one where none does.
    Pattern and finish (shiny: highlight strength above 0.3) are the main paint's. Sizes are small below 0.85 and large
    above 1.15 times the category's usual scale. Poses are standing or sitting for persons, tipped beyond 10 degrees or
    upright otherwise.

    Args:
        renderer: The scene.
        surface: What the pixels show.
        index: Index of the object.
        ground: Stuff that it stands on.

    Returns:
        Its visible properties.
    """
    model = renderer.objects[index].model
    counts = np.bincount(surface.paint[surface.owner == index], minlength=len(renderer.paints))
    shares: dict[Paint, float] = {}
    for count, paint in zip(counts, renderer.paints, strict=True):
        shares[paint] = shares.get(paint, 0.0) + count / counts.sum()
    shown = {paint for paint, share in shares.items() if paint.name and share >= SHARE}
    return Looks(
        category=model.category,
        color=model.main.name if model.main in shown else None,
        second=model.second.name if model.second in shown and model.second else None,
        pattern=PATTERNS[model.main.pattern],
        finish="shiny" if model.main.shine > 0.3 else "matte",
        size="small" if model.scale < 0.85 else "large" if model.scale > 1.15 else None,
        pose=model.pose if model.category == "person" else "tipped" if renderer.objects[index].tipped else "upright",
        ground=ground,
        colors=frozenset(str(paint.name) for paint in shown or {model.main}),
    )


def attributes(look: Looks) -> tuple[int, ...]:
    """Return the attributes of an object.

    Args:
        look: Its visible properties.

    Returns:
        Sorted indices into ATTRIBUTES.
    """
    words = {*look.colors, look.pattern, look.finish, look.pose, *([look.size] if look.size else [])}
    return tuple(sorted(ATTRIBUTES.index(word) for word in words))


def object_labels(objects: list[Placed]) -> Int[np.ndarray, " N"]:
    """Return the labels of objects.

    Args:
        objects: The objects.

    Returns:
        Indices into THINGS.
    """
    return np.array([THINGS.index(placed.model.category) for placed in objects], dtype=np.int64)
