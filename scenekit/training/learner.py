"""The part of a run that several processes share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.structures.images import ImageBatch
from scenekit.training.balancing import task_of


class Learner(nn.Module):
    """The model as a function from a batch to its raw losses.

    With `only`, the losses are those of these tasks and stages.
    """

    def __init__(self, model: SceneModel, only: Sequence[str] | None = None) -> None:
        super().__init__()
        self.model, self.only = model, only

    def forward(self, batch: ImageBatch, targets: Targets) -> dict[str, Tensor]:
        """Compute losses by "task.loss"."""
        losses: dict[str, Tensor] = self.model(batch, targets, tasks=self.only).losses
        return {name: loss for name, loss in losses.items() if self.only is None or task_of(name) in self.only}
