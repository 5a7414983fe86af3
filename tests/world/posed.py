"""Made-up scenes with poses: boxes that stand in a world whose z is up, as cameras see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

import scenekit as sk
from scenekit.structures.objects import Objects

VOCABULARY = sk.Vocabulary(
    things=("chair", "table", "mug", "crate", "person"),
    predicates=("on", "left of"),
    attributes=("red", "blue"),
    symmetry={"table": 2, "crate": 4},
)
SIZE = (240, 320)
CAMERA = sk.Camera.pinhole(300.0, *SIZE)

UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""World from the axes of a box that faces along x: forward x, down -z, left y."""


@dataclass(frozen=True)
class Thing:
    label: str
    place: tuple[float, float, float]
    size: tuple[float, float, float] = (0.5, 0.9, 0.5)
    yaw: float = 0.0
    score: float | None = None
    identity: int = 0
    attributes: tuple[str, ...] = ()

    @property
    def rotation(self) -> np.ndarray:
        return about_z(self.yaw) @ UPRIGHT


def about_z(angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def looking(position: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """The pose of a level or tilted camera: x right, y down, z at the target."""
    ahead = np.subtract(target, position)
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack((right, np.cross(ahead, right), ahead), axis=1)
    pose[:3, 3] = position
    return pose


def scene_of(
    things: Sequence[Thing],
    pose: np.ndarray,
    time: float = 0.0,
    relations: Sequence[tuple[int, str, int]] = (),
    vocabulary: sk.Vocabulary = VOCABULARY,
    noise: np.ndarray | None = None,
    tracked: bool = False,
) -> sk.Scene:
    """The scene of a camera that sees all things, whether they are within its image or not."""
    turn, place = pose[:3, :3], pose[:3, 3]
    center = (np.array([thing.place for thing in things]).reshape(-1, 3) - place) @ turn
    center = center if noise is None else center + noise
    rotation = np.array([turn.T @ thing.rotation for thing in things]).reshape(-1, 3, 3)
    sizes = torch.tensor([thing.size for thing in things]).reshape(-1, 3)
    boxes = sk.Boxes3D(torch.from_numpy(center).float(), sizes.float(), torch.from_numpy(rotation).float())
    scores = None if any(t.score is None for t in things) else torch.tensor([float(t.score or 0) for t in things])
    labels = torch.tensor([vocabulary.things.index(thing.label) for thing in things], dtype=torch.int64)
    flat = torch.tensor([[10.0, 10.0, 60.0, 60.0]]).repeat(len(things), 1)
    ids = torch.tensor([thing.identity for thing in things], dtype=torch.int64)
    values = {
        sk.BOXES3D: boxes,
        sk.ATTRIBUTES: torch.tensor(
            [[float(name in thing.attributes) for name in vocabulary.attributes] for thing in things]
        ).reshape(len(things), len(vocabulary.attributes)),
        sk.RELATIONS: sk.Relations(
            torch.tensor([subject for subject, _, _ in relations], dtype=torch.int64),
            torch.tensor([target for _, _, target in relations], dtype=torch.int64),
            torch.tensor([vocabulary.predicates.index(name) for _, name, _ in relations], dtype=torch.int64),
        ),
    }
    moment = sk.Moment(time, int(time * 10), torch.from_numpy(pose))
    streams = {sk.OBJECTS: Objects(flat, labels, scores, ids)}
    return sk.Scene(SIZE, vocabulary, streams, values, camera=CAMERA, moment=moment, tracked=tracked)
