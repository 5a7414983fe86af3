"""What a head gives can be stored, finished, measured and shown."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load, save

from scenekit.evaluation.evaluator import Evaluator
from scenekit.hooks import TaskSpec
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures.cameras import Camera
from scenekit.testing.bench import Bench
from scenekit.testing.check import RuleError, SkipError, check, seeded
from scenekit.testing.compare import difference
from scenekit.testing.images import example
from scenekit.visualization.draw import draw_task

DRAWN_AT = (1, 3)
"""How many times as large as its scene the image is that is drawn on."""

DRAWN_SIZE, DRAWN_BOX = (240, 320), [200.0, 150.0, 300.0, 225.0]
"""Of the scene, and of its only object."""


@check("register all that the outputs depend on: nn.Parameter, register_buffer, or a number from the options")
def state_dict(bench: Bench) -> None:
    """A fresh head with the stored weights gives the same values."""
    with seeded(2):
        again = replace(bench, task=bench.rebuilt())
    for name, part in bench.parts.items():
        stored = save({name: value.detach().clone().contiguous() for name, value in part.state_dict().items()})
        again.parts[name].load_state_dict(load(stored))
    model = bench.model_of({**bench.others, **again.itself})
    for given in bench.ways:
        first, second = (bench.predict(bench.samples(), model=one, given=given) for one in (bench.model, model))
        if differing := difference(first, second):
            raise RuleError(f"a fresh head with the same state_dict gives something else ({differing})")


@check("give the key a field whose `encode` and `decode` undo each other, in plain JSON values")
def json(bench: Bench) -> None:
    """The task's values, and the ground truth that it learns from, survive Scene.save and Scene.load."""
    predicted = scenes(bench)[0]
    known = [key for key in bench.spec.provides if key in predicted]
    _check_round_trip(replace(predicted, values={key: predicted[key] for key in known}, valid={}), known)
    target = bench.sample(0).scene
    learned = [key for key in bench.spec.learns_from if key in target]
    _check_round_trip(replace(target, values={key: target[key] for key in learned}), learned)


@check("let `finish` (or the key's field) bring values to the size of `scene`, along `geometry`")
def original_pixels(bench: Bench) -> None:
    """Values of images that the network sees smaller or larger lie in the original images."""
    for factor in (0.5, 2.0):
        for scene in scenes(bench, factor):
            for key in bench.spec.provides:
                if key in scene and (issue := key.field.misplaced(scene[key], scene.frame(key))):
                    raise RuleError(f"{key.name!r} {issue} in an image of {scene.size} pixels")


@check("see the error: `evaluator(vocabulary)` must return an Evaluator, as scenekit.evaluation describes it")
def measures(bench: Bench) -> None:
    """The evaluator takes any image, can be pickled and merged, and gives numbers by name."""
    if bench.spec.evaluator is None:
        raise SkipError("it has no evaluator")
    evaluator, other = (bench.spec.evaluator(bench.vocabulary) for _ in range(2))
    if not isinstance(evaluator, Evaluator):
        raise RuleError(f"an object with update, merge and result was expected, got a {type(evaluator).__name__}")
    predictions = scenes(bench)
    for number, prediction in enumerate(predictions):
        evaluator.update(bench.sample(number), prediction)
        other.update(bench.sample(number, labelled=False), prediction)
    evaluator.merge(pickle.loads(pickle.dumps(other)))
    result = evaluator.result()
    if not isinstance(result, Mapping) or not all(isinstance(v, int | float | Mapping) for v in result.values()):
        raise RuleError(f"`result` must return numbers by name, got {result!r}")


@check(
    "draw with the methods of the canvas, which take pixels of the scene, or scale by `canvas.scale`; draw where "
    "nothing is detected, too"
)
def draws(bench: Bench) -> None:
    """Predictions can be drawn, also where there are none, and lie on their object in an image of any size."""
    if bench.spec.draw is None:
        raise SkipError("it draws nothing")
    for scene in (scenes(bench)[0], scenes(bench, labels=())[0]):
        for factor in DRAWN_AT:
            _pixels_changed(bench.spec, scene, factor)
    if (single := _scene_of_one(bench)) is not None:
        for factor in DRAWN_AT:
            _check_placement(_pixels_changed(bench.spec, single, factor), single, factor)


def _pixels_changed(spec: TaskSpec, scene: Scene, factor: int) -> npt.NDArray[np.bool_]:
    """Return which pixels [h w] of a gray image, `factor` times as large as the scene, the task draws on."""
    image = Image.new("RGB", (factor * scene.size[1], factor * scene.size[0]), (128, 128, 128))
    changed: npt.NDArray[np.bool_] = (np.asarray(draw_task(spec, image, scene).convert("RGB")) != 128).any(axis=-1)
    return changed


def _scene_of_one(bench: Bench) -> Scene | None:
    """Return a scene of one object off the middle with example values; None where the task has no ground truth."""
    keys = [key for key in bench.spec.learns_from if key.of == OBJECTS and key in bench.spec.provides]
    if not keys:
        return None
    objects = Objects(torch.tensor([DRAWN_BOX]), torch.tensor(bench.served[:1]))
    scene = Scene(DRAWN_SIZE, bench.vocabulary, {OBJECTS: objects}, camera=Camera.default(*DRAWN_SIZE))
    return replace(scene, values={key: example(key, scene) for key in keys})


def _check_placement(changed: npt.NDArray[np.bool_], scene: Scene, factor: int) -> None:
    """Raise RuleError where something is drawn, but nothing on the object or within a tenth of its size around it."""
    x0, y0, x1, y1 = scene.objects.boxes[0].tolist()
    margin = 0.1 * max(x1 - x0, y1 - y0)
    left, top, right, bottom = (round(factor * side) for side in (x0 - margin, y0 - margin, x1 + margin, y1 + margin))
    if changed.any() and not changed[top:bottom, left:right].any():
        rows, columns = changed.nonzero()
        drawn = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        box = [round(factor * side) for side in (x0, y0, x1, y1)]
        raise RuleError(
            f"an object at {box} of an image {factor} times as large as the scene is drawn at {drawn}: nothing lies "
            "on it"
        )


def scenes(bench: Bench, factor: float = 1.0, labels: Sequence[int] | None = None) -> list[Scene]:
    """Predict scenes of three images whose originals are `factor` times as large as the network input."""
    batch, targets = bench.batch(bench.samples(labels=labels))
    originals = tuple((round(factor * height), round(factor * width)) for height, width in batch.sizes)
    outputs = bench.model(replace(batch, original_sizes=originals), given=bench.regions(targets, learning=False))
    return bench.scenes(outputs)


def _check_round_trip(scene: Scene, keys: Sequence[Key[Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.json"
        scene.save(path)
        again = Scene.load(path)
    for key in keys:
        if isinstance(key, Stream):
            continue
        if key not in again:
            raise RuleError(f"{key.name!r} is not there any more")
        if differing := difference(scene[key], again[key]):
            raise RuleError(f"{key.name!r} comes back as something else ({differing})")
