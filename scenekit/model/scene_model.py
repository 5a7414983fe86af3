"""SceneModel: the one place where the stages meet.

Letters: B images, N rows of a stream in the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast, overload

import torch
from torch import Tensor, nn

from scenekit.errors import BoardError
from scenekit.hooks import Policy, TaskSpec, naming_plugin
from scenekit.io.images import ImageSource, read_image
from scenekit.keys import IMAGES, OBJECTS, Key, Stream
from scenekit.model.board import Board, Pooler
from scenekit.model.external_regions import Given, as_given, check_kept, complete_keys, given_regions
from scenekit.model.head import Core, Head, Provider, unlabelled_loss
from scenekit.model.image_inputs import with_cameras, with_regions
from scenekit.model.plan import Plan, Step, required_keys, streams_of
from scenekit.model.postprocess import Finisher
from scenekit.model.preprocess import make_batch
from scenekit.model.region_selection import RegionSelector, Rows, same_rows
from scenekit.model.targets import Targets
from scenekit.model.timing import StepTimer
from scenekit.recipe import ModelConfig
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera, CameraLike
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import map_tensors


@dataclass(frozen=True, eq=False)
class Outputs:
    """The result of one pass, always of the same type."""

    board: Board
    """The values of the pass."""
    losses: dict[str, Tensor]
    """Losses by "task.loss"; empty without targets."""
    timer: StepTimer
    """The duration of each step."""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by step, those of the device that ran it."""
        return self.timer.seconds


@dataclass(frozen=True, eq=False)
class _Work:
    """What a head's network gave for some rows, and the view of the board that it saw."""

    name: str
    raw: Any
    view: Board
    rows: Rows


class SceneModel(nn.Module):
    """A shared core (`stages`) and the heads of its tasks (`heads`), run in the order of `plan`.

    Args:
        config: The configuration that the model was built from.
        core: Channels, strides and vocabulary.
        stages: The stages of the core and those that tasks bring.
        tasks: The record and the head of each task, by name.
        pooler: Pools RoI features.
        owners: The record that each stage is from, by name of the stage.
    """

    def __init__(
        self,
        config: ModelConfig,
        core: Core,
        stages: Sequence[Provider],
        tasks: Mapping[str, tuple[TaskSpec, Head[Any, Any]]],
        pooler: Pooler,
        owners: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = core.vocabulary
        self.pooler = pooler
        self._owners = dict(owners or {})
        self.stages = nn.ModuleDict({stage.name: stage for stage in stages})
        self.heads = nn.ModuleDict({name: head for name, (_, head) in tasks.items()})
        self.specs = {name: spec for name, (spec, _) in tasks.items()}
        for name, spec in self.specs.items():
            self._head(name).provides = spec.provides
        self.plan = Plan(
            [Step(stage.name, stage.requires, stage.provides) for stage in stages]
            + [Step(name, required_keys(spec), spec.provides, spec.uses) for name, spec in self.specs.items()],
            given=(IMAGES,),
        )
        self._follows = {name: streams_of(self.plan.reads(name)) for name in self.specs}
        self._providers = {key: stage for stage in stages for key in stage.provides if isinstance(key, Stream)}
        self._ends = [name for name in self.plan.steps if name in self.specs or not self.plan.readers(name)]

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
        threshold: float = 0.0,
    ) -> Outputs:
        """Run one pass: without targets every task decodes, with them the losses are computed.

        Args:
            batch: Images.
            targets: Their ground truth.
            given: External values by key, in network pixels: OBJECTS (classified where they have no labels; with
                targets they need `matched`), PROPOSALS or any other key. Steps that only serve to compute them do not
                run.
            tasks: Tasks to run, with what they require; all, if None. The outputs of a task do not depend on it.
            threshold: No head gets regions that score less.

        Returns:
            The board, the losses, and the seconds of each step.

        Raises:
            InputError: The model has no such task, or external regions lack what is needed.
            BoardError: A task reads or writes what it does not declare.
            PluginError: A detector does not keep external regions.
        """
        board = Board(batch, self.pooler, given)
        complete = complete_keys(board.given)
        for key in complete:
            board.put(key, board.given[key])
        order = self.plan.needed(self._ends if tasks is None else tasks, complete)
        selector = RegionSelector(board, targets, self.vocabulary, self._providers, threshold)
        read_by = {} if targets is None else self._read_while_learning(order)
        losses: dict[str, Tensor] = {}
        timer = StepTimer(batch.pixels.device)
        for name in order:
            with timer.step(name):
                if name in self.stages:
                    own = self._run_stage(name, board, targets)
                else:
                    with naming_plugin(self.specs[name]):
                        own = self._run_head(name, selector, read_by)
            losses |= {f"{name}.{loss}": value for loss, value in own.items()}
        return Outputs(board, losses, timer)

    def _run_stage(self, name: str, board: Board, targets: Targets | None) -> dict[str, Tensor]:
        stage = cast(Provider, self.stages[name])
        with naming_plugin(self._owners.get(name)):
            losses: dict[str, Tensor] = stage(board.view(name, (*stage.requires, *stage.provides), {}), targets)
            for key in stage.provides:
                if isinstance(given := board.given.get(key), Regions):
                    check_kept(name, key, given, board[key])
        return losses

    def _run_head(
        self, name: str, selector: RegionSelector, read_by: Mapping[str, Mapping[Stream, Policy]]
    ) -> dict[str, Tensor]:
        """Decode without targets; with them compute losses, and decode where another task learns from the values."""
        spec, streams = self.specs[name], self._follows[name]
        if selector.targets is None:
            self._put(self._work(name, selector.board, selector.inference_regions(spec, streams)), selector.board)
            return {}
        work, losses = self._learn(name, selector, selector.targets)
        if name in read_by:
            shown = selector.decoding_regions(spec, streams, read_by[name])
            if work is None or not same_rows(work.rows, shown):
                work = self._work(name, selector.board, shown)
            self._put(work, selector.board, detached=True)
            selector.board.compute_for_others(spec.provides, partial(self._for_other_rows, name, selector))
        return losses

    def _for_other_rows(
        self, name: str, selector: RegionSelector, key: Key[Any, Any], root: Regions
    ) -> dict[Key[Any, Any], tuple[Any, Regions]]:
        """Decode a head during training for a task that reads it under another policy."""
        spec, stream = self.specs[name], key.of
        assert stream is not None
        for policy in Policy:
            rows = selector.decoding_regions(spec, self._follows[name], {stream: policy})
            if rows[stream].root is root:
                with naming_plugin(spec), torch.no_grad():
                    values = self._decoded(self._work(name, selector.board, rows))
                followed = {key: rows[key.of] for key in values if key.of is not None and key.of in rows}
                return {key: (values[key], own) for key, own in followed.items()}
        return {}

    def _learn(self, name: str, selector: RegionSelector, targets: Targets) -> tuple[_Work | None, dict[str, Tensor]]:
        spec, head = self.specs[name], self._head(name)
        own = selector.training_regions(spec, self._follows[name]) if spec.learns_from else {}
        if not selector.can_learn(spec, own):
            return None, unlabelled_loss(head)
        work = self._work(name, selector.board, own)
        losses = head.loss(work.raw, work.view, targets.aligned(own))
        if not isinstance(losses, Mapping):
            returned = type(losses).__name__
            raise BoardError(f"`loss` of task {name!r} must return scalar tensors by name, got a {returned}")
        return work, losses

    def _work(self, name: str, board: Board, rows: Rows) -> _Work:
        # All that it declares, so that a head may ask whether this model has what it could use.
        view = board.view(name, (*self.plan.steps[name].requires, *self.specs[name].uses), rows)
        return _Work(name, self._head(name)(view), view, rows)

    def _put(self, work: _Work, board: Board, detached: bool = False) -> None:
        """Decode, and write the values under the keys that the task provides.

        A task that reads a value in order to learn gets it `detached`, so that no gradient reaches the head that
        produced it.
        """
        values, provides = self._decoded(work), self.specs[work.name].provides
        writer = board.view(work.name, (*work.rows, *provides), work.rows)
        for key in sorted(provides, key=lambda key: not isinstance(key, Stream)):  # streams, then what follows them
            value = map_tensors(Tensor.detach, values[key]) if detached else values[key]
            writer.put(key, value, None if key.of is None else work.rows.get(key.of))

    def _decoded(self, work: _Work) -> Mapping[Key[Any, Any], Any]:
        provides = self.specs[work.name].provides
        decoded = self._head(work.name).decode(work.raw, work.view)
        values = {provides[0]: decoded} if len(provides) == 1 else decoded
        if not isinstance(values, Mapping) or set(values) != set(provides):
            wanted = ", ".join(key.name for key in provides)
            returned = sorted(key.name for key in values) if isinstance(values, Mapping) else type(values).__name__
            raise BoardError(
                f"`decode` of task {work.name!r} must return a mapping with the keys {wanted}, got {returned}"
            )
        return cast("Mapping[Key[Any, Any], Any]", values)

    def _head(self, name: str) -> Head[Any, Any]:
        return cast("Head[Any, Any]", self.heads[name])

    def _read_while_learning(self, order: Sequence[str]) -> dict[str, dict[Stream, Policy]]:
        """Return the tasks that learning tasks read, directly or through one in between, and the policies of those."""
        readers: dict[str, dict[Stream, Policy]] = {}
        for name in reversed(order):
            for reader in (self.specs[other] for other in self.plan.readers(name) if other in self.specs):
                if reader.name in order and (reader.learns_from or reader.name in readers):
                    readers.setdefault(name, {}).update({**readers.get(reader.name, {}), **reader.streams})
        return readers

    def preprocess(self, images: Sequence[ImageSource], cameras: Sequence[Camera | None] | None = None) -> ImageBatch:
        """Read, resize, normalize and pad images into one batch on the model's device.

        Args:
            images: Paths, PIL images, [H W 3] uint8 arrays or [3 H W] tensors.
            cameras: Their cameras in original pixels, where they are known.

        Returns:
            The batch.
        """
        pixels = [read_image(image) for image in images]
        return make_batch(pixels, self.config.input, cameras=cameras).to(self.device)

    def scenes(
        self,
        outputs: Outputs,
        tasks: Collection[str] | None = None,
        threshold: float = 0.0,
        cameras: Sequence[Camera | None] | None = None,
        paths: Sequence[str | None] | None = None,
    ) -> list[Scene]:
        """Postprocess the outputs of a pass without targets into a Scene for each image, in original pixels.

        Args:
            outputs: What the model returned.
            tasks: Tasks whose values are returned; all, if None.
            threshold: Objects that score less are left out.
            cameras: Those of the original images, where they are known; by default those of the batch.
            paths: Where the images are from.

        Returns:
            One scene for each image of the batch.
        """
        finisher = Finisher(self.plan, self.specs, dict(self.heads.items()), self.vocabulary)
        keys = {key for name in (self.tasks if tasks is None else tasks) for key in self.plan.steps[name].provides}
        unknown = [None] * len(outputs.board.images)
        with torch.autocast(self.device.type, enabled=False):  # the pixels of a photograph are not for half precision
            return [
                finisher.scene(outputs.board, index, threshold, keys, camera, path)
                for index, (camera, path) in enumerate(zip(cameras or unknown, paths or unknown, strict=True))
            ]

    @overload
    def predict(
        self,
        images: ImageSource,
        tasks: Collection[str] | None = ...,
        threshold: float = ...,
        given: Given | None = ...,
        camera: CameraLike | None = ...,
    ) -> Scene: ...
    @overload
    def predict(
        self,
        images: list[ImageSource],
        tasks: Collection[str] | None = ...,
        threshold: float = ...,
        given: Sequence[Given | None] | None = ...,
        camera: CameraLike | Sequence[CameraLike | None] | None = ...,
    ) -> list[Scene]: ...
    @overload
    def predict(
        self,
        images: Iterator[ImageSource],
        tasks: Collection[str] | None = ...,
        threshold: float = ...,
        given: Iterable[Given | None] | None = ...,
        camera: CameraLike | Iterable[CameraLike | None] | None = ...,
    ) -> Iterator[Scene]: ...
    def predict(
        self,
        images: Any,
        tasks: Collection[str] | None = None,
        threshold: float = 0.5,
        given: Any = None,
        camera: Any = None,
    ) -> Scene | list[Scene] | Iterator[Scene]:
        """Predict the Scene of one image, of a list of images, or of an iterator (lazily, one after the other).

        Args:
            images: Each a path, a PIL image, an [H W 3] uint8 array or a [3 H W] tensor: uint8, or float in 0..1.
            tasks: Tasks to run; all, if None.
            threshold: Objects that score less are left out.
            given: External regions in original pixels, one entry for each image where there are several: a Scene,
                whose objects are taken, or by key `{OBJECTS: Objects(boxes, labels)}`, `{OBJECTS: scene}`, or
                `{OBJECTS: boxes}` to have them classified where they are. The result has the same rows in the same
                order, whatever they score.
            camera: The camera of the image, or its matrix K [3 3], in original pixels; of several images one for all,
                or one each. By default that of a given Scene, and else the one that `Camera.default` assumes; the
                result's `camera` then has `assumed`.

        Returns:
            A scene for each image, in original pixels.

        Raises:
            InputError: An image cannot be read, the model has no such task, or external regions cannot be of the image.
        """
        if isinstance(images, list | Iterator):
            parts = with_cameras(with_regions(images, given), camera)
            scenes = (self._predict_one(image, tasks, threshold, one, its_camera) for image, one, its_camera in parts)
            return list(scenes) if isinstance(images, list) else scenes
        return self._predict_one(images, tasks, threshold, given, camera)

    @torch.no_grad()
    def _predict_one(
        self, image: ImageSource, tasks: Collection[str] | None, threshold: float, given: Any, camera: Any
    ) -> Scene:
        scene = given.get(OBJECTS) if isinstance(given, Mapping) else given
        if camera is None and isinstance(scene, Scene):
            camera = scene.camera
        known = None if camera is None else Camera.of(camera)
        with evaluating(self):
            batch = self.preprocess([image], [known])
            regions = None if given is None else given_regions(as_given(given), batch, self.vocabulary)
            outputs = self(batch, given=regions, tasks=tasks, threshold=threshold)
            # The camera as it is known, not as it results from resizing twice.
            path = os.fspath(image) if isinstance(image, str | os.PathLike) else None
            (scene,) = self.scenes(outputs, tasks, threshold, [known], [path])
        return scene


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode; afterwards every module returns to its own mode."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
