"""SceneModel: the one place where the stages meet.

Letters: B images, N rows of a stream in the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from scenekit.errors import BoardError, InputError
from scenekit.hooks import Policy, TaskSpec, naming_plugin
from scenekit.io.images import ImageSource, read_image
from scenekit.keys import FEATURES, IMAGES, OBJECTS, Key, Stream
from scenekit.model.board import Board, Pooler
from scenekit.model.external_regions import Given, as_given, check_kept, given_regions
from scenekit.model.head import Core, Head, Provider
from scenekit.model.plan import Plan, Step
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
    """What one pass gives, always the same type: the board, the losses by "task.loss", and how long each step took."""

    board: Board
    losses: dict[str, Tensor]
    timer: StepTimer

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
    """A shared core (`stages`) and the heads of its tasks (`heads`), run in the order of `plan`."""

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
            + [Step(name, _required(spec), spec.provides, spec.uses) for name, spec in self.specs.items()],
            given=(IMAGES,),
        )
        self._follows = {name: _streams(self.plan.reads(name)) for name in self.specs}
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
        """One pass: without `targets` every task decodes; with them the losses are filled.

        `given` fixes keys from outside: OBJECTS (classified where they have no labels; with targets they need
        `matched`), PROPOSALS or any other key; what only serves to make them does not run. `tasks` limits the work
        (all, if None) and changes nothing about what is asked for. No head works on regions that score below
        `threshold`: to it they are not there.
        """
        board = Board(batch, self.pooler, given)
        complete = _complete(board.given)
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
        """Without targets decode; with them learn, and decode where a task reads it in order to learn itself."""
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
        return losses

    def _learn(self, name: str, selector: RegionSelector, targets: Targets) -> tuple[_Work | None, dict[str, Tensor]]:
        spec, head = self.specs[name], self._head(name)
        own = selector.training_regions(spec, self._follows[name]) if spec.learns_from else {}
        if not selector.can_learn(spec, own):
            return None, _idle(head)
        work = self._work(name, selector.board, own)
        losses = head.loss(work.raw, work.view, targets.aligned(own))
        if not isinstance(losses, Mapping):
            came = type(losses).__name__
            raise BoardError(f"`loss` of task {name!r} must give scalar tensors by name, got a {came}")
        return work, losses

    def _work(self, name: str, board: Board, rows: Rows) -> _Work:
        # All that it declares, so that a head may ask whether this model has what it could use.
        view = board.view(name, (*self.plan.steps[name].requires, *self.specs[name].uses), rows)
        return _Work(name, self._head(name)(view), view, rows)

    def _put(self, work: _Work, board: Board, detached: bool = False) -> None:
        """Decode, and write what comes of it under the keys that the task provides.

        A task that reads a value in order to learn gets it `detached`, so as not to teach the head that gave it.
        """
        provides = self.specs[work.name].provides
        decoded = self._head(work.name).decode(work.raw, work.view)
        values = {provides[0]: decoded} if len(provides) == 1 else decoded
        if not isinstance(values, Mapping) or set(values) != set(provides):
            wanted = ", ".join(key.name for key in provides)
            came = sorted(key.name for key in values) if isinstance(values, Mapping) else type(values).__name__
            raise BoardError(f"`decode` of task {work.name!r} must give a mapping with the keys {wanted}, got {came}")
        writer = board.view(work.name, (*work.rows, *provides), work.rows)
        for key in sorted(provides, key=lambda key: not isinstance(key, Stream)):  # streams, then what follows them
            value = map_tensors(Tensor.detach, values[key]) if detached else values[key]
            writer.put(key, value, None if key.of is None else work.rows.get(key.of))

    def _head(self, name: str) -> Head[Any, Any]:
        return cast("Head[Any, Any]", self.heads[name])

    def _read_while_learning(self, order: Sequence[str]) -> dict[str, dict[Stream, Policy]]:
        """Tasks that others read in order to learn, directly or through one in between, and the policies of those."""
        found: dict[str, dict[Stream, Policy]] = {}
        for name in reversed(order):
            for reader in (self.specs[other] for other in self.plan.readers(name) if other in self.specs):
                if reader.name in order and (reader.learns_from or reader.name in found):
                    found.setdefault(name, {}).update({**found.get(reader.name, {}), **reader.streams})
        return found

    def preprocess(self, images: Sequence[ImageSource], cameras: Sequence[Camera | None] | None = None) -> ImageBatch:
        """Read, resize, normalize and pad images into one batch on the model's device."""
        pictures = [read_image(image) for image in images]
        return make_batch(pictures, self.config.input, cameras=cameras).to(self.device)

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
        """Understand one image, a list of them, or an iterator (then lazily, one after the other).

        An image is a path, a PIL image, an [H W 3] uint8 array or a [3 H W] tensor: uint8, or float in 0..1. `tasks`
        limits the work (all, if None); objects that score below `threshold` are left out.

        `given` fixes regions from outside, in the image's pixels (one for each image, where there are several):
        `{OBJECTS: Objects(boxes, labels)}`, `{OBJECTS: boxes}` to have them classified where they are, or a Scene,
        whose objects they then are. The result has the same rows in the same order, whatever they score. Raises
        InputError for what cannot be of the image.

        `camera` is what took the image: a Camera or its matrix K [3 3], in the image's pixels; of several images
        one for all, or one each. Where there is none, that of a given Scene serves, and else the one that
        `Camera.default` assumes; the result's `camera` then says `assumed`.
        """
        if isinstance(images, list | Iterator):
            parts = _with_cameras(_with_given(images, given), camera)
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


def _with_given(images: Iterable[ImageSource], given: Any) -> Iterator[tuple[Any, Any]]:
    """Each image with what is given for it; InputError where the one ends before the other."""
    if given is None:
        yield from ((image, None) for image in images)
        return
    if isinstance(given, Scene | Mapping):
        raise InputError("given: one entry an image is expected for several images, got a single one")
    missing = object()
    for image, one in zip_longest(images, given, fillvalue=missing):
        if image is missing or one is missing:
            fewer, more = ("images", "entries") if image is missing else ("entries", "images")
            raise InputError(f"given: one entry an image is expected, but there are fewer {fewer} than {more}")
        yield image, one


def _with_cameras(pairs: Iterable[tuple[Any, Any]], cameras: Any) -> Iterator[tuple[Any, Any, Any]]:
    """The same with the camera of each image; InputError where there are more or fewer cameras than images."""
    if _is_one_camera(cameras):
        yield from ((*pair, cameras) for pair in pairs)
        return
    missing = object()
    for pair, camera in zip_longest(pairs, cameras, fillvalue=missing):
        if not isinstance(pair, tuple) or camera is missing:
            fewer, more = ("cameras", "images") if camera is missing else ("images", "cameras")
            raise InputError(
                f"camera: one for all or one an image is expected, but there are fewer {fewer} than {more}"
            )
        yield *pair, camera


def _is_one_camera(cameras: Any) -> bool:
    """Whether this is one camera for all images, or none; whatever is no row of cameras is taken for one."""
    if isinstance(cameras, list | tuple):
        return len(cameras) > 0 and np.ndim(cameras[0]) == 1  # the first row of a matrix
    return getattr(cameras, "ndim", None) == 2 or not isinstance(cameras, Iterable)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, then every module in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _required(spec: TaskSpec) -> tuple[Key[Any, Any], ...]:
    """What must be there for a task: what every head may read, what it says, and the streams of its ground truth."""
    learned = (stream for stream in _streams(spec.learns_from) if stream not in spec.provides)
    return tuple(dict.fromkeys((IMAGES, FEATURES, *spec.needs, *learned)))


def _streams(keys: Iterable[Key[Any, Any]]) -> tuple[Stream, ...]:
    """Streams among the keys, and those that the others follow."""
    streams = (key if isinstance(key, Stream) else key.of for key in keys)
    return tuple(dict.fromkeys(stream for stream in streams if stream is not None))


def _complete(given: Mapping[Key[Any, Any], Any]) -> list[Key[Any, Any]]:
    """Keys that need no provider any more, streams first; objects without labels are still to be classified."""
    known = [key for key, value in given.items() if not (key == OBJECTS and value.labels is None)]
    return sorted(known, key=lambda key: not isinstance(key, Stream))


def _idle(head: nn.Module) -> dict[str, Tensor]:
    """A zero that depends on every parameter: nothing to learn here, but every process has the same graph."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if not parameters:
        return {}
    return {"unlabelled": torch.stack([parameter.sum() for parameter in parameters]).sum() * 0.0}
