"""From images as people have them to a Scene each: in batches, with errors in the place of unusable images."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.hooks import InputImage
from scenekit.io.images import Pixels, read_image
from scenekit.keys import OBJECTS
from scenekit.model.arguments import least_score, positive_integer, task_names
from scenekit.model.external_regions import as_given, given_regions
from scenekit.model.image_inputs import with_cameras, with_errors, with_regions
from scenekit.model.modalities import InputValues, with_inputs
from scenekit.model.pipeline import Call, Worker, grouped, overlapped, workers
from scenekit.model.preprocess import make_batch
from scenekit.model.timing import StepTimer, TimedScene
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch
from scenekit.structures.moments import Moment, VideoFrame

if TYPE_CHECKING:
    from scenekit.model.budget import Chooser
    from scenekit.model.scene_model import Outputs, SceneModel

AHEAD = 4
"""Batches that images may be read ahead of one that waits for others of its size."""

OnError: TypeAlias = Literal["raise", "return"]


def threads_beside(device: torch.device) -> int:
    """Return how many threads read and finish images while a network runs: none where it has the same cores.

    Args:
        device: Device of the network.

    Returns:
        2, or 0 on a CPU, where torch starts as many threads of its own for each of them.
    """
    return 0 if device.type == "cpu" else 2


@dataclass(frozen=True)
class Request:
    """What is asked of each image."""

    tasks: tuple[str, ...] | None
    """Tasks to run; all, if None."""
    threshold: float
    """Objects that score less are left out."""
    batch_size: int
    """Images that are read and run together."""
    on_error: OnError
    """Whether an unusable image ends it, or has its error in place of its scene."""
    budget: Chooser | None = None
    """What limits the tasks, if anything."""
    left_out: tuple[str, ...] = ()
    """Tasks that the budget has left out."""
    inputs: InputValues = field(default_factory=InputValues)
    """What the images come with, and its options."""

    @classmethod
    def of(
        cls,
        model: SceneModel,
        tasks: object,
        threshold: object,
        batch_size: object,
        on_error: object,
        budget: Chooser | None = None,
        inputs: InputValues | None = None,
    ) -> Request:
        """Check what does not depend on an image.

        Args:
            model: The model.
            tasks: Names of tasks, or a single one.
            threshold: A number.
            batch_size: A whole number from 1.
            on_error: "raise" or "return".
            budget: What limits the tasks of an image; images then run one by one.
            inputs: What the images come with.

        Returns:
            The request.

        Raises:
            InputError: A value is invalid, or the model has no such task.
        """
        names, score, together = task_names(tasks), least_score(threshold), positive_integer("batch_size", batch_size)
        model.plan.needed(names or ())
        if on_error not in ("raise", "return"):
            raise InputError(f"on_error: expected 'raise' or 'return', got {on_error!r}")
        return cls(names, score, 1 if budget else together, on_error, budget, inputs=inputs or InputValues())

    def within_budget(self, model: SceneModel, pixels: Pixels) -> Request:
        """Return the request with the tasks that the budget allows for an image."""
        if self.budget is None:
            return self
        choice = self.budget.choice(model, pixels, self.tasks, self.threshold)
        return replace(self, tasks=choice.run, left_out=choice.left_out)


def several(images: Any) -> Sequence[Any] | Iterator[Any] | None:
    """Return the images of a collection.

    Args:
        images: One image, or several: a list, tuple or other sequence, an array or tensor [B ...], or an iterable.

    Returns:
        A sequence or an iterator of single images; None where this is one image, or no image at all.
    """
    if isinstance(images, np.ndarray | Tensor):
        return list(images) if images.ndim == 4 else None
    single = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | Mapping | Set)
    if single or hasattr(images, "read") or not isinstance(images, Iterable):
        return None
    return images if isinstance(images, Sequence) else iter(images)


@dataclass(frozen=True, eq=False)
class _Asked:
    """One image, and what comes with it."""

    image: Any
    given: Any
    camera: Any
    inputs: Mapping[str, Any]
    number: int = 0
    name: str | None = None


@dataclass(frozen=True, eq=False)
class _Ready:
    """An image as the network reads it."""

    number: int
    batch: ImageBatch
    given: Any
    camera: Camera | None
    path: str | None
    request: Request
    moment: Moment | None = None


@dataclass(frozen=True)
class _Unusable:
    number: int
    error: InputError


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts scenes for one request.

    Attributes:
        model: The model.
        request: What is asked of each image.
    """

    model: SceneModel
    request: Request

    def one(self, image: Any, given: Any, camera: Any) -> Scene:
        """Predict the scene of one image.

        Args:
            image: The image.
            given: Its external regions, or None.
            camera: Its camera, or None.

        Returns:
            The scene.
        """
        self.request.inputs.check_options([image])
        with evaluating(self.model):
            ready = self._prepared(_Asked(image, given, camera, self.request.inputs.values))
            return self._finished(ready, self._passed([ready]), 0)

    def timed(self, image: Any, camera: Any, clock: Callable[[], float], name: str | None = None) -> TimedScene:
        """Predict the scene of one image, and measure its parts.

        Args:
            image: The image.
            camera: Its camera, or None.
            clock: Returns the time in seconds.
            name: Name of the image in error messages; by default its path or type.

        Returns:
            The scene with its times.
        """
        with evaluating(self.model):
            began = clock()
            ready = self._prepared(_Asked(image, None, camera, self.request.inputs.values, name=name))
            prepared = clock()
            outputs = self._passed([ready])
            steps = outputs.seconds  # which waits for a GPU
            passed = clock()
            timer = StepTimer(self.model.device)
            scene = self._finished(ready, outputs, 0, timer)
            done = clock()
        parts = prepared - began, passed - prepared, done - passed
        return TimedScene(scene, ready.request.tasks, *parts, steps, timer.seconds)

    def each(self, images: Iterable[Any], given: Any, camera: Any) -> Iterator[Scene | InputError]:
        """Predict the scene of each image, lazily.

        Of an iterator no more images are taken than one batch holds. Of a sequence those of one size run
        together; beside a GPU later images are read, and earlier ones finished, in other threads.

        Args:
            images: The images.
            given: External regions, one entry an image; None without.
            camera: A camera for all images, or one each.

        Yields:
            Scenes in the order of the images; errors of unusable ones where the request has them returned.
        """
        single = self.request.inputs.checked(images, with_errors(images))
        known = with_cameras(with_regions(single, given), camera)
        parted = with_inputs(known, self.request.inputs.values)
        asked = (
            _Asked(image, regions, view, inputs, number, f"image {number}")
            for number, (image, regions, view, inputs) in enumerate(parted)
        )
        for result in self._ahead(asked) if isinstance(images, Sequence) else self._stepwise(asked):
            if isinstance(result, InputError) and self.request.on_error == "raise":
                raise result
            yield result

    def _stepwise(self, asked: Iterator[_Asked]) -> Iterator[Scene | InputError]:
        """Yield the results of one batch after the other."""
        while chunk := list(islice(asked, self.request.batch_size)):
            yield from self._results(chunk, chunk[0].number)

    def _ahead(self, asked: Iterator[_Asked]) -> Iterator[Scene | InputError]:
        """Yield the results of images while later ones are read; a budget is that of an image by itself."""
        count = 0 if self.request.budget else threads_beside(self.model.device)
        with evaluating(self.model), workers(count, self.model.device) as started:
            yield from self._results(asked, 0, *started)

    def _results(
        self, asked: Iterable[_Asked], first: int, reader: Worker | None = None, finisher: Worker | None = None
    ) -> Iterator[Scene | InputError]:
        size = self.request.batch_size
        images = overlapped((partial(self._read, one) for one in asked), reader, ahead=size)
        passes = (self._run(batch) for batch in grouped(images, _size, size, AHEAD * size))
        waiting: dict[int, Scene | InputError] = {}
        for done in overlapped(passes, finisher):
            waiting |= done
            while first in waiting:
                yield waiting.pop(first)
                first += 1

    def _read(self, asked: _Asked) -> _Ready | _Unusable:
        try:
            return self._prepared(asked)
        except InputError as error:
            return _Unusable(asked.number, error)

    def _run(self, images: Sequence[_Ready | _Unusable]) -> Call[dict[int, Scene | InputError]]:
        """Run the network on images, and return what finishes them.

        Images that fail together run each by itself, so that the error is that of its image.
        """
        ready = [image for image in images if isinstance(image, _Ready)]
        failed: dict[int, Scene | InputError] = {
            image.number: image.error for image in images if isinstance(image, _Unusable)
        }
        if not ready:
            return lambda: failed
        try:
            return partial(self._finish, ready, self._passed(ready))
        except InputError as error:
            if len(ready) == 1:
                failed = {ready[0].number: error}
                return lambda: failed
        calls = [self._run([image]) for image in ready]
        return lambda: {number: result for call in calls for number, result in call().items()}

    def _finish(self, images: Sequence[_Ready], outputs: Outputs) -> dict[int, Scene | InputError]:
        """Postprocess a pass; an image that cannot be finished leaves the others as they are."""
        results: dict[int, Scene | InputError] = {}
        with evaluating(self.model):
            for place, image in enumerate(images):
                try:
                    results[image.number] = self._finished(image, outputs, place)
                except InputError as error:
                    results[image.number] = error
        return results

    def _prepared(self, asked: _Asked) -> _Ready:
        """Read an image, its camera and what else it comes with, and resize them."""
        if isinstance(asked.image, InputError):
            raise asked.image
        frame = asked.image if isinstance(asked.image, VideoFrame) else VideoFrame(asked.image)
        scene = asked.given.get(OBJECTS) if isinstance(asked.given, Mapping) else asked.given
        cameras = (asked.camera, scene.camera if isinstance(scene, Scene) else None, frame.camera)
        known = next((Camera.of(camera) for camera in cameras if camera is not None), None)
        path = os.fspath(frame.image) if isinstance(frame.image, str | os.PathLike) else None
        pixels = read_image(frame.image, name=asked.name if path is None else None)
        source = frame.source or path
        name = asked.name or path or "the image"
        image = InputImage(_size_of(pixels), known, name)
        maps = self.request.inputs.read_for(self.model.inputs, {**frame.inputs, **asked.inputs}, image)
        batch = make_batch([pixels], self.model.config.input, cameras=[known], inputs=[maps]).named([source])
        request = self.request.within_budget(self.model, pixels)
        return _Ready(asked.number, batch, asked.given, known, source, request, frame.moment)

    @torch.no_grad()
    def _passed(self, images: Sequence[_Ready]) -> Outputs:
        """Run one pass; external regions only where this is a single image."""
        model, request, given = self.model, images[0].request, images[0].given
        batch = ImageBatch.cat([image.batch for image in images]).to(model.device, model.dtype)
        regions = None if given is None else given_regions(as_given(given), batch, model.vocabulary)
        with evaluating(model):
            outputs: Outputs = model(batch, given=regions, tasks=request.tasks, threshold=request.threshold)
        return outputs

    @torch.no_grad()
    def _finished(self, image: _Ready, outputs: Outputs, place: int, timer: StepTimer | None = None) -> Scene:
        """Postprocess one image of a pass."""
        model, request, count = self.model, image.request, len(outputs.images)
        # The camera as it is known, not as it results from resizing twice.
        cameras, paths = [image.camera] * count, [image.path] * count
        (scene,) = model.scenes(outputs, request.tasks, request.threshold, cameras, paths, timer, images=[place])
        by_itself = image.moment is None and not request.left_out
        return scene if by_itself else replace(scene, left_out=request.left_out, moment=image.moment)


def _size_of(pixels: Pixels) -> Size:
    return int(pixels.shape[1]), int(pixels.shape[2])


def _size(image: _Ready | _Unusable) -> Size | None:
    """Return the size that an image is padded to, None for one that runs by itself."""
    return image.batch.padded_size if isinstance(image, _Ready) and image.given is None else None


_evaluating: WeakKeyDictionary[nn.Module, tuple[int, list[nn.Module]]] = WeakKeyDictionary()
_lock = threading.Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode; afterwards every module returns to its own mode.

    Of several threads that do so at a time the last one to leave restores the modes.
    """
    with _lock:
        users, training = _evaluating.get(model) or (0, [module for module in model.modules() if module.training])
        _evaluating[model] = (users + 1, training)
        for module in training:
            module.training = False
    try:
        yield
    finally:
        with _lock:
            users, training = _evaluating.pop(model)
            if users > 1:
                _evaluating[model] = (users - 1, training)
            for module in training if users == 1 else ():
                module.training = True
