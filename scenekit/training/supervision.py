"""Which tasks of a run have labels to learn from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from scenekit.data.loader import Source
from scenekit.data.scenes import spread_scenes
from scenekit.errors import InputError
from scenekit.evaluation.loop import DETECTION
from scenekit.hooks import registry
from scenekit.keys import OBJECTS, Key
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.training.balancing import task_of
from scenekit.training.preparation import SCENES, Track

_log = logging.getLogger(__name__)


def check_labels(model: SceneModel, only: Iterable[str] | None, sources: Sequence[Source], track: Track) -> None:
    """Check that a model has labels to learn from, before the first step.

    Annotations are read until an image has a label of one of the tasks, or an object for the detector, of each data set
    at most `SCENES` images, spread evenly; where that is not all of them, nothing is refused. A task that alone has no
    labels is named by a warning during the run.

    Args:
        model: The model that is trained.
        only: Tasks (or stages) that are trained; None for all.
        sources: Data sets of the run.
        track: Shows the progress of reading the scenes.

    Raises:
        InputError: If no image has a label of any task; the message says which tasks and data sets would do.
    """
    learns = learned_keys(model, only)
    wanted = dict.fromkeys(key for keys in learns.values() for key in keys)
    if not wanted:
        return
    found: set[Key[Any, Any]] = set()
    scenes = (scene for source in sources for scene in spread_scenes(source.data, SCENES))
    for scene in track(scenes, sum(min(SCENES, len(source.data)) for source in sources)):
        found.update(scene.values, (stream for stream, regions in scene.streams.items() if len(regions)))
        if not found.isdisjoint(wanted):
            return
    if any(len(source.data) > SCENES for source in sources):
        return
    each = "; ".join(f"{name} learns from {' and '.join(key.name for key in keys)}" for name, keys in learns.items())
    raise InputError(
        f"nothing to learn from: {each}; no image of {' and '.join(source.name for source in sources)} has any of it. "
        f"Name {_remedy(wanted, found)}"
    )


def learned_keys(model: SceneModel, only: Iterable[str] | None) -> dict[str, tuple[Key[Any, Any], ...]]:
    """Return what each task that is trained learns from.

    Args:
        model: The model that is trained.
        only: Tasks (or stages) that are trained; None for all.

    Returns:
        Keys by task; those of the detector, if it is trained, under its own name.
    """
    learns = {name: spec.learns_from for name, spec in model.specs.items() if only is None or name in only}
    detects = model.config.detector is not None and (only is None or not model.stages.keys().isdisjoint(only))
    return {DETECTION: (OBJECTS,), **learns} if detects else learns


def _remedy(wanted: Collection[Key[Any, Any]], found: Collection[Key[Any, Any]]) -> str:
    """Return what to do: another data set, one that a labeler derives the labels from, or another task."""
    ways = [f"a data set with {' or '.join(key.name for key in wanted)}"]
    for name in registry().names("labeler"):
        spec = registry().get("labeler", name)
        if not set(spec.provides).isdisjoint(wanted):
            ways.append(f"one with {' and '.join(key.name for key in spec.needs)} and data.labelers: [{name}]")
    tasks = (name for name in registry().names("task") if set(registry().get("task", name).learns_from) & set(found))
    ways += [f"the task {name}, which learns from what there is" for name in tasks]
    return ", or ".join(ways)


class Supervision:
    """Counts the labelled images of each task, and warns of tasks that have nothing to learn from.

    Args:
        model: The model that is trained.
        only: Tasks (or stages) that are trained; None for all.
    """

    def __init__(self, model: SceneModel, only: Iterable[str] | None) -> None:
        self.learns_from = {name: spec.learns_from for name, spec in model.specs.items()}
        self.trained = tuple(model.tasks if only is None else only)
        self.labelled: Counter[str] = Counter()
        self.warned: set[str] = set()

    def count(self, targets: Targets) -> None:
        """Count the labelled images of a batch.

        Args:
            targets: Targets of the batch.
        """
        for name, keys in self.learns_from.items():
            self.labelled[name] += len(targets.labelled_images(keys))

    def restart(self) -> Counter[str]:
        """Start to count anew.

        Returns:
            The labelled images of each task until now.
        """
        labelled, self.labelled = self.labelled, Counter()
        return labelled

    def warn(self, losses: Iterable[str], labelled: Mapping[str, int], step: int) -> None:
        """Warn, once each and with the reason, of tasks that had no loss since the previous line of the log.

        Args:
            losses: Names of the losses since then.
            labelled: Labelled images of each task since then, in all processes.
            step: Number of finished steps.
        """
        supervised = {task_of(name) for name in losses}
        for name in self.trained:
            keys = self.learns_from.get(name, ())
            if not keys or name in supervised | self.warned:
                continue
            self.warned.add(name)
            if labelled.get(name):
                reason = f"{labelled[name]} had labels, but no region of the network matched a labelled object"
            else:
                reason = "none had labels; do the data sets carry them?"
            _log.warning(
                "task %s, which learns from %s, had nothing to learn from: of the images between the last line of"
                " the log and step %d %s",
                name,
                ", ".join(key.name for key in keys),
                step,
                reason,
            )
