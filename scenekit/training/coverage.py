"""Which task of a run has ground truth in which of its data sets, counted in bounded time before the first step."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import Tensor

from scenekit.config import validated
from scenekit.data import checks
from scenekit.data.inspection import spread
from scenekit.data.labelers import labelers_named
from scenekit.data.loader import Source
from scenekit.data.scenes import scene_of
from scenekit.evaluation.loop import DETECTION
from scenekit.hooks import TaskSpec, registry
from scenekit.io.files import plain, write_atomically
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.build import configured
from scenekit.recipe import Recipe, TrainConfig
from scenekit.recipe.initial import with_initial
from scenekit.scene import Scene
from scenekit.training.preparation import open_mixture, with_steps
from scenekit.training.progress import Reporter
from scenekit.training.run_folder import COVERAGE
from scenekit.weights import config_of

_log = logging.getLogger(__name__)

LEAST, MOST, SECONDS = 20, 2000, 3.0
"""Images that are read of each data set at least and at most, and the processor's time after which no more are read."""

COLUMNS = ("task", "learns from", "data set", "images", "instances", "classes", "read")
"""Titles of the table."""

MIXTURE_COLUMNS = ("data set", "images", "share", "drawn in this run", "passes")
"""Titles of the table of the mixture."""


@dataclass
class KeyCount:
    """How often a key is labelled in the images that were read of a data set."""

    images: int = 0
    """Images with the key."""
    instances: int | None = None
    """Rows or entries with it; None for maps and other values of a whole image."""
    classes: set[str] = field(default_factory=set)
    """Names of the classes, predicates, ... that occur."""

    def add(self, scene: Scene, key: Key[Any, Any]) -> None:
        """Count one image.

        Args:
            scene: Its ground truth.
            key: The key.
        """
        if isinstance(key, Stream):
            self._add(len(scene.regions(key)), class_names(scene) if key == OBJECTS else [])
        elif key in scene.values and (valid := without_faults(scene, key)) is not None:
            value, frame = valid.values[key], valid.frame(key)
            names = [name for _, name in key.field.occurrences(value, frame)]
            if key.of is not None:
                rows = valid.rows_with(key)
                own = class_names(valid, rows) if key.of == OBJECTS and not names else names
                self._add(int(rows.sum()), own)
            else:
                self._add(len(value) if isinstance(value, Sized) and not isinstance(value, Tensor) else None, names)

    def _add(self, instances: int | None, names: Sequence[str]) -> None:
        self.images += instances is None or instances > 0
        self.instances = self.instances if instances is None else (self.instances or 0) + instances
        self.classes.update(names)


@dataclass(frozen=True)
class SetCoverage:
    """What was read of one data set of a mixture."""

    name: str
    """Its name."""
    samples: int
    """Its number of samples."""
    share: float
    """Its share of the images that the run draws."""
    drawn: int
    """Images that the run draws from it, on average."""
    read: int
    """Images that were read."""
    counts: Mapping[Key[Any, Any], KeyCount]
    """Labels of these by key."""

    @property
    def estimated(self) -> bool:
        """Whether numbers are estimated from a part of the images."""
        return self.read < self.samples

    def whole(self, count: int | None) -> int | None:
        """Return the number for the whole data set, from that of the images that were read."""
        return count if count is None or not self.read else round(count * self.samples / self.read)

    def count_text(self, count: int | None) -> str:
        """Return the number for the whole data set as text; an estimate is marked."""
        whole = self.whole(count)
        return "" if whole is None else f"{'≈ ' if self.estimated else ''}{whole:,}"


@dataclass(frozen=True)
class RunCoverage:
    """The ground truth of a run: task by data set."""

    learns_from: Mapping[str, tuple[Key[Any, Any], ...]]
    """What each task that is trained learns from."""
    needed: Mapping[str, tuple[Key[Any, Any], ...]]
    """Of these, what a task has no loss of its own without."""
    sets: Sequence[SetCoverage]
    """The data sets."""

    @property
    def unsupervised(self) -> list[str]:
        """The tasks that no image that was read supervises."""
        return [name for name, keys in self.needed.items() if not any(map(self._images, keys))]

    @property
    def warnings(self) -> list[str]:
        """A sentence for each task that is not supervised."""
        return [self._warning(name, self.needed[name]) for name in self.unsupervised]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines of the table, without the data sets that lack a key.

        Yields:
            Cells of the `COLUMNS`.
        """
        for task, keys in self.learns_from.items():
            for key in keys:
                found = [each for each in self.sets if each.counts[key].images]
                if not found:
                    yield (task, key_name(key), "none", "0", "", "", "")
                for each in found:
                    count = each.counts[key]
                    classes = str(len(count.classes) or "")
                    read = f"{each.read:,} of {each.samples:,}" if each.estimated else "all"
                    numbers = (each.count_text(count.images), each.count_text(count.instances))
                    yield (task, key_name(key), each.name, *numbers, classes, read)

    def mixture(self) -> Iterator[tuple[str, ...]]:
        """Yield name, images, share, images that the run draws, and how often it passes the data set.

        Yields:
            A line per data set.
        """
        for each in self.sets:
            passes = f"{each.drawn / each.samples:.2f}" if each.samples else ""
            yield each.name, f"{each.samples:,}", f"{each.share:.1%}", f"{each.drawn:,}", passes

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data.

        Returns:
            `data` (the mixture), `tasks` (numbers of whole data sets; `estimated_from` is null where all images were
            read) and `warnings`.
        """
        return {
            "data": [
                {name: getattr(each, name) for name in ("name", "samples", "share", "drawn", "read")}
                for each in self.sets
            ],
            "tasks": {
                task: {key_name(key): {each.name: _plain(each, key) for each in self.sets} for key in keys}
                for task, keys in self.learns_from.items()
            },
            "warnings": self.warnings,
        }

    def _images(self, key: Key[Any, Any]) -> int:
        return sum(each.counts[key].images for each in self.sets)

    def _warning(self, task: str, keys: Sequence[Key[Any, Any]]) -> str:
        names = " or ".join(key_name(key) for key in keys)
        read = sum(each.read for each in self.sets)
        whole = "" if not any(each.estimated for each in self.sets) else " that were read"
        return f"nothing supervises the task {task}: of {read:,} images{whole} none has {names}"


def _plain(coverage: SetCoverage, key: Key[Any, Any]) -> dict[str, Any]:
    count = coverage.counts[key]
    return {
        "images": coverage.whole(count.images),
        "instances": coverage.whole(count.instances),
        "classes": sorted(count.classes),
        "estimated_from": coverage.read if coverage.estimated else None,
    }


def run_coverage(
    specs: Mapping[str, TaskSpec],
    learns_from: Mapping[str, tuple[Key[Any, Any], ...]],
    sources: Sequence[Source],
    train: TrainConfig,
    *,
    limit: int | None = MOST,
    seconds: float = SECONDS,
) -> RunCoverage:
    """Count the ground truth of each task in each data set of a run.

    Args:
        specs: The tasks of the model by name.
        learns_from: What each task that is trained learns from; the detector's is OBJECTS.
        sources: The data sets, with their weights in the mixture.
        train: The length of the run.
        limit: Upper limit of the images that are read of each data set, evenly spread; None for all.
        seconds: Upper limit of the processor's time for each data set, from the first images on.

    Returns:
        The counts.
    """
    keys = tuple(dict.fromkeys(key for own in learns_from.values() for key in own))
    total = sum(source.weight for source in sources)
    drawn = train.steps * train.batch_size * train.accumulate * PartialState().num_processes
    sets: list[SetCoverage] = []
    for source in sources:
        share = source.weight / total
        read, counts = counted(source, keys, limit, seconds)
        sets.append(SetCoverage(source.name, len(source.data), share, round(share * drawn), read, counts))
    needed = {name: own_keys(keys, specs.get(name)) for name, keys in learns_from.items() if keys}
    return RunCoverage(learns_from, needed, sets)


def coverage_of(recipe: Recipe, limit: int | None = MOST, seconds: float = SECONDS) -> RunCoverage:
    """Count the ground truth of a recipe without building its model.

    Args:
        recipe: The recipe.
        limit: Upper limit of the images that are read of each data set; None for all.
        seconds: Upper limit of the processor's time for each data set, from the first images on.

    Returns:
        The counts.

    Raises:
        InputError: If the recipe names an unknown task, or a data set cannot be opened.
    """
    sources = open_mixture(recipe, labelers_named(recipe.data.labelers))
    recipe = with_steps(recipe, sources)
    if recipe.init is not None:
        recipe = with_initial(recipe, config_of(recipe.init))
    model, only, frozen = recipe.model, recipe.train.only, recipe.train.freeze or ()
    specs = {name: configured_task(name, options) for name, options in model.tasks.items()}
    learns = {n: s.learns_from for n, s in specs.items() if n not in frozen and (only is None or n in only)}
    stages_learn = DETECTION not in frozen and (only is None or not specs.keys() >= set(only))
    if model.detector is not None and stages_learn:
        learns = {DETECTION: (OBJECTS,), **learns}
    return run_coverage(specs, learns, sources, recipe.train, limit=limit, seconds=seconds)


def configured_task(name: str, options: Mapping[str, Any]) -> TaskSpec:
    """Return the record of a task as its options make it.

    Args:
        name: Name of the task.
        options: Its options.

    Returns:
        The record.
    """
    spec: TaskSpec = registry().get("task", name)
    return configured(spec, validated(spec.config, options, f"task {name!r}"))


def announce(coverage: RunCoverage, folder: Path, reporter: Reporter) -> None:
    """Write the coverage of a run into its folder, show it, and warn of tasks that nothing supervises.

    Args:
        coverage: The coverage.
        folder: Folder of the run.
        reporter: Shows the table.
    """
    write_atomically(folder / COVERAGE, (json.dumps(plain(coverage.to_json()), indent=1) + "\n").encode())
    reporter.show_table("ground truth by task and data set", COLUMNS, coverage.rows())
    if len(coverage.sets) > 1:
        reporter.show_table("data sets", MIXTURE_COLUMNS, coverage.mixture())
    for warning in coverage.warnings:
        _log.warning(warning)


def counted(
    source: Source, keys: Sequence[Key[Any, Any]], limit: int | None, seconds: float
) -> tuple[int, dict[Key[Any, Any], KeyCount]]:
    """Count the labels of images of a data set; those that cannot be read are left out.

    Args:
        source: The data set.
        keys: The keys.
        limit: Upper limit of the number of images; None for all.
        seconds: Upper limit of the processor's time, from the first images on.

    Returns:
        How many images were read, and their labels by key.
    """
    counts, read, began = {key: KeyCount() for key in keys}, 0, time.process_time()
    for index in scattered(spread(len(source.data), limit)):
        try:
            scene = scene_of(source.data, index)
        except Exception:  # whatever the code of a data set raises; the run says so when it reads the image
            continue
        for key, count in counts.items():
            count.add(scene, key)
        read += 1
        if read >= LEAST and time.process_time() - began > seconds:
            break
    return read, counts


def scattered(numbers: Sequence[int]) -> Iterator[int]:
    """Yield numbers so that those up to any place are spread over all of them.

    Args:
        numbers: The numbers, ascending.

    Yields:
        Each of them once: every 2^n-th one, then those halfway between, and so on.
    """
    stride = 1 << max(len(numbers) - 1, 0).bit_length()
    yield from numbers[::stride]
    while stride > 1:
        yield from numbers[stride // 2 :: stride]
        stride //= 2


def own_keys(keys: tuple[Key[Any, Any], ...], spec: TaskSpec | None) -> tuple[Key[Any, Any], ...]:
    """Return those of the keys that a task predicts itself; all of them where it predicts none."""
    return tuple(key for key in keys if spec is not None and key in spec.provides) or keys


def without_faults(scene: Scene, key: Key[Any, Any]) -> Scene | None:
    """Return a scene with the valid part of a value; None where nothing of it can be used."""
    value, valid, issues = checks.validated(scene, key)
    if value is None or not issues:
        return None if value is None else scene
    rows = {} if valid is None else {key: valid}
    return replace(scene, values={**scene.values, key: value}, valid={**scene.valid, **rows})


def class_names(scene: Scene, rows: Tensor | None = None) -> list[str]:
    """Return the class names of objects whose label is one of the vocabulary's."""
    labels = scene.objects.labels if rows is None else scene.objects.labels[rows]
    things = scene.vocabulary.things
    return [things[label] for label in labels.tolist() if 0 <= label < len(things)]


def key_name(key: Key[Any, Any]) -> str:
    """Return the name of a key as people say it."""
    return "boxes" if key == OBJECTS else key.name
