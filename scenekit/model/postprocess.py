"""From the board of a batch to a Scene per image, in original pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.hooks import TaskSpec, naming_plugin
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.plan import Plan
from scenekit.scene import Objects, Scene
from scenekit.structures.geometry import Size
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import index_map, map_tensors
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Finisher:
    """Lets each head finish its part of an image, in the order of the plan."""

    plan: Plan
    specs: Mapping[str, TaskSpec]
    heads: Mapping[str, Any]
    vocabulary: Vocabulary

    def scene(self, board: Board, index: int, threshold: float) -> Scene:
        """Everything that the board knows of image `index`.

        Regions that score below `threshold` are left out, unless they were given from outside.
        """
        images, geometry = board.images, board.images.to_original(index)
        kept = {stream: _kept(board, stream, index, threshold) for stream in self._streams() if stream in board}
        scene = Scene(
            size=geometry.size,
            vocabulary=self.vocabulary,
            streams={s: _objects(rows, geometry.boxes(rows.boxes), geometry.size) for s, rows in kept.items()},
            camera=images.camera(index).transformed(geometry),
        )
        for name in self.plan.order:
            if name in self.specs and all(key in board for key in self.specs[name].provides):
                with naming_plugin(self.specs[name]):
                    scene = self._finish(name, board, index, kept, scene)
        return scene

    def _streams(self) -> list[Stream]:
        provided = (key for step in self.plan.steps.values() for key in step.provides)
        return [key for key in provided if isinstance(key, Stream)]

    def _finish(self, name: str, board: Board, index: int, kept: Mapping[Stream, Regions], scene: Scene) -> Scene:
        spec = self.specs[name]
        own = [key for key in spec.provides if not isinstance(key, Stream)]  # streams are in the scene already
        if not own:
            return scene
        partial = limited(scene, self.plan.reads(name))
        values, places = {}, {}
        for key in own:
            rows, places[key] = _value_rows(board, key, kept)
            values[key] = _remapped(key, key.field.image(board[key], index, rows), board, kept)
        for stream, carried in {key.of: places[key] for key in own if key.of is not None}.items():
            if len(carried) < len(partial.regions(stream)):
                partial = partial.select(stream, carried)
        geometry = board.images.to_original(index)
        if len(spec.provides) == 1:
            done = {spec.provides[0]: self.heads[name].finish(values[spec.provides[0]], partial, geometry)}
        else:
            done = self.heads[name].finish(values, partial, geometry)
        for key, value in done.items():
            scene = _with_value(scene, key, map_tensors(Tensor.cpu, value), places[key])
        return scene


def limited(scene: Scene, keys: Collection[Key[Any, Any]]) -> Scene:
    """The scene with only those values."""
    values = {key: value for key, value in scene.values.items() if key in keys}
    return replace(scene, values=values, valid={key: rows for key, rows in scene.valid.items() if key in keys})


def _kept(board: Board, stream: Stream, index: int, threshold: float) -> Regions:
    regions: Regions = board[stream]
    keep = regions.image_index == index
    if regions.scores is not None and stream not in board.given:
        keep = keep & (regions.scores >= threshold)
    return regions.subset(keep)


def _objects(regions: Regions, boxes: Float[Tensor, "N 4"], size: Size) -> Objects:
    limits = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    clipped = torch.minimum(boxes.clamp(min=0), limits).cpu()
    labels = torch.zeros(len(regions), dtype=torch.int64) if regions.labels is None else regions.labels.cpu()
    return Objects(clipped, labels, None if regions.scores is None else regions.scores.cpu())


def _value_rows(
    board: Board, key: Key[Any, Any], kept: Mapping[Stream, Regions]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    """(rows of the packed value that belong to kept regions, the places of those regions among the kept ones).

    A value of the image has neither.
    """
    if key.of is None:
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing, nothing
    carried, wanted = board.rows_of(key).root_rows, kept[key.of].root_rows
    where = torch.full((len(board[key.of].root),), -1, device=carried.device)
    where[carried] = torch.arange(len(carried), device=carried.device)
    found = where[wanted]
    places = (found >= 0).nonzero()[:, 0]
    return found[places], places.cpu()


def _remapped(key: Key[Any, Any], value: Any, board: Board, kept: Mapping[Stream, Regions]) -> Any:
    """Return a value that names the rows of a Scene instead of those of the board."""
    stream = key.of or OBJECTS
    if value is None or stream not in kept:
        return value
    return key.field.remap(value, index_map(kept[stream].root_rows, len(board[stream].root)))


def _with_value(scene: Scene, key: Key[Any, Any], value: Any, places: Int[Tensor, " n"]) -> Scene:
    valid = dict(scene.valid)
    if key.of is not None and len(places) < (count := len(scene.regions(key.of))):
        value = key.field.scatter(value, places, count)
        valid[key] = torch.zeros(count, dtype=torch.bool).index_fill(0, places, True)
    return replace(scene, values={**scene.values, key: value}, valid=valid)
