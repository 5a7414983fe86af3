"""Which tasks of a run have labels to learn from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.training.balancing import task_of

_log = logging.getLogger(__name__)


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
