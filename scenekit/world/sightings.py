"""What one scene says about the world: its objects with 3D boxes, moved to the frame of the world.

Letters: N objects of the scene, K of them that are sighted, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from scenekit.errors import InputError
from scenekit.graph.build import PREDICATE, SOURCE, edges_in, kept_rows
from scenekit.keys import BOXES3D, OBJECTS, RELATIONS, Key
from scenekit.scene import Scene
from scenekit.structures.moments import Moment, check_pose
from scenekit.visualization.camera_view import camera_of
from scenekit.visualization.export.mesh_scene import solids
from scenekit.world.options import WorldOptions
from scenekit.world.views import View

READS: Key[Any, Any] = BOXES3D
"""What gives objects a place in metres."""

Votes = Mapping[str, Mapping[str, float]]
"""Weights of names by the name of the key that they belong to."""


class Solid(NamedTuple):
    """A mesh in the frame of its object."""

    verts: Float[np.ndarray, "V 3"]
    """Vertices, in metres."""
    faces: Int[np.ndarray, "F 3"]
    """Vertex numbers of each face."""


class Relation(NamedTuple):
    """A relation between two sightings, by their numbers."""

    subject: int
    object: int
    predicate: str
    source: str
    """The name of the key that it comes from."""
    weight: float


@dataclass(frozen=True, eq=False)
class Sightings:
    """The objects of one scene in the frame of the world."""

    view: View
    """The camera."""
    rows: Int[np.ndarray, " K"]
    """Rows among the objects of the scene."""
    count: int
    """Number of objects of the scene, N."""
    tracks: tuple[int | None, ...]
    """Tracks in the stream of the scene, None for sightings without a lasting identity."""
    labels: tuple[str, ...]
    """Class names."""
    scores: Float[np.ndarray, " K"]
    """Scores of the 3D boxes, 0 to 1; of the objects where boxes have none, 1 in ground truth."""
    center: Float[np.ndarray, "K 3"]
    """Centers in the world, in metres."""
    size: Float[np.ndarray, "K 3"]
    """Width, height and length in metres."""
    rotation: Float[np.ndarray, "K 3 3"]
    """World from object."""
    votes: tuple[Votes, ...]
    """What other keys say."""
    relations: tuple[Relation, ...]
    """Relations between them."""
    solids: Mapping[int, Solid]
    """Meshes by number of the sighting."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def distance(self) -> Float[np.ndarray, " K"]:
        """Metres from the camera to each center."""
        return np.asarray(np.linalg.norm(self.center - self.view.position, axis=1))

    @property
    def ray(self) -> Float[np.ndarray, "K 3"]:
        """Directions from the camera to each center, of length 1."""
        offset = self.center - self.view.position
        return np.asarray(offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9))


def sightings_in(scene: Scene, options: WorldOptions) -> Sightings:
    """Return the sightings of a scene with a pose and 3D boxes.

    Args:
        scene: The scene.
        options: What the map is built by.

    Returns:
        The sightings, in the order of the objects.

    Raises:
        InputError: The scene lacks what a map needs.
    """
    check_scene(scene, options)
    assert scene.moment is not None and scene.moment.pose is not None
    pose = scene.moment.pose.detach().cpu().double().numpy()
    camera = camera_of(scene)
    matrix = camera.matrix.detach().cpu().double().numpy()
    view = View(scene.moment.time, pose, matrix, scene.size, camera.assumed, scene.moment.number)
    rows = sighted_rows(scene, options)
    boxes, names = scene[BOXES3D][torch.from_numpy(rows)], scene.names()
    parts = (part.detach().cpu().double().numpy() for part in (boxes.center, boxes.size, boxes.rotation))
    center, size, rotation = parts
    placed = {"center": center @ pose[:3, :3].T + pose[:3, 3], "size": size, "rotation": pose[:3, :3] @ rotation}
    found = {row: number for number, row in enumerate(rows.tolist())}
    meshes = object_meshes(scene, found, center, rotation) if options.keep_meshes else {}
    return Sightings(
        view,
        rows,
        len(scene.objects),
        tuple(tracks_of(scene, rows, options)),
        tuple(names[row] for row in found),
        scores_of(scene)[rows],
        **placed,
        votes=tuple(votes_of(scene, rows)),
        relations=tuple(relations_of(scene, found)),
        solids=meshes,
    )


def check_scene(scene: Scene, options: WorldOptions) -> None:
    """Raise InputError unless a scene has what a map needs.

    Args:
        scene: The scene.
        options: What the map is built by.

    Raises:
        InputError: It lacks a pose, 3D boxes, or tracks that are asked for.
    """
    if scene.moment is None or scene.moment.pose is None:
        raise InputError(
            "the scene has no pose, and a map does not guess where its camera was; give it one, camera to world: from a"
            " file (sk.Poses.load), tf, ARKit or SLAM, as add(scene, pose=...) or by predict(VideoFrame(image,"
            " Moment(time, number, pose)))"
        )
    if BOXES3D not in scene:
        raise InputError(
            f"the scene has no {BOXES3D.name!r}, so that its objects have no place in metres; predict with a model that"
            " has a task for 3D boxes, such as small, without leaving it out"
        )
    if options.tracked and not scene.tracked and len(scene.objects):
        raise InputError(
            "the scene has no tracks, but the map was built with tracked=True; pass its stream through sk.track"
            " (`scenekit predict --track`), or leave the option out"
        )


def with_pose(scene: Scene, pose: Tensor | ArrayLike, number: int) -> Scene:
    """Return the scene with another pose; one without a moment gets the number as its time in seconds.

    Args:
        scene: The scene.
        pose: Camera to world [4 4], in metres.
        number: Number of scenes before it.

    Returns:
        The scene with its pose.

    Raises:
        InputError: It is no pose.
    """
    try:
        matrix = torch.as_tensor(pose if isinstance(pose, Tensor) else np.asarray(pose, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"a pose is a matrix [4, 4] from camera to world, got {type(pose).__name__}") from error
    check_pose(matrix)
    moment = scene.moment or Moment(float(number), number)
    return replace(scene, moment=replace(moment, pose=matrix))


def sighted_rows(scene: Scene, options: WorldOptions) -> Int[np.ndarray, " K"]:
    """Return the objects that are added: single ones with a valid box in front of the camera, above the threshold.

    Args:
        scene: A scene with 3D boxes.
        options: What the map is built by.

    Returns:
        Rows among the objects, increasing.
    """
    objects, boxes = scene.objects, scene[BOXES3D]
    carried = scene.rows_with(BOXES3D) & boxes.valid & (boxes.center[:, 2] > 0)
    kept = carried & ~objects.crowd & ~objects.ignore
    if objects.scores is not None:
        kept &= objects.scores >= options.threshold
    return np.asarray(kept.nonzero()[:, 0].cpu().numpy())


def tracks_of(scene: Scene, rows: Int[np.ndarray, " K"], options: WorldOptions) -> Iterator[int | None]:
    """Yield the track of each row: its id, where ids last and it has a confirmed one.

    Args:
        scene: The scene.
        rows: Rows among its objects.
        options: What the map is built by.

    Yields:
        The track, or None.
    """
    lasting = scene.tracked and options.tracked is not False
    for track in scene.objects.ids[torch.from_numpy(rows)].tolist():
        yield track if lasting and track >= 0 else None


def scores_of(scene: Scene) -> Float[np.ndarray, " N"]:
    """Return the score of each object's box; NaN counts as 0.

    Args:
        scene: A scene with 3D boxes.

    Returns:
        Scores, above 0; 1 where there are none.
    """
    boxes, objects = scene[BOXES3D], scene.objects
    scores = objects.scores if boxes.scores is None else boxes.scores
    filled = torch.ones(len(objects)) if scores is None else scores.nan_to_num(0.0)
    return np.asarray(np.maximum(filled.detach().cpu().double().numpy(), 1e-6))


def votes_of(scene: Scene, rows: Int[np.ndarray, " K"]) -> Iterator[Votes]:
    """Yield what the keys of the objects say about each row, in names.

    Args:
        scene: The scene.
        rows: Rows among its objects.

    Yields:
        Weights of names by key, for one row.
    """
    said: dict[str, tuple[list[bool], list[Mapping[str, float]]]] = {}
    for key, value in scene.values.items():
        named = key.field.votes(value, scene.vocabulary) if key.of == OBJECTS else None
        if named is not None:
            said[key.name] = scene.rows_with(key).tolist(), named
    for row in rows.tolist():
        yield {name: named[row] for name, (carried, named) in said.items() if carried[row]}


def relations_of(scene: Scene, found: Mapping[int, int]) -> Iterator[Relation]:
    """Yield the likely relations between sightings; of scored ones the best of each subject and object.

    Args:
        scene: The scene.
        found: Numbers of sightings by their rows.

    Yields:
        A relation, by numbers of sightings.
    """
    for key, edges in edges_in(scene):
        per_pair = None if edges.score is None else 1
        for row in kept_rows(edges, per_pair=per_pair):
            ends = int(edges.subject[row]), int(edges.object[row])
            if ends[0] in found and ends[1] in found and ends[0] != ends[1]:
                weight = 1.0 if edges.score is None else float(edges.score[row])
                predicate = str(edges.attributes[row].get(PREDICATE, key.name))
                yield Relation(found[ends[0]], found[ends[1]], predicate, key.name, weight)


def object_meshes(
    scene: Scene, found: Mapping[int, int], center: Float[np.ndarray, "K 3"], rotation: Float[np.ndarray, "K 3 3"]
) -> dict[int, Solid]:
    """Return the meshes of sightings, in the frames of their boxes.

    Args:
        scene: The scene.
        found: Numbers of sightings by their rows.
        center: Centers of their boxes in the camera frame, in metres.
        rotation: Camera from object.

    Returns:
        Meshes by number of the sighting; some have none.
    """
    meshes = {}
    for row, mesh in solids(scene, stand_ins=False):
        if row in found:
            number = found[row]
            verts = (np.asarray(mesh.vertices) - center[number]) @ rotation[number]
            meshes[number] = Solid(verts, np.asarray(mesh.faces))
    return meshes


def edge_source(source: str) -> dict[str, Any]:
    """Return the attribute that names the key of an edge, as graphs of scenes have it.

    Args:
        source: Name of the key.

    Returns:
        The attribute; nothing for relations.
    """
    return {} if source == RELATIONS.name else {SOURCE: source}
