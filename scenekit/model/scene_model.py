"""SceneModel: the one place where the stages meet.

Letters: B images, N rows of a stream in the whole batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.hooks import TaskSpec
from scenekit.io.images import ImageSource, read_image
from scenekit.keys import BACKBONE_FEATURES, FEATURES, IMAGES, Key, Stream
from scenekit.model.board import Board, Pooler
from scenekit.model.budget import Budget
from scenekit.model.external_regions import Given, complete_keys
from scenekit.model.head import Core, Head, Provider
from scenekit.model.ledger import Ledger
from scenekit.model.modalities import InputValues, Maps
from scenekit.model.one_pass import OnePass
from scenekit.model.parts import Part, given_for, merged
from scenekit.model.plan import Plan, Step, step_of
from scenekit.model.postprocess import Finisher, clip_scene
from scenekit.model.prediction import Predictor, Request, several
from scenekit.model.preprocess import make_batch
from scenekit.model.region_selection import RegionSelector
from scenekit.model.targets import Targets
from scenekit.model.timing import StepTimer
from scenekit.model.tracing import eagerly, untraced_itself
from scenekit.recipe import ModelConfig
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera, CameraLike
from scenekit.structures.images import ImageBatch


@dataclass(frozen=True, eq=False)
class Outputs:
    """The result of one pass, always of the same type."""

    images: ImageBatch
    """The batch."""
    parts: tuple[Part, ...]
    """What is computed together: images whose padded sizes are equal; with targets the whole batch."""
    given: Mapping[Key[Any, Any], Any]
    """External values by key."""
    losses: dict[str, Tensor]
    """Losses by "task.loss"; empty without targets."""
    timer: StepTimer
    """The duration of each step."""

    @cached_property
    def board(self) -> Board:
        """The values of the batch; those of several parts are merged, with maps padded by zeros."""
        return self.parts[0].board if len(self.parts) == 1 else merged(self.parts, self.images, self.given)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by step, those of the device that ran it."""
        return self.timer.seconds


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
        self.core = core
        self.vocabulary = core.vocabulary
        self.pooler = pooler
        self.owners = dict(owners or {})
        self.stages = nn.ModuleDict({stage.name: stage for stage in stages})
        self.heads = nn.ModuleDict({name: head for name, (_, head) in tasks.items()})
        self.specs = {name: spec for name, (spec, _) in tasks.items()}
        for name, spec in self.specs.items():
            tasks[name][1].provides = spec.provides
        self.plan = Plan(
            [Step(stage.name, stage.requires, stage.provides) for stage in stages]
            + [step_of(spec) for spec in self.specs.values()],
            given=(IMAGES,),
        )
        self._providers = {key: stage for stage in stages for key in stage.provides if isinstance(key, Stream)}
        self._ends = [*self.specs, *(stage.name for stage in stages if self._is_end(stage))]

    def _is_end(self, stage: Provider) -> bool:
        """Return whether a stage always runs: no step reads it, and it does more than to compute features."""
        return not self.plan.readers(stage.name) and not set(stage.provides) <= {FEATURES, BACKBONE_FEATURES}

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Stages and heads by name; all weights are theirs."""
        return {**dict(self.stages.items()), **dict(self.heads.items())}

    @property
    def core_stages(self) -> tuple[str, ...]:
        """Names of the stages that no task brings: the backbone, and those of the detector."""
        return tuple(name for name in self.stages if not isinstance(self.owners.get(name), TaskSpec))

    @property
    def task_stages(self) -> dict[str, str]:
        """The task that brings a stage, by name of the stage; those of the core are left out."""
        owned = {name: self.owners.get(name) for name in self.stages}
        return {name: owner.name for name, owner in owned.items() if isinstance(owner, TaskSpec)}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks of images on top of the core."""
        return tuple(name for name, spec in self.specs.items() if not spec.of_clips)

    @property
    def clip_tasks(self) -> tuple[str, ...]:
        """Names of the tasks of clips, which run after those of images where the images are frames of clips."""
        return tuple(name for name, spec in self.specs.items() if spec.of_clips)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Modalities that tasks read where images come with them, by their names in `ImageBatch.inputs`."""
        return tuple(dict.fromkeys(name for spec in self.specs.values() for name in spec.inputs))

    @property
    def learns_from(self) -> tuple[Key[Any, Any], ...]:
        """Ground truth that the heads need."""
        return tuple(dict.fromkeys(key for spec in self.specs.values() for key in (*spec.learns_from, *spec.reads)))

    @property
    def loss_weights(self) -> dict[str, float]:
        """The tasks' own loss weights by "task.loss"."""
        return {f"{name}.{loss}": w for name, spec in self.specs.items() for loss, w in spec.loss_weights.items()}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters, which the pixels of images are converted to."""
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)

    @untraced_itself
    def forward(
        self,
        batch: ImageBatch,
        targets: Targets | None = None,
        given: Mapping[Key[Any, Any], Any] | None = None,
        tasks: Collection[str] | None = None,
        threshold: float = 0.0,
        timer: StepTimer | None = None,
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
            timer: Measures the steps; a new one by default.

        Returns:
            The board, the losses, and the seconds of each step.

        Raises:
            InputError: The model has no such task, or external regions lack what is needed.
            BoardError: A task reads or writes what it does not declare.
            PluginError: A detector does not keep external regions.
        """
        given = given or {}
        has_clips = batch.clips is not None or targets is not None
        if tasks is None:
            tasks = [name for name in self._ends if has_clips or name not in self.clip_tasks]
        order = self.plan.needed(tasks, complete_keys(given), batch.inputs)
        clip_order = [name for name in order if name in self.clip_tasks]
        if clip_order and not has_clips:
            raise InputError(
                f"task {clip_order[0]!r} is one of clips; run it on frames by `sk.predict_clip`, or on a "
                "video file by `scenekit predict`"
            )
        timer = timer or StepTimer(batch.pixels.device)
        losses: dict[str, Tensor] = {}
        parts = eagerly(self._parts, batch.to(batch.pixels.device, self.dtype), given, targets is None)
        outputs = Outputs(batch, parts, given, losses, timer)
        frame_order = [name for name in order if name not in clip_order]
        for part in parts:
            losses |= self.run_steps(part.board, frame_order, targets, threshold, timer, later=clip_order)
        if clip_order:
            losses |= self.run_steps(outputs.board, clip_order, targets, threshold, timer)
        return outputs

    def run_steps(
        self,
        board: Board,
        order: Sequence[str],
        targets: Targets | None = None,
        threshold: float = 0.0,
        timer: StepTimer | None = None,
        later: Sequence[str] = (),
    ) -> dict[str, Tensor]:
        """Run steps on a board that holds what they read.

        Args:
            board: The board, which gets what they provide.
            order: Their names, in the order of the plan.
            targets: As in `forward`.
            threshold: As in `forward`.
            timer: As in `forward`.
            later: Steps of clips that run after them.

        Returns:
            The losses by "task.loss".
        """
        selector = RegionSelector(board, targets, self.vocabulary, self._providers, threshold)
        timer = timer or StepTimer(board.images.pixels.device)
        return OnePass(self.plan, self.stages, self.owners, self.specs, self.heads, selector, timer).run(order, later)

    def _parts(self, batch: ImageBatch, given: Mapping[Key[Any, Any], Any], by_size: bool) -> tuple[Part, ...]:
        """Return boards with the external values of the images of each padded size, or of all images together."""
        groups = {batch.padded_size: tuple(range(len(batch)))}
        if by_size and len(batch):
            groups = batch.groups
        parts = []
        for size, images in groups.items():
            own = given_for(given, images, size, batch)
            board = Board(batch.part(images, size), self.pooler, own)
            for key in complete_keys(own):
                board.put(key, own[key])
            parts.append(Part(images, board))
        return tuple(parts)

    def clip_scenes(self, outputs: Outputs) -> list[Scene]:
        """Return what the tasks of clips gave for each clip of a batch.

        Args:
            outputs: What the model returned without targets for a batch of clips.

        Returns:
            Of each clip a Scene in the size of its first frame, which holds the values of the clip.
        """
        keys = {key for name in self.clip_tasks for key in self.plan.steps[name].provides}
        clips = range(len(outputs.images.clips or ()))
        return [clip_scene(outputs.board, number, keys, self.vocabulary) for number in clips]

    def _check_weights(self) -> None:
        if self.device.type == "meta":
            raise InputError("the model is on the meta device, without weights; load it on a device, such as 'cpu'")

    def preprocess(
        self,
        images: Sequence[ImageSource],
        cameras: Sequence[Camera | None] | None = None,
        inputs: Sequence[Maps] | None = None,
    ) -> ImageBatch:
        """Read, resize, normalize and pad images into one batch of the model's device and type.

        Args:
            images: Images in any form that `predict` accepts.
            cameras: Their cameras in original pixels, where they are known.
            inputs: Maps by modality in original pixels, such as `Sample.inputs`; only what a task reads is kept.

        Returns:
            The batch.

        Raises:
            InputError: An image cannot be read, or the model has no weights yet.
        """
        self._check_weights()
        pixels = [read_image(image) for image in images]
        read = [{name: value for name, value in maps.items() if name in self.inputs} for maps in inputs or ()]
        batch = make_batch(pixels, self.config.input, cameras=cameras, inputs=read or None)
        return batch.to(self.device, self.dtype)

    def scenes(
        self,
        outputs: Outputs,
        tasks: Collection[str] | None = None,
        threshold: float = 0.0,
        cameras: Sequence[Camera | None] | None = None,
        paths: Sequence[str | None] | None = None,
        timer: StepTimer | None = None,
        images: Collection[int] | None = None,
    ) -> list[Scene]:
        """Postprocess the outputs of a pass without targets into a Scene for each image, in original pixels.

        Args:
            outputs: What the model returned.
            tasks: Tasks whose values are returned; all, if None.
            threshold: Objects that score less are left out.
            cameras: Those of the original images, where they are known; by default those of the batch.
            paths: Where the images are from.
            timer: Measures how long each task takes here; a new one by default.
            images: Places of the images in the batch; all, if None.

        Returns:
            One scene for each image, in the order of the batch.
        """
        timer = timer or StepTimer(self.device)
        finisher = Finisher(self.plan, self.specs, dict(self.heads.items()), self.vocabulary, timer)
        keys = {key for name in (self.tasks if tasks is None else tasks) for key in self.plan.steps[name].provides}
        unknown = [None] * len(outputs.images)
        cameras, paths = cameras or unknown, paths or unknown
        scenes: dict[int, Scene] = {}
        with torch.autocast(self.device.type, enabled=False):  # the pixels of a photograph are not for half precision
            for part in outputs.parts:
                for index, image in enumerate(part.images):
                    if images is not None and image not in images:
                        continue
                    found = finisher.scene(part.board, index, threshold, keys, cameras[image], paths[image])
                    scenes[image] = found
        return [scenes[image] for image in sorted(scenes)]

    @overload
    def predict(
        self,
        images: ImageSource,
        tasks: str | Collection[str] | None = ...,
        threshold: float = ...,
        given: Given | None = ...,
        camera: CameraLike | None = ...,
        *,
        budget: float | str | None = ...,
        ledger: Ledger | None = ...,
        **inputs: Any,
    ) -> Scene: ...
    @overload
    def predict(
        self,
        images: list[ImageSource] | tuple[ImageSource, ...],
        tasks: str | Collection[str] | None = ...,
        threshold: float = ...,
        given: Sequence[Given | None] | None = ...,
        camera: CameraLike | Sequence[CameraLike | None] | None = ...,
        *,
        batch_size: int = ...,
        on_error: Literal["raise"] | None = ...,
        budget: float | str | None = ...,
        ledger: Ledger | None = ...,
        **inputs: Any,
    ) -> list[Scene]: ...
    @overload
    def predict(
        self,
        images: list[ImageSource] | tuple[ImageSource, ...],
        tasks: str | Collection[str] | None = ...,
        threshold: float = ...,
        given: Sequence[Given | None] | None = ...,
        camera: CameraLike | Sequence[CameraLike | None] | None = ...,
        *,
        batch_size: int = ...,
        on_error: Literal["return"],
        budget: float | str | None = ...,
        ledger: Ledger | None = ...,
        **inputs: Any,
    ) -> list[Scene | InputError]: ...
    @overload
    def predict(
        self,
        images: Iterator[ImageSource],
        tasks: str | Collection[str] | None = ...,
        threshold: float = ...,
        given: Iterable[Given | None] | None = ...,
        camera: CameraLike | Iterable[CameraLike | None] | None = ...,
        *,
        batch_size: int = ...,
        on_error: Literal["return"] | None = ...,
        budget: float | str | None = ...,
        ledger: Ledger | None = ...,
        **inputs: Any,
    ) -> Iterator[Scene | InputError]: ...
    @overload
    def predict(
        self,
        images: Iterator[ImageSource],
        tasks: str | Collection[str] | None = ...,
        threshold: float = ...,
        given: Iterable[Given | None] | None = ...,
        camera: CameraLike | Iterable[CameraLike | None] | None = ...,
        *,
        batch_size: int = ...,
        on_error: Literal["raise"],
        budget: float | str | None = ...,
        ledger: Ledger | None = ...,
        **inputs: Any,
    ) -> Iterator[Scene]: ...
    def predict(
        self,
        images: Any,
        tasks: Any = None,
        threshold: Any = 0.5,
        given: Any = None,
        camera: Any = None,
        *,
        batch_size: Any = 1,
        on_error: Any = None,
        budget: Any = None,
        ledger: Any = None,
        **inputs: Any,
    ) -> Scene | list[Scene] | list[Scene | InputError] | Iterator[Scene] | Iterator[Scene | InputError]:
        """Predict the Scene of one image, of a list of images, or of an iterator (lazily).

        An image is a path; the bytes of an image file, or such a file opened for reading; a PIL image; an array [H W 3]
        or a tensor [3 H W], each uint8 or floats in 0..1 (see `scenekit.io.images.read_image` for all that they may
        hold). A tuple, and an array or tensor with a dimension more, is a list of images. A `VideoFrame` is an image
        that brings its camera, its moment and what else came with it.

        Args:
            images: One image or several.
            tasks: Names of the tasks to run, or of a single one; all, if None.
            threshold: Objects that score less are left out.
            given: External regions in original pixels, one entry for each image where there are several: a Scene,
                whose objects are taken, or by key `{OBJECTS: Objects(boxes, labels)}`, `{OBJECTS: scene}`, or
                `{OBJECTS: boxes}` to have them classified where they are. The result has the same rows in the same
                order, whatever they score.
            camera: The camera of the image, or its matrix K [3 3], in original pixels; of several images one for all,
                or one each. By default that of a given Scene or of a VideoFrame, and else the one that `Camera.default`
                assumes; the result's `camera` then has `assumed`.
            batch_size: How many of several images the network runs on at a time, which is faster and changes no result
                but by rounding. Of an iterator no more are read at once. Of a list, images that are padded to one size
                run together, and one waits for others of its size until 4 times as many are read; on a GPU, images are
                read and scenes finished in other threads meanwhile. Images with external regions run one by one.
            on_error: What an unusable one of several images does. "raise": its error ends the call. "return": the
                InputError stands in the place of its Scene, and the others go on, also where the iterator itself raised
                or yielded that error. By default "return" for an iterator, such as the frames of a camera, and else
                "raise".
            budget: The time that each image may take, as seconds or as text such as "60ms": only tasks that fit by the
                ledger run, one image at a time. With `tasks` the first ones have priority; without, the core runs, and
                the cheapest tasks have. What does not fit is in `left_out` of the Scene, and logged once.
            ledger: What `sk.cost(model)` returned. By default it is measured on the first image of its size, which
                takes many passes, and kept with the model.
            inputs: What images come with, by modality: `depth` or `points`, and options such as `depth_scale`; of
                several images one for all, or one each, in place of the `inputs` of a VideoFrame. Tasks that read it
                say so; the others are as without it.

        Returns:
            A scene for each image, in original pixels.

        Raises:
            InputError: An image cannot be read, the model has no such task, external regions or inputs cannot be of the
                image, no modality has the name of an argument, or nothing fits the budget.
        """
        collection = several(images)
        as_list = isinstance(collection, Sequence)
        default = "raise" if collection is None or as_list else "return"
        on_error = default if on_error is None else on_error
        self._check_weights()
        arguments = [name for name in inspect.signature(self.predict).parameters if name != "inputs"]
        further = InputValues.of(inputs, arguments)
        request = Request.of(self, tasks, threshold, batch_size, on_error, Budget.of(budget, ledger, given), further)
        if collection is None:
            return Predictor(self, request).one(images, given, camera)
        scenes = Predictor(self, request).each(collection, given, camera)
        return list(scenes) if as_list else scenes
