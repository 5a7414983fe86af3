"""SceneModel: the one place where the stages meet.

Letters: B pictures, N rows of a stream in the whole batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from scenekit.data.images import ImageSource, read_image
from scenekit.data.preprocess import make_batch
from scenekit.finishing import Finisher, limited
from scenekit.heads import Core, Head, Provider
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import FEATURES, IMAGES, Key, Stream
from scenekit.plan import Plan, Step
from scenekit.recipe import ModelConfig
from scenekit.structures.board import Board, Pooler
from scenekit.structures.cameras import Camera
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.scene import Scene
from scenekit.structures.targets import Targets
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one pass gives, always the same type: the board, the losses by "task.loss", seconds by step."""

    board: Board
    losses: dict[str, Tensor]
    seconds: dict[str, float] = field(default_factory=dict)


class SceneModel(nn.Module):
    """A shared core (`stages`) and the heads of its tasks (`heads`), run in the order of `plan`."""

    def __init__(
        self,
        config: ModelConfig,
        core: Core,
        stages: Sequence[Provider],
        tasks: Mapping[str, tuple[TaskSpec, Head[Any, Any]]],
        pooler: Pooler,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = core.vocabulary
        self.pooler = pooler
        self.stages = nn.ModuleDict({stage.name: stage for stage in stages})
        self.heads = nn.ModuleDict({name: head for name, (_, head) in tasks.items()})
        self.specs = {name: spec for name, (spec, _) in tasks.items()}
        for name, spec in self.specs.items():
            self.heads[name].provides = spec.provides
        self.plan = Plan(
            [Step(stage.name, stage.requires, stage.provides) for stage in stages]
            + [Step(name, spec.needs, spec.provides, spec.uses) for name, spec in self.specs.items()],
            given=(IMAGES,),
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks on top of the core."""
        return tuple(self.specs)

    @property
    def learns_from(self) -> tuple[Key[Any, Any], ...]:
        """Ground truth that the heads need."""
        return tuple(dict.fromkeys(key for spec in self.specs.values() for key in spec.learns_from))

    @property
    def loss_weights(self) -> dict[str, float]:
        """The tasks' own loss weights by "task.loss"."""
        return {f"{name}.{loss}": w for name, spec in self.specs.items() for loss, w in spec.loss_weights.items()}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def forward(
        self,
        batch: ImageBatch,
        targets: Targets | None = None,
        given: Mapping[Key[Any, Any], Any] | None = None,
        tasks: Collection[str] | None = None,
    ) -> Outputs:
        """One pass. With `targets` the losses are filled; `given` fixes keys from outside (boxes, proposals)."""
        board = Board(batch, self.pooler, given)
        complete = {key for key, value in board.given.items() if not (isinstance(value, Regions) and value.labels is None)}
        for key in complete:
            board.put(key, board.given[key])
        losses: dict[str, Tensor] = {}
        seconds: dict[str, float] = {}
        for name in self.plan.needed(tasks, complete):
            start = time.perf_counter()
            run = self._run_stage if name in self.stages else self._run_head
            losses |= {f"{name}.{loss}": value for loss, value in run(name, board, targets).items()}
            seconds[name] = time.perf_counter() - start
        return Outputs(board, losses, seconds)

    def _run_stage(self, name: str, board: Board, targets: Targets | None) -> dict[str, Tensor]:
        stage = self.stages[name]
        losses: dict[str, Tensor] = stage(board.view(name, (*stage.requires, *stage.provides), {}), targets)
        return losses

    def _run_head(self, name: str, board: Board, targets: Targets | None) -> dict[str, Tensor]:
        spec, head = self.specs[name], self.heads[name]
        rows = {stream: self._rows(spec, stream, board, targets) for stream in _followed(spec)}
        readers = [self.specs[reader] for reader in self.plan.readers(name) if reader in self.specs]
        read_by_others = any(reader.learns_from for reader in readers)
        learns = targets is not None and _can_learn(spec, rows, targets)
        if targets is not None and not learns and not read_by_others:
            return _idle(head)
        view = board.view(name, (IMAGES, FEATURES, *self.plan.reads(name)), rows)
        raw = head(view)
        if targets is None or read_by_others:
            self._put(spec, head.decode(raw, view), board, rows, detached=targets is not None)
        if not learns:
            return {} if targets is None else _idle(head)
        losses: dict[str, Tensor] = head.loss(raw, view, targets.aligned(rows))
        return losses

    def _rows(self, spec: TaskSpec, stream: Stream, board: Board, targets: Targets | None) -> Regions:
        """The rows of a stream that a head gets."""
        regions: Regions = board[stream]
        keep = torch.ones(len(regions), dtype=torch.bool, device=regions.boxes.device)
        if targets is not None and spec.streams.get(stream, Policy.FOREGROUND) is Policy.FOREGROUND:
            keep &= _labelled(spec, stream, regions, targets)
        if spec.applies_to is not None and regions.labels is not None:
            labels = torch.tensor(spec.applies_to(self.vocabulary), dtype=torch.int64, device=keep.device)
            keep &= torch.isin(regions.labels, labels)
        if spec.max_regions is not None:
            keep &= _best(regions, keep, spec.max_regions)
        return regions if bool(keep.all()) else regions.subset(keep)

    def _put(
        self, spec: TaskSpec, decoded: Any, board: Board, rows: Mapping[Stream, Regions], detached: bool
    ) -> None:
        values = decoded if isinstance(decoded, Mapping) else {spec.provides[0]: decoded}
        writer = board.view(spec.name, (*_followed(spec), *spec.provides), rows)
        for key in spec.provides:
            value = values[key]
            if detached and isinstance(value, Tensor):
                value = value.detach()
            writer.put(key, value, None if key.of is None else rows[key.of])

    def preprocess(
        self, images: Sequence[ImageSource], cameras: Sequence[Camera | None] | None = None
    ) -> ImageBatch:
        """Read, resize, normalize and pad pictures into one batch on the model's device."""
        pictures = [read_image(image) for image in images]
        return make_batch(pictures, self.config.input, cameras=cameras).to(self.device)

    def scenes(self, outputs: Outputs, tasks: Collection[str] | None = None, threshold: float = 0.0) -> list[Scene]:
        """The board in original pixels, a Scene per picture; objects that score below `threshold` are left out."""
        finisher = Finisher(self.plan, self.specs, dict(self.heads.items()), self.vocabulary)
        keys = {key for name in (self.tasks if tasks is None else tasks) for key in self.plan.steps[name].provides}
        scenes = (finisher.scene(outputs.board, index, threshold) for index in range(len(outputs.board.images)))
        return [limited(scene, keys) for scene in scenes]

    @overload
    def predict(self, images: ImageSource, tasks: Collection[str] | None = ..., threshold: float = ...) -> Scene: ...
    @overload
    def predict(
        self, images: list[ImageSource], tasks: Collection[str] | None = ..., threshold: float = ...
    ) -> list[Scene]: ...
    @overload
    def predict(
        self, images: Iterator[ImageSource], tasks: Collection[str] | None = ..., threshold: float = ...
    ) -> Iterator[Scene]: ...
    def predict(
        self, images: Any, tasks: Collection[str] | None = None, threshold: float = 0.5
    ) -> Scene | list[Scene] | Iterator[Scene]:
        """Understand one picture, a list of them, or an iterator (then lazily, one after the other).

        A picture is a path, a PIL image, an [H W 3] uint8 array or a [3 H W] float tensor in 0..1. `tasks` limits the
        work (all, if None); objects that score below `threshold` are left out.
        """
        if isinstance(images, list):
            return [self._predict_one(image, tasks, threshold) for image in images]
        if isinstance(images, Iterator):
            return (self._predict_one(image, tasks, threshold) for image in images)
        return self._predict_one(images, tasks, threshold)

    @torch.inference_mode()
    def _predict_one(self, image: ImageSource, tasks: Collection[str] | None, threshold: float) -> Scene:
        training = self.training
        self.eval()
        try:
            outputs = self(self.preprocess([image]), tasks=tasks)
            (scene,) = self.scenes(outputs, tasks, threshold)
            return replace(scene, path=os.fspath(image)) if isinstance(image, str | os.PathLike) else scene
        finally:
            self.train(training)


def _followed(spec: TaskSpec) -> list[Stream]:
    keys = (*spec.needs, *spec.learns_from, *spec.uses)
    streams = (key if isinstance(key, Stream) else key.of for key in keys)
    return list(dict.fromkeys(stream for stream in streams if stream is not None))


def _labelled(spec: TaskSpec, stream: Stream, regions: Regions, targets: Targets) -> Bool[Tensor, " N"]:
    """Rows matched to ground truth that carries everything the task learns from on this stream."""
    assert regions.matched is not None
    keep = regions.matched >= 0
    for key in spec.learns_from:
        if key.of == stream:
            keep = keep & targets.learnable(key, regions)
    return keep


def _best(regions: Regions, candidates: Bool[Tensor, " N"], limit: int) -> Bool[Tensor, " N"]:
    """At most `limit` candidates of each picture: those with the best scores, or the first ones."""
    keep = torch.zeros_like(candidates)
    for index in regions.image_index.unique():
        rows = (candidates & (regions.image_index == index)).nonzero()[:, 0]
        order = rows if regions.scores is None else rows[regions.scores[rows].argsort(descending=True, stable=True)]
        keep[order[:limit]] = True
    return keep


def _can_learn(spec: TaskSpec, rows: Mapping[Stream, Regions], targets: Targets) -> bool:
    return bool(spec.learns_from) and all(
        key in targets if key.of is None else len(rows[key.of]) > 0 for key in spec.learns_from
    )


def _idle(head: nn.Module) -> dict[str, Tensor]:
    """A zero that depends on every parameter: nothing to learn here, but every process has the same graph."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if not parameters:
        return {}
    return {"unlabelled": torch.stack([parameter.sum() for parameter in parameters]).sum() * 0.0}
