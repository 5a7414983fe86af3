"""Measure maps of synthetic clips: `OMP_NUM_THREADS=1 python benchmarks/world.py [--clips 30] [--scenes FOLDER]`.

Each clip of the test split is visited twice by a camera whose poses are known; nothing moves but the camera, and
between the visits one or two objects are moved, and up to one each added and removed. Maps are built of the ground
truth of the frames, of the ground truth with stated noise, and of the predictions of a model, without and with the
depth of the images, if the model reads it; ids are ignored. Against the ground truth: which objects the map has, how
many of its objects are doubles or none, how far off they are, and which changes it finds. What pays of the fusion is
measured by turning it off.

Predictions are stored in the folder of `--scenes`, so that another run only builds the maps.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

import scenekit as sk
from scenekit.io.files import plain, write_atomically

FRAMES, RATE = 24, 6.0
"""Frames of a visit, and frames per second."""

RADIUS = 0.75
"""Metres within which an object of the map is one of the truth of its class."""

MOVED = 0.4
"""Metres from which on an object counts as moved; those of the clips move by 0.5 m or more."""

LEAST = 3
"""Frames of a visit that must show an object of the truth for it to count, as many as confirm one."""

THRESHOLD = 0.5
"""Smallest score of a prediction."""

TASKS = ["boxes3d", "relations", "attributes", "masks"]
KEYS = ["boxes3d", "relations", "attributes"]

WAYS: Mapping[str, Mapping[str, Any]] = {
    "as shipped": {},
    "errors of 6 % along the ray and across": {"ray_error": 0.06, "lateral_error": 0.06},
    "errors of 2 % along the ray and across": {"ray_error": 0.02},
    "every sighting counts": {"confirm": 1, "confirm_share": 0.0},
}
"""Options of maps."""


@dataclass(frozen=True)
class Noise:
    """How the ground truth of a frame is spoilt, as a detector errs; every frame by itself."""

    along: float = 0.08
    """Standard deviation of the place along the ray, as a share of the distance."""
    across: float = 0.02
    """The same across the ray."""
    size: float = 0.1
    """Standard deviation of the logarithm of each side."""
    yaw: float = math.radians(15)
    """Standard deviation of the rotation about the height axis."""
    missed: float = 0.15
    """Share of the objects that a frame misses."""
    mistaken: float = 0.05
    """Share of the objects with another class."""
    astray: float = 0.1
    """Share of the frames that have one object elsewhere, by about a metre along each axis."""

    def __call__(self, scene: sk.Scene, source: np.random.Generator) -> sk.Scene:
        """Return the spoilt scene."""
        scene = scene.select(sk.OBJECTS, torch.from_numpy(source.random(len(scene.objects)) >= self.missed))
        boxes, count = scene[sk.BOXES3D], len(scene.objects)
        center = boxes.center.double().numpy()
        distance = np.linalg.norm(center, axis=1, keepdims=True)
        center = center + source.normal(0, self.across, (count, 3)) * distance
        center = center * (1 + source.normal(0, self.along, (count, 1)))
        size = boxes.size.double().numpy() * np.exp(source.normal(0, self.size, (count, 3)))
        turns = Rotation.from_rotvec(source.normal(0, self.yaw, (count, 1)) * (0.0, 1.0, 0.0))
        rotation = boxes.rotation.double().numpy() @ turns.as_matrix()
        labels = scene.objects.labels.clone()
        wrong = source.random(count) < self.mistaken
        labels[torch.from_numpy(wrong)] = int(source.integers(len(scene.vocabulary.things)))
        if source.random() < self.astray and count:
            center[0] = center[0] + source.normal(0, 1.0, 3)
        noisy = sk.Boxes3D(*(torch.from_numpy(part).float() for part in (center, size, rotation)))
        objects = replace(scene.objects, labels=labels)
        return replace(
            scene, streams={**scene.streams, sk.OBJECTS: objects}, values={**scene.values, sk.BOXES3D: noisy}
        )


@dataclass
class Tally:
    """Counts over all clips."""

    truth: int = 0
    found: int = 0
    found_places: int = 0
    objects: int = 0
    doubles: int = 0
    errors: list[float] = field(default_factory=list)
    single_errors: list[float] = field(default_factory=list)
    changes: int = 0
    stated: int = 0
    right: int = 0
    seconds: float = 0.0
    scenes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the metrics."""
        return {
            "recall": ratio(self.found, self.truth),
            "recall of any class": ratio(self.found_places, self.truth),
            "precision": ratio(self.found, self.objects),
            "doubles per 100 objects": ratio(100 * self.doubles, self.objects),
            "median error, m": round(statistics.median(self.errors), 3) if self.errors else None,
            "median error of a sighting, m": round(statistics.median(self.single_errors), 3),
            "recall of changes": ratio(self.right, self.changes),
            "precision of changes": ratio(self.right, self.stated),
            "ms per scene": round(1000 * self.seconds / max(self.scenes, 1), 1),
        }


def ratio(part: float, whole: float) -> float | None:
    """Return a fraction with three digits."""
    return round(part / whole, 3) if whole else None


@dataclass(frozen=True)
class Placed:
    """An object of the truth in the world."""

    label: str
    place: np.ndarray
    frames: int


def main() -> None:
    """Measure all kinds of scenes, write the numbers, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--clips", type=int, default=30, help="number of clips (30)")
    parser.add_argument("--scenes", type=Path, default=None, help="folder for predictions; default: none are stored")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "world.json")
    arguments = parser.parse_args()
    visits = [clips_of(visit, arguments) for visit in (0, 1)]
    model = sk.load(arguments.model)
    kinds = {
        "ground truth": partial(truth_scenes, None),
        "ground truth with noise": partial(truth_scenes, Noise()),
        f"predictions of {arguments.model}": partial(predicted, model, arguments.scenes, False),
    }
    if "depth" in getattr(model, "inputs", ()):
        kinds[f"predictions of {arguments.model} with exact depth"] = partial(predicted, model, arguments.scenes, True)
    measured: dict[str, dict[str, Any]] = {}
    for kind, scenes_of in kinds.items():
        ways = WAYS if kind != "ground truth" else {"as shipped": {}}
        tallies = {way: Tally() for way in ways}
        for index in range(arguments.clips):
            scenes = [scenes_of(clips, index, visit) for visit, clips in enumerate(visits)]
            truths = [truth_of(clips[index].scenes) for clips in visits]
            for way, options in ways.items():
                measure(tallies[way], scenes, truths, visits[1].changes(index), options)
            print(f"\r{kind}: {index + 1} of {arguments.clips} clips", end="", file=sys.stderr)
        print(file=sys.stderr)
        measured[kind] = {way: tally.to_json() for way, tally in tallies.items()}
    facts = {"clips": arguments.clips, "frames of a visit": FRAMES, "radius, m": RADIUS}
    result = {**machine(torch.device("cpu")), "command": "python benchmarks/world.py", **facts, **measured}
    write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())
    show(measured)


def clips_of(visit: int, arguments: argparse.Namespace) -> Any:
    """Return the clips of a visit."""
    options = {"frames": FRAMES, "rate": RATE, "keys": KEYS, "still": True, "visit": visit}
    if arguments.scenes is not None:
        options["cache"] = str(arguments.scenes / "clips")
    return sk.clips("synthetic_clips", "test", **options)


def truth_scenes(noise: Noise | None, clips: Any, index: int, visit: int) -> list[sk.Scene]:
    """Return the ground truth of a clip, with noise if there is any."""
    source = np.random.default_rng((index, visit))
    scenes = list(clips[index].scenes)
    return scenes if noise is None else [noise(scene, source) for scene in scenes]


def predicted(model: Any, folder: Path | None, depth: bool, clips: Any, index: int, visit: int) -> list[sk.Scene]:
    """Return the predictions of a clip, those of an earlier run if they are stored."""
    path = None if folder is None else folder / f"{index:03d}-{visit}{'-depth' if depth else ''}.jsonl.gz"
    if path is not None and path.exists():
        return [sk.Scene.from_json(json.loads(line)) for line in gzip.decompress(path.read_bytes()).splitlines()]
    frames = [frame if depth else replace(frame, inputs={}) for frame in clips[index].frames]
    scenes = [slim(model.predict(frame, tasks=TASKS, threshold=THRESHOLD)) for frame in frames]
    if path is not None:
        text = "\n".join(json.dumps(scene.to_json()) for scene in scenes)
        write_atomically(path, gzip.compress(text.encode(), 6))
    return scenes


def slim(scene: sk.Scene) -> sk.Scene:
    """Return a scene without what a map does not need."""
    kept = {key: value for key, value in scene.values.items() if key.name in KEYS}
    return replace(scene, values=kept)


def truth_of(scenes: Sequence[sk.Scene]) -> dict[int, Placed]:
    """Return the objects of a visit by identity, with the number of frames that show them."""
    found: dict[int, Placed] = {}
    for scene in scenes:
        pose = scene.moment.pose.double().numpy()
        center = scene[sk.BOXES3D].center.double().numpy() @ pose[:3, :3].T + pose[:3, 3]
        for identity, name, place in zip(scene.objects.ids.tolist(), scene.names(), center, strict=True):
            frames = found[identity].frames + 1 if identity in found else 1
            found[identity] = Placed(name, place, frames)
    return found


def measure(
    tally: Tally,
    scenes: Sequence[Sequence[sk.Scene]],
    truths: Sequence[dict[int, Placed]],
    changes: Sequence[Any],
    options: Mapping[str, Any],
) -> None:
    """Build both maps and compare them with the truth."""
    worlds = []
    for own, truth in zip(scenes, truths, strict=True):
        began = time.perf_counter()
        world = sk.World.of(own, tracked=False, **options)
        tally.seconds += time.perf_counter() - began
        tally.scenes += len(own)
        worlds.append(world)
        compare_objects(tally, world, list(truth.values()))
        tally.single_errors += list(single_errors(own, list(truth.values())))
    compare_changes(tally, worlds, truths, changes)


def compare_objects(tally: Tally, world: sk.World, truth: Sequence[Placed]) -> None:
    """Count which objects of the truth the map has; those that few frames show neither count nor are they wrong."""
    items = world.objects
    apart = np.array(
        [
            [np.linalg.norm(item.position - one.place) if item.label == one.label else math.inf for one in truth]
            for item in items
        ]
    ).reshape(len(items), len(truth))
    rows, columns = linear_sum_assignment(np.minimum(apart, 1e3))
    matched = {row: column for row, column in zip(rows, columns, strict=True) if apart[row, column] <= RADIUS}
    counted = {row: column for row, column in matched.items() if truth[column].frames >= LEAST}
    tally.truth += sum(one.frames >= LEAST for one in truth)
    tally.found += len(counted)
    tally.found_places += places_found(items, [one for one in truth if one.frames >= LEAST])
    tally.objects += len(items) - (len(matched) - len(counted))
    tally.doubles += sum(bool((apart[row] <= RADIUS).any()) for row in range(len(items)) if row not in matched)
    tally.errors += [float(apart[row, column]) for row, column in counted.items()]


def places_found(items: Sequence[sk.MapObject], truth: Sequence[Placed]) -> int:
    """Return the number of objects of the truth that the map has, of whatever class."""
    apart = np.array([[np.linalg.norm(item.position - one.place) for one in truth] for item in items])
    apart = apart.reshape(len(items), len(truth))
    return int((apart[linear_sum_assignment(apart)] <= RADIUS).sum())


def single_errors(scenes: Sequence[sk.Scene], truth: Sequence[Placed]) -> Iterator[float]:
    """Yield how far single sightings are from the nearest object of their class, within the radius."""
    for scene in scenes:
        pose, boxes = scene.moment.pose.double().numpy(), scene[sk.BOXES3D]
        center = boxes.center.double().numpy() @ pose[:3, :3].T + pose[:3, 3]
        for name, place in zip(scene.names(), center, strict=True):
            apart = [float(np.linalg.norm(place - one.place)) for one in truth if one.label == name]
            if apart and min(apart) <= RADIUS:
                yield min(apart)


def compare_changes(
    tally: Tally, worlds: Sequence[sk.World], truths: Sequence[dict[int, Placed]], changes: Sequence[Any]
) -> None:
    """Count the changes of the truth that are found, and those that are stated."""
    names = worlds[0].vocabulary.things or worlds[1].vocabulary.things
    found = worlds[1].diff(worlds[0], moved=MOVED)
    stated = [("moved", change.after.label, change.before.position, change.after.position) for change in found.moved]
    stated += [("appeared", item.label, None, item.position) for item in found.appeared]
    stated += [("vanished", item.label, item.position, None) for item in found.vanished]
    shown = [change for change in changes if is_shown(change, truths)]
    hidden = [change for change in changes if change not in shown]
    right = [change for change in shown if any(agrees(change, names, one) for one in stated)]
    unseen = sum(any(agrees(change, names, one) for change in hidden) for one in stated)
    tally.changes += len(shown)
    tally.stated += len(stated) - unseen
    tally.right += len(right)


def is_shown(change: Any, truths: Sequence[dict[int, Placed]]) -> bool:
    """Return whether enough frames show the object, before and after as far as it is there."""
    places = (change.before, change.after)
    return all(
        place is None or (change.id in truth and truth[change.id].frames >= LEAST)
        for place, truth in zip(places, truths, strict=True)
    )


def agrees(change: Any, names: Sequence[str], one: tuple[str, str, Any, Any]) -> bool:
    """Return whether a stated change is one of the truth: its kind, class, and places within the radius."""
    kind, label, before, after = one
    if (kind, label) != (change.kind, names[change.label]):
        return False
    ends = ((before, change.before), (after, change.after))
    return all(np.linalg.norm(np.subtract(mine, theirs)) <= RADIUS for mine, theirs in ends if mine is not None)


def show(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print a row per kind of scenes and way."""
    for kind, ways in measured.items():
        print(f"\n{kind}")
        for way, numbers in ways.items():
            print(f"  {way:36}" + "  ".join(f"{name} {value}" for name, value in numbers.items()))


if __name__ == "__main__":
    main()
