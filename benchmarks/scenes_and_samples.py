"""Time a training sample and count Scenes per image: `OMP_NUM_THREADS=1 python benchmarks/scenes_and_samples.py`.

`milliseconds_per_sample`: CPU time to check, augment and collate one rendered sample of the synthetic data set, with
the augmentation of recipes/small.yaml, and with an additional random crop; medians over the samples. `scenes`: number
of instances of `Scene` that the shipped model creates to predict one image with all tasks, and to evaluate one; means
over the images. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from measuring import machine, milliseconds

import scenekit as sk
from scenekit.data.loader import BatchSet, Packer, Source
from scenekit.data.mixing import Draw
from scenekit.data.transforms import augmentations
from scenekit.hooks import registry
from scenekit.io.files import write_atomically
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import AugmentConfig, Recipe

RECIPE = Path(__file__).parent.parent / "recipes" / "small.yaml"


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scenes_and_samples.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe, model = Recipe.load(RECIPE), sk.load("small")
    samples = rendered(recipe, arguments.samples)
    plain, cropped = recipe.augment, recipe.augment.model_copy(update={"crop": 1.0})
    results = {
        "machine": machine(torch.device("cpu")),
        "samples": len(samples),
        "images": arguments.images,
        "milliseconds_per_sample": {
            "small": milliseconds(seconds(samples, model, plain)),
            "small_with_crop": milliseconds(seconds(samples, model, cropped)),
        },
        "scenes": scenes_made(model, samples[: arguments.images]),
    }
    write_atomically(arguments.out, (json.dumps(results, indent=2) + "\n").encode())
    print(json.dumps(results, indent=2))


def rendered(recipe: Recipe, count: int) -> list[sk.Sample]:
    """Return the first samples of the recipe's training data, in memory."""
    entry = recipe.data.train[0]
    data = registry().get("dataset", entry.name).build(split=entry.split, **entry.options)
    return [data[index] for index in range(count)]


def seconds(samples: list[sk.Sample], model: SceneModel, augment: AugmentConfig) -> list[float]:
    """Return the CPU time of each sample as a batch of its own, after a warm-up."""
    transforms = augmentations(augment, model.config.input)
    data = BatchSet([Source(samples)], transforms, frozenset(model.learns_from), Packer.of(model), seed=0)
    times = []
    for index in (0, *range(len(samples))):
        start = time.process_time()
        data[[Draw(source=0, index=index, epoch=0)]]
        times.append(time.process_time() - start)
    return times[1:]


def scenes_made(model: SceneModel, samples: list[sk.Sample]) -> dict[str, float]:
    """Return the number of Scenes per predicted and per evaluated image."""
    with counted() as predicting:
        for sample in samples:
            model.predict(sample.image, threshold=0.0)
    with counted() as evaluating:
        sk.evaluate(model, samples)
    return {"predict": len(predicting) / len(samples), "evaluate": len(evaluating) / len(samples)}


@contextmanager
def counted() -> Iterator[list[None]]:
    """Yield a list to which an entry is appended for every Scene that is created."""
    made: list[None] = []
    check = sk.Scene.__post_init__

    def count(scene: sk.Scene) -> None:
        made.append(None)
        check(scene)

    sk.Scene.__post_init__ = count  # type: ignore[method-assign]
    try:
        yield made
    finally:
        sk.Scene.__post_init__ = check  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
