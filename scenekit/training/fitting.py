"""What a detector fits after the gradient steps, such as SVMs, and the data that it is fitted on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console

from scenekit.data.loader import Packed, Shard, Source, training_batches
from scenekit.data.scenes import spread_scenes
from scenekit.data.skipping import SkippedSamples
from scenekit.data.transforms import augmentations
from scenekit.errors import InputError, listed
from scenekit.hooks import DetectorSpec, naming_plugin, registry
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import AugmentConfig, Recipe
from scenekit.training.preparation import Track
from scenekit.training.progress import tracked
from scenekit.training.readiness import usable_workers

SHOWN = 10
"""Number of class names that a message lists."""


@dataclass
class FitData:
    """Batches of the training data of a run without augmentation, the same ones each time that they are iterated.

    Of one data set each image occurs once, but for those at the end that fill no batch; of several, as often as their
    weights in the recipe say.

    Attributes:
        sources: The data sets.
        recipe: The recipe of the run.
        model: The model.
        skipped: Where unusable samples are added.
        strict: Whether to refuse invalid annotations.
        progress: Whether progress is shown on standard error.
        passes: How often the data was iterated.
    """

    sources: Sequence[Source]
    recipe: Recipe
    model: SceneModel
    skipped: SkippedSamples
    strict: bool = False
    progress: bool = True
    passes: int = 0

    def __len__(self) -> int:
        images = sum(len(source.data) for source in self.sources)
        return max(images // self.recipe.train.batch_size, 1)

    def __iter__(self) -> Iterator[Packed]:
        """Yield the batches with their targets, on the device of the model."""
        self.passes += 1
        text = f"fitting {self.recipe.model.detector}, pass {self.passes} over the training data"
        Console(stderr=True, highlight=False, quiet=not self.progress).print(text, markup=False, soft_wrap=True)
        device = self.model.device
        for batch, targets in tracked(self._batches(), text, len(self), self.progress):
            yield batch.to(device), targets.to(device)

    def _batches(self) -> Iterator[Packed]:
        config = self.recipe.train
        return training_batches(
            self.sources,
            model=self.model,
            transforms=augmentations(AugmentConfig(flip=0.0), self.recipe.model.input),
            batch_size=config.batch_size,
            seed=config.seed,
            shard=Shard(0, len(self)),
            workers=usable_workers(config.workers),
            strict=self.strict,
            skipped=self.skipped,
        )


def fitting_detector(recipe: Recipe, model: SceneModel, learning: Collection[str] | None) -> DetectorSpec | None:
    """Return the detector of a run if it is to be fitted after the last step.

    Args:
        recipe: The recipe of the run.
        model: The model that is trained.
        learning: Tasks and stages that are trained; None for all.

    Returns:
        The record; None where the detector fits nothing, or stays as it is.
    """
    spec: DetectorSpec = registry().get("detector", recipe.model.detector)
    trained = learning is None or bool(set(learning) & set(model.stages))
    return spec if spec.fit is not None and trained else None


def check_classes(spec: DetectorSpec, things: Sequence[str], sources: Sequence[Source], track: Track) -> None:
    """Check that there is an object of every class, where a detector is fitted to each of them.

    Annotations are read until all classes have occurred.

    Args:
        spec: Record of the detector.
        things: Class names of the model.
        sources: Data sets of the run.
        track: Shows the progress of reading the scenes.

    Raises:
        InputError: If a class has no object other than crowds.
    """
    if not spec.fits_every_class:
        return
    missing = dict.fromkeys(things)
    scenes = (scene for source in sources for scene in spread_scenes(source.data, len(source.data)))
    for scene in track(scenes, sum(len(source.data) for source in sources)):
        for name, crowd in zip(scene.names(), scene.objects.crowd.tolist(), strict=True):
            if not crowd:
                missing.pop(name, None)
        if not missing:
            return
    raise InputError(
        f"detector {spec.name!r}: no image of data.train shows an object of {listed(missing, SHOWN)} (crowds do not "
        "count), so that nothing can be fitted for it; remove the class from the data set, or add images"
    )


def fit(spec: DetectorSpec, model: SceneModel, data: FitData) -> None:
    """Fit what a detector does not learn by gradients.

    Args:
        spec: Record of the detector.
        model: The model; it is in evaluation mode afterwards.
        data: The training data.

    Raises:
        InputError: The data does not suffice.
    """
    assert spec.fit is not None
    model.eval()
    with naming_plugin(spec), torch.no_grad():
        spec.fit(model, data)
