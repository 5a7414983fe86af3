"""What a head gives can be stored, finished, measured and shown."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load, save

from scenekit.evaluation.evaluator import Evaluator
from scenekit.keys import Key, Stream
from scenekit.scene import Scene
from scenekit.testing.bench import Bench
from scenekit.testing.check import RuleError, SkipError, check, seeded
from scenekit.testing.compare import difference


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
        if found := difference(first, second):
            raise RuleError(f"a fresh head with the same state_dict gives something else ({found})")


@check("give the key a field whose `encode` and `decode` undo each other, in plain JSON values")
def json(bench: Bench) -> None:
    """The task's values, and the ground truth that it learns from, survive Scene.save and Scene.load."""
    predicted = scenes(bench)[0]
    known = [key for key in bench.spec.provides if key in predicted]
    _check_round_trip(replace(predicted, values={key: predicted[key] for key in known}, valid={}), known)
    truth = bench.sample(0).scene
    learned = [key for key in bench.spec.learns_from if key in truth]
    _check_round_trip(replace(truth, values={key: truth[key] for key in learned}), learned)


@check("let `finish` (or the key's field) bring values to the size of `scene`, along `geometry`")
def original_pixels(bench: Bench) -> None:
    """Values of images that the network sees smaller or larger lie in the original images."""
    for factor in (0.5, 2.0):
        for scene in scenes(bench, factor):
            for key in bench.spec.provides:
                if key in scene and (issue := key.field.misplaced(scene[key], scene.frame(key))):
                    raise RuleError(f"{key.name!r} {issue} in an image of {scene.size} pixels")


@check("see the error: `evaluator(vocabulary)` must give an Evaluator, as scenekit.evaluation describes it")
def measures(bench: Bench) -> None:
    """The evaluator takes any image, can be pickled and merged, and gives numbers by name."""
    if bench.spec.evaluator is None:
        raise SkipError("it has no evaluator")
    evaluator, other = (bench.spec.evaluator(bench.vocabulary) for _ in range(2))
    if not isinstance(evaluator, Evaluator):
        raise RuleError(f"an object with update, merge and result was expected, got a {type(evaluator).__name__}")
    found = scenes(bench)
    for number, prediction in enumerate(found):
        evaluator.update(bench.sample(number), prediction)
        other.update(bench.sample(number, labelled=False), prediction)
    evaluator.merge(pickle.loads(pickle.dumps(other)))
    result = evaluator.result()
    if not isinstance(result, Mapping) or not all(isinstance(v, int | float | Mapping) for v in result.values()):
        raise RuleError(f"`result` must give numbers by name, got {result!r}")


@check("see the error: `draw(image, scene)` must give an image of the same size, also where nothing was found")
def draws(bench: Bench) -> None:
    """What the task found can be drawn, also where it is nothing."""
    if bench.spec.draw is None:
        raise SkipError("it draws nothing")
    for scene in (scenes(bench)[0], scenes(bench, labels=())[0]):
        drawn = bench.spec.draw(Image.new("RGB", scene.size[::-1]), scene)
        if not isinstance(drawn, Image.Image) or drawn.size != scene.size[::-1]:
            raise RuleError(f"`draw` must give an image of {scene.size[::-1]} pixels, got {drawn!r}")


def scenes(bench: Bench, factor: float = 1.0, labels: Sequence[int] | None = None) -> list[Scene]:
    """What the task makes of three images whose originals are `factor` times as large as the network sees them."""
    batch, targets = bench.batch(bench.samples(labels=labels))
    originals = tuple((round(factor * height), round(factor * width)) for height, width in batch.sizes)
    outputs = bench.model(replace(batch, original_sizes=originals), given=bench.regions(targets, learning=False))
    return bench.model.scenes(outputs)


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
        if found := difference(scene[key], again[key]):
            raise RuleError(f"{key.name!r} comes back as something else ({found})")
