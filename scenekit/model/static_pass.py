"""The one pass with fixed shapes, for whole exported graphs: tensors in, named tensors out.

Letters: H W pixels of the image, K rows of objects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.keys import OBJECTS, Key
from scenekit.model.arguments import image_size, least_score, positive_integer, task_names
from scenekit.model.board import Board, FixedPooler
from scenekit.model.head import Head
from scenekit.model.one_pass import OnePass
from scenekit.model.region_selection import RegionSelector
from scenekit.model.scene_model import SceneModel
from scenekit.model.timing import StepTimer
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

OBJECT_DOCS = {
    "boxes": "boxes of the objects, xyxy in pixels of the resized image, best first",
    "scores": "their scores, 0..1",
    "labels": "their classes, by place among the things of the vocabulary",
    "valid": "which rows are objects; the others are padding, whose values mean nothing",
}
"""What the outputs of the detector are."""

NO_FORM = "it has no form with fixed shapes"


@dataclass(frozen=True, eq=False)
class OneImage(ImageBatch):
    """A batch of one image whose camera is a tensor, so that it can be an input of a graph."""

    matrices: Float[Tensor, "1 3 3"] | None = None
    """Its intrinsics in network pixels; None for those of the assumed camera."""
    asked: set[str] = field(default_factory=set)
    """Gets "camera" when the intrinsics are read."""

    @property
    def intrinsics(self) -> Float[Tensor, "1 3 3"]:
        """K of the camera."""
        self.asked.add("camera")
        return super().intrinsics if self.matrices is None else self.matrices


class WholeModel(nn.Module):
    """A model as one network for images of one size, one at a time: normalization, all stages, all heads.

    No shape depends on what the image shows: there are always as many rows of objects, of which `valid` marks those
    that are some. The weights are those of the model.

    Args:
        model: The model.
        size: Height and width of the images, in pixels.
        detections: Rows of objects, at most as many as the detector gives, which is the default.
        tasks: Tasks to run, or a single one; all that can, if None.
        threshold: Objects that score less are not valid.

    Attributes:
        tasks: Names of the tasks that run.
        left_out: Why each other task of the model cannot run, by name.

    Raises:
        InputError: An argument is invalid, the model lacks a task or has none that can run, one that is asked for
            cannot run, or the size is not that of a model that crops images.
    """

    def __init__(
        self,
        model: SceneModel,
        size: Size,
        detections: int | None = None,
        tasks: str | Collection[str] | None = None,
        threshold: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self.size, self.threshold = model, _size_of(model, size), least_score(threshold)
        self.rows = 2**31 if detections is None else positive_integer("detections", detections)
        self.left_out, names = _left_out(model), task_names(tasks)
        self.tasks = tuple(name for name in model.tasks if name not in self.left_out) if names is None else names
        objects = [name for name in model.stages if OBJECTS in model.plan.steps[name].provides]
        self.order = model.plan.needed([*self.tasks, *objects])
        if not self.order:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())
            raise InputError(f"nothing of this model can be part of a whole graph ({reasons})")
        for name in self.tasks:
            if name in self.left_out:
                raise InputError(f"task {name!r} cannot be part of a whole graph: {self.left_out[name]}; leave it out")

    def forward(
        self, pixels: Float[Tensor, "1 3 H W"], camera: Float[Tensor, "1 3 3"] | None = None
    ) -> dict[str, Tensor]:
        """Run the pass.

        Args:
            pixels: RGB values of an image, 0..1.
            camera: Its intrinsics K, in these pixels; by default those of the assumed camera.

        Returns:
            Tensors by name: `boxes`, `scores`, `labels` and `valid` of the objects, and the values of each task, those
            of objects with a row for each of them.
        """
        return self.run(self.batch(pixels, camera))

    def batch(self, pixels: Float[Tensor, "1 3 H W"], camera: Float[Tensor, "1 3 3"] | None = None) -> OneImage:
        """Normalize and pad an image, as `SceneModel.preprocess` does after resizing.

        Args:
            pixels: RGB values, 0..1.
            camera: Intrinsics, in these pixels.

        Returns:
            The batch.
        """
        config, (height, width) = self.model.config.input, self.size
        mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
        normal = ((pixels.flip(1) if config.bgr else pixels) - mean) / std
        padded = F.pad(normal, (0, -width % config.divisor, 0, -height % config.divisor))
        return OneImage(padded, (self.size,), (self.size,), divisor=config.divisor, matrices=camera)

    def run(self, images: ImageBatch) -> dict[str, Tensor]:
        """Run the pass on a batch.

        Args:
            images: A batch of one image.

        Returns:
            As of `forward`.
        """
        model = self.model
        pooler = model.pooler.fixed() if isinstance(model.pooler, FixedPooler) else model.pooler
        board = Board(images, pooler)
        selector = RegionSelector(board, None, model.vocabulary, {}, self.threshold)
        timer = StepTimer(images.pixels.device)
        network = OnePass(model.plan, model.stages, {}, model.specs, model.heads, selector, timer)
        network.run_padded(self.order, self.rows)
        return dict(self._outputs(board))

    def doc(self, output: str) -> str:
        """Return what an output is.

        Args:
            output: Its name.

        Returns:
            One line: that of the head, else that of the key and its field.
        """
        heads = [cast("Head[Any, Any]", self.model.heads[name]) for name in self.tasks]
        docs = {name: doc for head in heads for name, doc in head.exported_docs.items()} | OBJECT_DOCS
        if output in docs:
            return docs[output]
        keys = {_flat(key): key for name in self.tasks for key in self.model.specs[name].provides}
        name = max((name for name in keys if f"{output}_".startswith(f"{name}_")), key=len)
        key, part = keys[name], output[len(name) + 1 :]
        return key.field.parts.get(part, f"{key.doc}: {part}") if part else key.doc

    def _outputs(self, board: Board) -> Iterator[tuple[str, Tensor]]:
        if OBJECTS in board:
            yield from _objects(board[OBJECTS], self.threshold)
        for name in self.tasks:
            head, keys = cast("Head[Any, Any]", self.model.heads[name]), self.model.specs[name].provides
            values = {key: board[key] if key.of is None else board.of_root(key) for key in keys}
            shown = head.exported(values if len(keys) > 1 else values[keys[0]], board.images)
            for key, value in (shown if len(keys) > 1 else {keys[0]: shown}).items():
                yield from _named(_flat(key), value[0] if key.of is None else value)


def _flat(key: Key[Any, Any]) -> str:
    return key.name.replace(".", "_")


def _size_of(model: SceneModel, size: object) -> Size:
    """Check the size of the images of a whole graph."""
    sides, crop = image_size(size), model.config.input.crop
    if crop is not None and sides != (crop, crop):
        raise InputError(f"size: this model crops images to {crop} x {crop} (input.crop); name that, not {sides}")
    return sides


def _left_out(model: SceneModel) -> dict[str, str]:
    """Return why tasks cannot run with fixed shapes."""
    reasons = {name: NO_FORM for name, spec in model.specs.items() if not spec.static}
    for name in model.plan.order:
        if name in model.specs and name not in reasons:
            read = next((other for other in model.plan.needed([name]) if other in reasons), None)
            if read is not None:
                reasons[name] = f"it reads what {read!r} provides, which is left out"
    return reasons


def _objects(regions: Regions, threshold: float) -> Iterator[tuple[str, Tensor]]:
    assert regions.scores is not None and regions.labels is not None and regions.valid is not None
    yield "boxes", regions.boxes
    yield "scores", regions.scores
    yield "labels", regions.labels
    yield "valid", regions.valid & (regions.scores >= threshold)


def _named(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors inside nested dataclasses, with the names of their fields."""
    if isinstance(value, Tensor):
        yield name, value
    elif dataclasses.is_dataclass(value):
        for entry in dataclasses.fields(value):
            yield from _named(f"{name}_{entry.name}", getattr(value, entry.name))
    elif value is not None:
        raise InputError(f"{name!r} holds a {type(value).__name__}, but a whole graph gives tensors alone")
