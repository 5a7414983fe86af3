"""From images as people have them to a Scene each: in batches, with errors in the place of unusable images."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.io.images import Pixels, read_image
from scenekit.keys import OBJECTS
from scenekit.model.arguments import least_score, positive_integer, task_names
from scenekit.model.external_regions import as_given, given_regions
from scenekit.model.image_inputs import with_cameras, with_regions
from scenekit.scene import Scene
from scenekit.structures.cameras import Camera

if TYPE_CHECKING:
    from scenekit.model.budget import Budget
    from scenekit.model.scene_model import SceneModel

OnError: TypeAlias = Literal["raise", "return"]


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
    budget: Budget | None = None
    """What limits the tasks, if anything."""
    left_out: tuple[str, ...] = ()
    """Tasks that the budget has left out."""

    @classmethod
    def of(
        cls,
        model: SceneModel,
        tasks: object,
        threshold: object,
        batch_size: object,
        on_error: object,
        budget: Budget | None = None,
    ) -> Request:
        """Check what does not depend on an image.

        Args:
            model: The model.
            tasks: Names of tasks, or a single one.
            threshold: A number.
            batch_size: A whole number from 1.
            on_error: "raise" or "return".
            budget: A limit of time, which is that of an image by itself.

        Returns:
            The request.

        Raises:
            InputError: A value is invalid, or the model has no such task.
        """
        names, score, together = task_names(tasks), least_score(threshold), positive_integer("batch_size", batch_size)
        model.plan.needed(names or ())
        if on_error not in ("raise", "return"):
            raise InputError(f"on_error: expected 'raise' or 'return', got {on_error!r}")
        return cls(names, score, 1 if budget else together, on_error, budget)

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
    name: str | None = None

    def read(self) -> _Ready:
        """Read the image and its camera."""
        scene = self.given.get(OBJECTS) if isinstance(self.given, Mapping) else self.given
        camera = scene.camera if self.camera is None and isinstance(scene, Scene) else self.camera
        path = os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else None
        pixels = read_image(self.image, name=self.name if path is None else None)
        return _Ready(pixels, self.given, None if camera is None else Camera.of(camera), path)


@dataclass(frozen=True, eq=False)
class _Ready:
    pixels: Pixels
    given: Any
    camera: Camera | None
    path: str | None


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
        (scene,) = self._scenes([_Asked(image, given, camera).read()])
        return scene

    def each(self, images: Iterable[Any], given: Any, camera: Any) -> Iterator[Scene | InputError]:
        """Predict the scene of each image, lazily, a batch at a time.

        Args:
            images: The images.
            given: External regions, one entry an image; None without.
            camera: A camera for all images, or one each.

        Yields:
            Scenes in the order of the images; errors of unusable ones where the request has them returned.
        """
        known = with_cameras(with_regions(images, given), camera)
        numbered = (_Asked(*parts, name=f"image {number}") for number, parts in enumerate(known))
        while chunk := list(islice(numbered, self.request.batch_size)):
            yield from self._chunk(chunk)

    def _chunk(self, chunk: Sequence[_Asked]) -> list[Scene | InputError]:
        results: dict[int, Scene | InputError] = {}
        ready: dict[int, _Ready] = {}
        for place, asked in enumerate(chunk):
            try:
                ready[place] = asked.read()
            except InputError as error:
                results[place] = self._failed(error)
        together = [place for place, image in ready.items() if image.given is None]
        for places in (together, *([place] for place in ready.keys() - set(together))):
            results |= self._run({place: ready[place] for place in places})
        return [results[place] for place in sorted(results)]

    def _run(self, images: Mapping[int, _Ready]) -> dict[int, Scene | InputError]:
        """Run images together; where that fails, each on its own."""
        try:
            return dict(zip(images, self._scenes(list(images.values())), strict=True)) if images else {}
        except InputError as error:
            if len(images) == 1:
                return dict.fromkeys(images, self._failed(error))
        return {place: scene for own in images for place, scene in self._run({own: images[own]}).items()}

    def _failed(self, error: InputError) -> InputError:
        if self.request.on_error == "raise":
            raise error
        return error

    @torch.no_grad()
    def _scenes(self, images: Sequence[_Ready]) -> list[Scene]:
        """Run one pass; external regions only where this is a single image."""
        model, request = self.model, self.request.within_budget(self.model, images[0].pixels)
        cameras = [image.camera for image in images]
        with evaluating(model):
            batch = model.preprocess([image.pixels for image in images], cameras)
            batch = batch.named([image.path for image in images])
            given = images[0].given
            regions = None if given is None else given_regions(as_given(given), batch, model.vocabulary)
            outputs = model(batch, given=regions, tasks=request.tasks, threshold=request.threshold)
            # The cameras as they are known, not as they result from resizing twice.
            paths = [image.path for image in images]
            scenes = model.scenes(outputs, request.tasks, request.threshold, cameras, paths)
        return [replace(scene, left_out=request.left_out) for scene in scenes] if request.left_out else scenes


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
