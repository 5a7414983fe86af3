"""Which task of a run has ground truth in which of its data sets, counted in bounded time before the first step."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from scenekit.config import validated
from scenekit.data.labelers import labelers_named
from scenekit.data.loader import Source
from scenekit.evaluation.loop import DETECTION
from scenekit.hooks import TaskSpec, registry
from scenekit.io.files import plain, write_atomically
from scenekit.keys import OBJECTS, Key
from scenekit.model.build import configured
from scenekit.recipe import Recipe, TrainConfig
from scenekit.recipe.initial import with_initial
from scenekit.structures.vocabulary import Vocabulary
from scenekit.training.label_counts import MOST, SECONDS, KeyCount, Lesson, counted
from scenekit.training.preparation import open_mixture, vocabulary_of, with_steps
from scenekit.training.progress import Reporter
from scenekit.training.run_folder import COVERAGE
from scenekit.weights import config_of

_log = logging.getLogger(__name__)

TITLE, MIXTURE_TITLE = "ground truth by task and data set", "data sets, and how the run draws from them"
"""What stands above the two tables."""

COLUMNS = ("task", "data set", "images", "instances", "classes")
"""Titles of the table."""

MIXTURE_COLUMNS = ("data set", "images", "read", "share", "drawn", "passes")
"""Titles of the table of the mixture."""


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
    unreadable: int
    """Images that could not be read; a run skips them, unless it is strict."""
    counts: Mapping[Lesson, KeyCount]
    """Labels of these by what a task learns from."""

    @property
    def tried(self) -> int:
        """The number of images that were read or could not be."""
        return self.read + self.unreadable

    @property
    def estimated(self) -> bool:
        """Whether numbers are estimated from a part of the images."""
        return self.tried < self.samples

    def whole(self, count: int | None) -> int | None:
        """Return the number for the whole data set, from that of the images that were read."""
        return count if count is None or not self.read else round(count * self.samples / self.tried)

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
        return [
            name
            for name, keys in self.needed.items()
            if not any(each.counts[name, key].images for each in self.sets for key in keys)
        ]

    @property
    def warnings(self) -> list[str]:
        """A sentence for each task that is not supervised."""
        return [self._warning(name, self.needed[name]) for name in self.unsupervised]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines of the table, without the data sets that lack a key; the task stands in its first line.

        Yields:
            Cells of the `COLUMNS`.
        """
        for task, keys in self.learns_from.items():
            for key in keys:
                title = task if task == key_name(key) else f"{task}: {key_name(key)}"
                found = [each for each in self.sets if each.counts[task, key].images]
                if not found:
                    yield (title, "none", "0", "", "")
                for each in found:
                    count = each.counts[task, key]
                    numbers = (each.count_text(count.images), each.count_text(count.instances))
                    yield (title, each.name, *numbers, str(len(count.classes) or ""))
                    title = ""  # once is enough

    def mixture(self) -> Iterator[tuple[str, ...]]:
        """Yield name, images, images that were read, share, images that the run draws, and how often it passes the set.

        Yields:
            Cells of the `MIXTURE_COLUMNS`, a line per data set.
        """
        for each in self.sets:
            passes = f"{each.drawn / each.samples:.2f}" if each.samples else ""
            read = f"{each.read:,} of {each.tried:,}" if each.unreadable else f"{each.read:,}"
            yield each.name, f"{each.samples:,}", read, f"{each.share:.1%}", f"{each.drawn:,}", passes

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data.

        Returns:
            `data` (the mixture), `tasks` (numbers of whole data sets; `estimated_from` is null where all images were
            read) and `warnings`.
        """
        return {
            "data": [
                {name: getattr(each, name) for name in ("name", "samples", "share", "drawn", "read", "unreadable")}
                for each in self.sets
            ],
            "tasks": {
                task: {key_name(key): {each.name: _plain(each, (task, key)) for each in self.sets} for key in keys}
                for task, keys in self.learns_from.items()
            },
            "warnings": self.warnings,
        }

    def _warning(self, task: str, keys: Sequence[Key[Any, Any]]) -> str:
        names = " or ".join(key_name(key) for key in keys)
        read = sum(each.read for each in self.sets)
        whole = "" if not any(each.estimated for each in self.sets) else " that were read"
        return f"nothing supervises the task {task}: of {read:,} images{whole} none has {names}"


def _plain(coverage: SetCoverage, lesson: Lesson) -> dict[str, Any]:
    count = coverage.counts[lesson]
    return {
        "images": coverage.whole(count.images),
        "instances": coverage.whole(count.instances),
        "classes": sorted(count.classes),
        "estimated_from": coverage.tried if coverage.estimated else None,
    }


def run_coverage(
    specs: Mapping[str, TaskSpec],
    learns_from: Mapping[str, tuple[Key[Any, Any], ...]],
    sources: Sequence[Source],
    vocabulary: Vocabulary,
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
        vocabulary: The vocabulary of the model.
        train: The length of the run.
        limit: Upper limit of the images that are read of each data set, evenly spread; None for all.
        seconds: Upper limit of the processor's time for each data set, from the first images on.

    Returns:
        The counts.
    """
    lessons = {
        (name, key): things_of(specs.get(name), vocabulary) for name, keys in learns_from.items() for key in keys
    }
    total = sum(source.weight for source in sources)
    drawn = train.steps * train.batch_size * train.accumulate * PartialState().num_processes
    sets: list[SetCoverage] = []
    for source in sources:
        share = source.weight / total
        found = counted(source, lessons, limit, seconds)
        sets.append(SetCoverage(source.name, len(source.data), share, round(share * drawn), *found))
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
    vocabulary = vocabulary_of(recipe, sources)
    return run_coverage(specs, learns, sources, vocabulary, recipe.train, limit=limit, seconds=seconds)


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
    reporter.show_table(TITLE, COLUMNS, coverage.rows())
    reporter.show_table(MIXTURE_TITLE, MIXTURE_COLUMNS, coverage.mixture())
    for warning in coverage.warnings:
        _log.warning(warning)


def own_keys(keys: tuple[Key[Any, Any], ...], spec: TaskSpec | None) -> tuple[Key[Any, Any], ...]:
    """Return those of the keys that a task predicts itself; all of them where it predicts none."""
    return tuple(key for key in keys if spec is not None and key in spec.provides) or keys


def things_of(spec: TaskSpec | None, vocabulary: Vocabulary) -> frozenset[str] | None:
    """Return the things that a task applies to; None for all."""
    if spec is None or spec.applies_to is None:
        return None
    return frozenset(vocabulary.things[label] for label in spec.applies_to(vocabulary))


def key_name(key: Key[Any, Any]) -> str:
    """Return the name of a key as people say it."""
    return "boxes" if key == OBJECTS else key.name
