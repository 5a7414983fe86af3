"""Labels that fit the image to the pixel, read off the same rays.

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
from scenekit_datasets.synthetic.vocabulary import ATTRIBUTES, CLASSES, KEYPOINTS, PATTERNS, THINGS

SHARE = 0.08
"""A color or pattern is an attribute when at least this part of the object's visible pixels shows it."""


@dataclass(frozen=True)
class Segment:
    """One region of the panoptic map. `category` indexes CLASSES; `area` is in pixels."""

    id: int
    category: int
    area: int
    is_thing: bool


def mask_boxes(masks: Bool[np.ndarray, "N H W"]) -> Float[np.ndarray, "N 4"]:
    """Tight half-open xyxy boxes of non-empty masks."""
    out = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(out, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return out


def semantic_map(renderer: Renderer, surface: Surface, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Index into CLASSES for every pixel."""
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
    """Segment ids: 1..N for the objects in order, then one for each stuff class in the image."""
    out = (instance + 1).astype(np.int32)
    count = len(labels)
    areas = np.bincount(out.ravel(), minlength=count + 1)
    segments = [Segment(i + 1, int(labels[i]), int(areas[i + 1]), True) for i in range(count)]
    for category in np.unique(semantic[instance < 0]):
        here = (instance < 0) & (semantic == category)
        segments.append(Segment(len(segments) + 1, int(category), int(here.sum()), False))
        out[here] = len(segments)
    return out, tuple(segments)


def amodal_masks(
    solids: list[Solid], rays: Float[np.ndarray, "3 P"], size: tuple[int, int]
) -> Bool[np.ndarray, "N H W"]:
    """Each object's mask in the image as if it stood alone."""
    out = np.zeros((len(solids), rays.shape[1]), dtype=bool)
    for mask, solid in zip(out, solids, strict=True):
        mask[:] = Tracer(solid.verts, solid.faces).first(np.zeros_like(rays), rays).triangle >= 0
    return out.reshape(len(solids), *size)


def keypoints(renderer: Renderer, intrinsics: Mat3, size: tuple[int, int]) -> Float[np.ndarray, "N K 3"]:
    """x, y in pixels and visibility (0 outside the image or no person, 1 hidden, 2 visible).

    A joint is visible when the first thing on its ray is the same person, no farther in front of it than the flesh
    around that joint is thick.
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
    """Template to camera frame."""
    world = points @ placed.turn.T + placed.place
    out: Float[np.ndarray, "K 3"] = (world - stage.view.position) @ stage.view.rotation.T
    return out


def box3d(stage: Stage, placed: Placed) -> tuple[Vec3, Vec3, Mat3]:
    """Center (camera, m), size (width, height, length; m) and rotation, camera from box, of the tight oriented box."""
    low, high = placed.model.extent
    center = camera_points(stage, placed, (low + high)[None] / 2)[0]
    length, width, height = high - low
    return center, np.array([width, height, length]), stage.view.rotation @ placed.turn @ TEMPLATE_FROM_BOX


@dataclass(frozen=True)
class Looks:
    """What is true of one object and, where a color is named, can be seen. `ground` is the stuff it stands on."""

    category: str
    color: str | None
    second: str | None
    pattern: str
    finish: str
    size: str | None
    pose: str
    ground: str | None
    colors: frozenset[str]


def looks(renderer: Renderer, surface: Surface, index: int, ground: str | None) -> Looks:
    """Describe one object.

    color, second: names of the model's main and second paint where they cover at least SHARE of the visible pixels;
    colors: all named paints that do, or the main one where none does. Pattern and finish (shiny: highlight strength
    above 0.3) are the main paint's. size: below 0.85 or above 1.15 times the category's usual scale. pose: standing or
    sitting for persons, tipped beyond 10 degrees or upright otherwise.
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
        pose=_pose(renderer.objects[index]),
        ground=ground,
        colors=frozenset(str(paint.name) for paint in shown or {model.main}),
    )


def attributes(look: Looks) -> tuple[int, ...]:
    """Sorted indices into ATTRIBUTES."""
    words = {*look.colors, look.pattern, look.finish, look.pose, *([look.size] if look.size else [])}
    return tuple(sorted(ATTRIBUTES.index(word) for word in words))


def _pose(placed: Placed) -> str:
    if placed.model.category == "person":
        return placed.model.pose
    return "tipped" if placed.tipped else "upright"


def object_labels(objects: list[Placed]) -> Int[np.ndarray, " N"]:
    """Index into THINGS for each object."""
    return np.array([THINGS.index(placed.model.category) for placed in objects], dtype=np.int64)
