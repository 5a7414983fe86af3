"""The fully labelled scene, and the function that generates scene `index` of seed `seed`.

Letters: N objects, H x W pixels, K keypoints, R relations, Q phrase regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from scenekit_datasets.synthetic import annotate
from scenekit_datasets.synthetic.annotate import Segment
from scenekit_datasets.synthetic.captions import Phrase, object_captions, phrases
from scenekit_datasets.synthetic.geometry import Mat3
from scenekit_datasets.synthetic.layout import Placed, arrange
from scenekit_datasets.synthetic.relations import ground_below, relations
from scenekit_datasets.synthetic.render import Renderer, Surface, pixel_rays
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.shading import render_image
from scenekit_datasets.synthetic.stage import Stage, random_stage
from scenekit_datasets.synthetic.tracer import require_embree
from scenekit_datasets.synthetic.vocabulary import IGNORE, PREDICATES, THINGS

VERSION = 1
"""Is increased whenever the same (seed, index) would give another scene; part of the name of cached files."""

SMALLEST = 40 / (240 * 320)
"""Objects that show less than this part of the image are removed from the scene (40 pixels of 240 x 320)."""

FEWEST = 2
SMALLEST_SINGLE = 0.02
"""The object of a scene with a single one shows at least this part of the image."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Mesh of one object, hidden parts included."""

    verts: Float[np.ndarray, "V 3"]
    """Vertices in the camera frame, in metres."""
    faces: Int[np.ndarray, "F 3"]
    """Vertex indices of each face."""


@dataclass(frozen=True, eq=False)
class SyntheticScene:
    """An image with every kind of label.

    Boxes are half-open xyxy pixels. The frame of 3D boxes has x along the length (forward), y along the height (down)
    and z along the width (left).
    """

    seed: int
    """Seed of the scene."""
    index: int
    """Index of the scene."""
    image: UInt8[np.ndarray, "H W 3"]
    """The image."""
    intrinsics: Mat3
    """K in pixels, with pixel centers at +0.5."""
    labels: Int[np.ndarray, " N"]
    """Indices into vocabulary.THINGS."""
    boxes: Float[np.ndarray, "N 4"]
    """Boxes of the visible pixels."""
    instance: Int[np.ndarray, "H W"]
    """Object of each pixel, -1 for none."""
    semantic: UInt8[np.ndarray, "H W"]
    """Index into vocabulary.CLASSES of each pixel, IGNORE where an object shows that is not labelled."""
    panoptic: Int[np.ndarray, "H W"]
    """Segment of each pixel, 0 where an object shows that is not labelled."""
    segments: tuple[Segment, ...]
    """The segments."""
    depth: Float[np.ndarray, "H W"]
    """Metres along z, 0 for the sky."""
    keypoints: Float[np.ndarray, "N K 3"]
    """x, y in pixels and visibility."""
    attributes: tuple[tuple[int, ...], ...]
    """Indices into vocabulary.ATTRIBUTES of each object."""
    relations: Int[np.ndarray, "R 3"]
    """(subject, predicate, object), the predicate an index into vocabulary.PREDICATES."""
    captions: tuple[tuple[str, ...], ...]
    """Captions of each object."""
    phrases: tuple[Phrase, ...]
    """Described regions."""
    box_centers: Float[np.ndarray, "N 3"]
    """Centers of 3D boxes in the camera frame, in metres."""
    box_sizes: Float[np.ndarray, "N 3"]
    """(width, height, length) of 3D boxes in metres."""
    box_rotations: Float[np.ndarray, "N 3 3"]
    """Rotations of 3D boxes, camera from box."""
    meshes: tuple[Mesh, ...]
    """Mesh of each object."""
    amodal: Bool[np.ndarray, "N H W"] | None
    """Masks that include what other objects hide, not what lies outside the image; None unless requested."""

    @property
    def masks(self) -> Bool[np.ndarray, "N H W"]:
        """Masks of the visible pixels of each object."""
        return np.asarray(self.instance[None] == np.arange(len(self.labels))[:, None, None])


def _without(objects: list[Placed], hidden: set[int]) -> list[Placed]:
    """Remove hidden objects and all that rests on them, and renumber hosts."""
    gone = set(hidden)
    for index, placed in enumerate(objects):
        if placed.host in gone:
            gone.add(index)
    kept = [index for index in range(len(objects)) if index not in gone]
    number = {old: new for new, old in enumerate(kept)}
    return [replace(objects[i], host=number.get(objects[i].host, -1)) for i in kept]


def _settle(stage: Stage, objects: list[Placed], size: tuple[int, int], least: float) -> tuple[Renderer, Surface]:
    """Remove objects that show less than the part `least` of the image until all remaining ones show more."""
    rays = pixel_rays(size, stage.view.focal * size[1])
    while True:
        renderer = Renderer(stage, objects)
        surface = renderer.surface(rays)
        areas = np.bincount(surface.owner[surface.owner >= 0], minlength=len(objects))[: len(objects)]
        hidden = set(np.flatnonzero(areas < least * size[0] * size[1]).tolist())
        if not hidden:
            return renderer, surface
        objects = _without(objects, hidden)


def compose(
    seed: int, index: int, size: tuple[int, int] = (240, 320), single: bool = False
) -> tuple[Renderer, Surface]:
    """Create the geometry of a scene with at least two visible objects, or with a single one.

    Args:
        seed: Seed of the scene.
        index: Index of the scene.
        size: (height, width) of the image in pixels.
        single: Whether one object that stands on the ground is kept alone.

    Returns:
        (scene, surfaces at the pixel centers).

    Raises:
        InputError: If embree is missing.
    """
    require_embree()
    attempt = 0
    while True:
        dice = Dice("scenekit synthetic", seed, index, attempt)
        stage = random_stage(dice)
        objects = arrange(dice, stage)
        if single:
            grounded = [placed for placed in objects if placed.host < 0]
            objects = [dice.pick(grounded)] if grounded else []
        renderer, surface = _settle(stage, objects, size, SMALLEST_SINGLE if single else SMALLEST)
        if len(renderer.objects) >= (1 if single else FEWEST):
            return renderer, surface
        attempt += 1


def generate(
    seed: int, index: int, size: tuple[int, int] = (240, 320), amodal: bool = False, single: bool = False
) -> SyntheticScene:
    """Generate a scene with all labels; the same arguments give the same scene on every machine.

    Args:
        seed: Seed of the scene.
        index: Index of the scene.
        size: (height, width) of the image in pixels.
        amodal: Whether to compute amodal masks, which costs one rendering per object.
        single: Whether the scene has a single object.

    Returns:
        The scene.

    Raises:
        InputError: If embree is missing.
    """
    renderer, surface = compose(seed, index, size, single)
    return annotated(renderer, surface, size, (seed, index), amodal)


def annotated(
    renderer: Renderer,
    surface: Surface,
    size: tuple[int, int],
    number: tuple[int, ...],
    amodal: bool = False,
    shown: Sequence[int] | None = None,
) -> SyntheticScene:
    """Render the image and compute all labels.

    Args:
        renderer: The scene.
        surface: What the pixels show.
        size: (height, width) of the image in pixels.
        number: Seed and index of the scene, and what else its phrases depend on.
        amodal: Whether to compute amodal masks.
        shown: Objects that are labelled, each with visible pixels; all, if None. Pixels of others are unlabelled.

    Returns:
        The scene.
    """
    rows = np.arange(len(renderer.objects)) if shown is None else np.asarray(shown, dtype=np.int64)
    labels = annotate.object_labels(renderer.objects)[rows]
    instance = _instances(renderer, surface, rows).reshape(size)
    semantic = annotate.semantic_map(renderer, surface, size)
    semantic[(instance < 0) & (semantic < len(THINGS))] = IGNORE
    ids, segments = annotate.panoptic(instance, semantic, labels)
    boxes = annotate.mask_boxes(instance[None] == np.arange(len(rows))[:, None, None])
    looks = [annotate.looks(renderer, surface, i, ground_below(renderer, i)) for i in rows.tolist()]
    facts = _among(relations(renderer), rows.tolist())
    boxes3d = [annotate.box3d(renderer.stage, renderer.objects[i]) for i in rows]
    intrinsics = renderer.stage.view.intrinsics(size)
    rays = pixel_rays(size, renderer.stage.view.focal * size[1])
    solids = [renderer.solids[i] for i in rows]
    return SyntheticScene(
        seed=number[0],
        index=number[1],
        image=render_image(renderer, size, surface),
        intrinsics=intrinsics,
        labels=labels,
        boxes=boxes,
        instance=instance,
        semantic=semantic,
        panoptic=ids,
        segments=segments,
        depth=surface.depth.reshape(size),
        keypoints=annotate.keypoints(renderer, intrinsics, size)[rows],
        attributes=tuple(annotate.attributes(look) for look in looks),
        relations=np.array([(a, PREDICATES.index(p), b) for a, p, b in facts], dtype=np.int64).reshape(-1, 3),
        captions=tuple(object_captions(look) for look in looks),
        phrases=phrases(Dice("scenekit phrases", *number), boxes, looks, facts),
        box_centers=np.array([box[0] for box in boxes3d]).reshape(-1, 3),
        box_sizes=np.array([box[1] for box in boxes3d]).reshape(-1, 3),
        box_rotations=np.array([box[2] for box in boxes3d]).reshape(-1, 3, 3),
        meshes=tuple(Mesh(solid.verts.astype(np.float32), solid.faces) for solid in solids),
        amodal=annotate.amodal_masks(solids, rays, size) if amodal else None,
    )


def _instances(renderer: Renderer, surface: Surface, rows: Int[np.ndarray, " N"]) -> Int[np.ndarray, " P"]:
    """Return the labelled object of each ray, -1 for none."""
    number = np.full(renderer.ground + 3, -1, dtype=np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    return np.asarray(number[surface.owner])


def _among(facts: tuple[tuple[int, str, int], ...], rows: list[int]) -> tuple[tuple[int, str, int], ...]:
    """Return the relations between some objects, which are renumbered."""
    number = {row: place for place, row in enumerate(rows)}
    return tuple((number[a], name, number[b]) for a, name, b in facts if a in number and b in number)
