"""The labels of one image, made of its text file when it is asked for.

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
from scenekit.keys import BOXES3D, OCCLUSION, TRUNCATION
from scenekit.metrics.kitti import DIFFICULTIES, DONT_CARE, LOOK_ALIKE, Difficulty, KittiObjects
from scenekit.metrics.kitti.files import NUMBERS, read_objects
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.scene import Objects
from scenekit.structures import Boxes3D
from scenekit_datasets.image_labels import Labels
from scenekit_datasets.roots import class_names

NO_PLACE = -1000.0
"""Where KITTI puts objects that were not measured; their sizes are -1."""


@dataclass(frozen=True)
class ClassNames:
    """`things` are the names of labels; `labels` leads from the names in files, in lower case, to them.

    `ignored` does so for names that look like one of them: they count neither way.
    """

    things: tuple[str, ...]
    labels: Mapping[str, int]
    ignored: Mapping[str, int]


@dataclass(frozen=True)
class Rules:
    """What is learned of the files: objects beyond `difficulty` are ignored."""

    classes: ClassNames
    difficulty: Difficulty | None = None


def class_names_of(classes: Sequence[str] | Mapping[str, str]) -> ClassNames:
    """Of names, or of what names in the files shall be called."""
    named = class_names(classes)
    things = tuple(dict.fromkeys(named.values()))
    labels = {name.lower(): things.index(thing) for name, thing in named.items()}
    alike = {other.lower(): labels[name.lower()] for name, other in LOOK_ALIKE.items() if name.lower() in labels}
    return ClassNames(things, labels, {name: label for name, label in alike.items() if name not in labels})


def difficulty_named(name: str | None) -> Difficulty | None:
    """One of the official ones."""
    known = {difficulty.name: difficulty for difficulty in DIFFICULTIES}
    if name is not None and name not in known:
        raise InputError(f"unknown difficulty {name!r}{nearest(name, tuple(known))}")
    return None if name is None else known[name]


def read_labels(path: Path, rules: Rules, shift: Float[Tensor, " 3"]) -> Labels:
    """The objects of a text file; `shift` leads from its frame to that of the camera."""
    found = read_objects(path, scored=has_scores(path))
    roles = list(_roles(found, rules))
    rows = [role.row for role in roles]
    boxes3d, measured = boxes3d_of(found, shift)
    sound = torch.from_numpy(found.sizes > 0).all(dim=1)
    truncated = torch.from_numpy(found.truncated).float()
    values = {
        BOXES3D: boxes3d[rows],
        TRUNCATION: torch.where(truncated < 0, torch.nan, truncated)[rows],
        OCCLUSION: torch.from_numpy(found.occluded)[rows],
    }
    care = torch.tensor([not role.dont_care for role in roles], dtype=torch.bool)
    faulty = [row for row in sorted(set(rows)) if bool(measured[row] & ~sound[row])]
    valid = {BOXES3D: care & (measured & sound & (boxes3d.center[:, 2] > 0))[rows]}
    valid |= {key: care for key in (TRUNCATION, OCCLUSION)}
    return Labels(_objects(found, roles), values, valid, [_issue(path, found, row) for row in faulty])


def has_scores(path: Path) -> bool:
    """Whether the lines end with a score, as those of detections; judged by the first one."""
    with open(path, encoding="utf-8", errors="replace") as file:
        first = next((words for line in file if (words := line.split())), [])
    return len(first) == 1 + NUMBERS + 1


def boxes3d_of(found: KittiObjects, shift: Float[Tensor, " 3"]) -> tuple[Boxes3D, Bool[Tensor, " M"]]:
    """Return the boxes in the camera frame, and which of them were measured.

    KITTI's place is the middle of the lower face, its sizes are height, width, length, and rotation_y is yaw.
    """
    height, width, length = torch.from_numpy(found.sizes).float().unbind(1)
    center = torch.from_numpy(found.locations).float() + shift
    center[:, 1] -= height / 2
    yaw = torch.from_numpy(found.rotations).float()
    turn = axis_angle_to_matrix(yaw[:, None] * torch.tensor([0.0, 1.0, 0.0]))
    scores = None if found.scores is None else torch.from_numpy(found.scores).float()
    measured = torch.from_numpy((found.sizes != -1).any(axis=1) | (found.locations > NO_PLACE).any(axis=1))
    return Boxes3D(center, torch.stack((width, height, length), dim=1), turn, scores), measured


@dataclass(frozen=True)
class _Role:
    """What an object of the file becomes."""

    row: int
    label: int
    dont_care: bool = False
    ignored: bool = False


def _roles(found: KittiObjects, rules: Rules) -> Iterator[_Role]:
    """A DontCare region is one of every class, as it stands for objects of any; other classes are left out."""
    classes = rules.classes
    hard = np.zeros(len(found), dtype=bool) if rules.difficulty is None else rules.difficulty.exceeded(found)
    for row, name in enumerate(map(str.lower, found.names)):
        if name == DONT_CARE.lower():
            yield from (_Role(row, label, dont_care=True, ignored=True) for label in range(len(classes.things)))
        elif name in classes.labels:
            yield _Role(row, classes.labels[name], ignored=bool(hard[row]))
        elif name in classes.ignored:
            yield _Role(row, classes.ignored[name], ignored=True)


def _objects(found: KittiObjects, roles: Sequence[_Role]) -> Objects:
    rows = [role.row for role in roles]
    return Objects(
        torch.from_numpy(found.boxes).float()[rows],
        torch.tensor([role.label for role in roles], dtype=torch.int64),
        None if found.scores is None else torch.from_numpy(found.scores).float()[rows],
        ids=torch.tensor(rows, dtype=torch.int64),
        crowd=torch.tensor([role.dont_care for role in roles], dtype=torch.bool),
        ignore=torch.tensor([role.ignored for role in roles], dtype=torch.bool),
    )


def _issue(path: Path, found: KittiObjects, row: int) -> str:
    lines = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if line.strip()]
    sizes, name = ", ".join(f"{size:g}" for size in found.sizes[row]), found.names[row]
    return f"{path}, line {lines[row]}: the {name} needs a height, width and length above 0, got {sizes}"
