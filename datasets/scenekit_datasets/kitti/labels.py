"""The labels of one image, created from its text file when it is loaded.

Letters: M lines of the file, N objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.io.kitti_labels import read_kitti_lines
from scenekit.keys import BOXES3D, OCCLUSION, TRUNCATION
from scenekit.metrics.kitti import DIFFICULTIES, DONT_CARE, LOOK_ALIKE, Difficulty, KittiObjects, objects_of
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.scene import Objects
from scenekit.structures import Boxes3D
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.roots import class_names

NO_LOCATION = -1000.0
"""Coordinates that KITTI writes for objects without a 3D box; their sizes are -1."""


@dataclass(frozen=True)
class ClassNames:
    """Classes to learn."""

    things: tuple[str, ...]
    """Names in the vocabulary."""
    labels: Mapping[str, int]
    """Label by class in the files, in lower case."""
    ignored: Mapping[str, int]
    """Label by similar class in the files, whose objects are ignored."""


@dataclass(frozen=True)
class Rules:
    """Which objects are learned."""

    classes: ClassNames
    """Classes to learn."""
    difficulty: Difficulty | None = None
    """Harder objects are ignored."""


def class_names_of(classes: Sequence[str] | Mapping[str, str]) -> ClassNames:
    """Create the classes to learn.

    Args:
        classes: Classes of the files, or for each its name in the vocabulary.

    Returns:
        The classes.

    Raises:
        InputError: If there is no class.
    """
    named = class_names(classes)
    things = tuple(dict.fromkeys(named.values()))
    labels = {name.lower(): things.index(thing) for name, thing in named.items()}
    alike = {other.lower(): labels[name.lower()] for name, other in LOOK_ALIKE.items() if name.lower() in labels}
    return ClassNames(things, labels, {name: label for name, label in alike.items() if name not in labels})


def difficulty_named(name: str | None) -> Difficulty | None:
    """Return an official difficulty.

    Args:
        name: Its name.

    Returns:
        The difficulty, None for None.

    Raises:
        InputError: If the name is unknown.
    """
    known = {difficulty.name: difficulty for difficulty in DIFFICULTIES}
    if name is not None and name not in known:
        raise InputError(f"unknown difficulty {name!r}{nearest(name, tuple(known))}")
    return None if name is None else known[name]


def read_labels(path: Path, rules: Rules, shift: Float[Tensor, " 3"]) -> Labels:
    """Read the objects of a text file.

    Args:
        path: The file.
        rules: Classes to learn and objects to ignore.
        shift: Translation from the frame of labels to the camera's, in metres.

    Returns:
        Objects and labels of the lines that can be read; the others are among the issues.

    Raises:
        InputError: If the file cannot be read.
    """
    lines = read_kitti_lines(path)
    annotations = objects_of(lines)
    roles = list(_roles(annotations, rules))
    rows = [role.row for role in roles]
    boxes3d, measured = boxes3d_of(annotations, shift)
    sound = torch.from_numpy(annotations.sizes > 0).all(dim=1)
    truncated = torch.from_numpy(annotations.truncated).float()
    values = {
        BOXES3D: boxes3d[rows],
        TRUNCATION: torch.where(truncated < 0, torch.nan, truncated)[rows],
        OCCLUSION: torch.from_numpy(annotations.occluded)[rows],
    }
    care = torch.tensor([not role.dont_care for role in roles], dtype=torch.bool)
    faulty = [row for row in sorted(set(rows)) if bool(measured[row] & ~sound[row])]
    valid = {BOXES3D: care & (measured & sound & (boxes3d.center[:, 2] > 0))[rows]}
    valid |= {key: care for key in (TRUNCATION, OCCLUSION)}
    issues = [*lines.issues, *(_issue(lines.where[row], annotations, row) for row in faulty)]
    return Labels(_objects(annotations, roles), values, valid, issues)


def boxes3d_of(annotations: KittiObjects, shift: Float[Tensor, " 3"]) -> tuple[Boxes3D, Bool[Tensor, " M"]]:
    """Create 3D boxes in the frame of the camera.

    KITTI's location is the middle of the lower face, its sizes are height, width, length, and rotation_y is yaw.

    Args:
        annotations: Objects of the file.
        shift: Translation from the frame of labels to the camera's, in metres.

    Returns:
        (boxes, which objects have an annotated 3D box).
    """
    height, width, length = torch.from_numpy(annotations.sizes).float().unbind(1)
    center = torch.from_numpy(annotations.locations).float() + shift
    center[:, 1] -= height / 2
    yaw = torch.from_numpy(annotations.rotations).float()
    turn = axis_angle_to_matrix(yaw[:, None] * torch.tensor([0.0, 1.0, 0.0]))
    scores = None if annotations.scores is None else torch.from_numpy(annotations.scores).float()
    measured = (annotations.sizes != -1).any(axis=1) | (annotations.locations > NO_LOCATION).any(axis=1)
    return Boxes3D(center, torch.stack((width, height, length), dim=1), turn, scores), torch.from_numpy(measured)


@dataclass(frozen=True)
class _Role:
    """The label of an object of the file."""

    row: int
    label: int
    dont_care: bool = False
    ignored: bool = False


def _roles(annotations: KittiObjects, rules: Rules) -> Iterator[_Role]:
    """Yield labels; a DontCare region is one of every class, as it covers objects of any; other classes are skipped."""
    classes = rules.classes
    none = np.zeros(len(annotations), dtype=bool)
    hard = none if rules.difficulty is None else rules.difficulty.exceeded(annotations)
    for row, name in enumerate(map(str.lower, annotations.names)):
        if name == DONT_CARE.lower():
            yield from (_Role(row, label, dont_care=True, ignored=True) for label in range(len(classes.things)))
        elif name in classes.labels:
            yield _Role(row, classes.labels[name], ignored=bool(hard[row]))
        elif name in classes.ignored:
            yield _Role(row, classes.ignored[name], ignored=True)


def _objects(annotations: KittiObjects, roles: Sequence[_Role]) -> Objects:
    rows = [role.row for role in roles]
    return Objects(
        torch.from_numpy(annotations.boxes).float()[rows],
        torch.tensor([role.label for role in roles], dtype=torch.int64),
        None if annotations.scores is None else torch.from_numpy(annotations.scores).float()[rows],
        ids=torch.tensor(rows, dtype=torch.int64),
        crowd=torch.tensor([role.dont_care for role in roles], dtype=torch.bool),
        ignore=torch.tensor([role.ignored for role in roles], dtype=torch.bool),
    )


def _issue(where: str, annotations: KittiObjects, row: int) -> str:
    sizes, name = ", ".join(f"{size:g}" for size in annotations.sizes[row]), annotations.names[row]
    return f"{where}: the {name} needs a height, width and length above 0, got {sizes}"
