"""From the board of a batch to a Scene per image, in original pixels."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.hooks import TaskSpec, naming_plugin
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import Head
from scenekit.model.plan import Plan
from scenekit.model.timing import StepTimer
from scenekit.model.watch import Watch
from scenekit.scene import Objects, Scene, check_row_count
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import index_map, map_tensors
from scenekit.structures.vocabulary import Vocabulary

Places = Mapping[Key[Any, Any], Int[Tensor, " _"]]
"""By key of a stream, which of the image's regions carry a value."""


@dataclass(frozen=True)
class Finisher:
    """Lets each head finish its part of an image, in the order of the plan.

    Attributes:
        plan: Order of the steps, and what each of them reads.
        specs: Tasks by name.
        heads: Their heads by name.
        vocabulary: What labels mean.
        timer: Measures what each head does.
    """

    plan: Plan
    specs: Mapping[str, TaskSpec]
    heads: Mapping[str, Any]
    vocabulary: Vocabulary
    timer: StepTimer

    def scene(
        self,
        board: Board,
        index: int,
        threshold: float,
        keys: Collection[Key[Any, Any]],
        camera: Camera | None = None,
        path: str | None = None,
    ) -> Scene:
        """Gather what the board holds of one image into a Scene in original pixels.

        Args:
            board: The board of a pass without targets.
            index: Number of the image in its batch.
            threshold: Regions that score less are left out, unless they are external.
            keys: Values to return; others serve the heads that read them.
            camera: That of the original image; by default the one of the batch.
            path: Where the image is from.

        Returns:
            The scene.
        """
        geometry = board.images.to_original(index)
        kept = {stream: _kept(board, stream, index, threshold) for stream in self._streams() if stream in board}
        values: dict[Key[Any, Any], Any] = {}
        valid: dict[Key[Any, Any], Tensor] = {}
        scene = Scene(
            size=geometry.size,
            vocabulary=self.vocabulary,
            streams={s: _objects(rows, geometry.boxes(rows.boxes), geometry.size) for s, rows in kept.items()},
            values=values,  # grows as the heads finish
            valid=valid,
            camera=board.images.camera(index).transformed(geometry) if camera is None else camera,
            path=path,
        )
        watch = Watch()
        watch.add("the regions of the scene", scene.streams)
        for name in self.plan.order:
            spec = self.specs.get(name)
            if spec is not None and not spec.of_clips and all(key in board for key in spec.provides):
                with naming_plugin(self.specs[name]), self.timer.step(name):
                    for key, value, rows in self._finished(name, board, index, kept, scene):
                        values[key] = value
                        valid.update({} if rows is None else {key: rows})
                        watch.add(f"{key.name!r} of the scene", value)
                    for shared in (watch.check, board.check_unchanged):
                        shared(f"`finish` of {name!r}")
        return limited(scene, keys)

    def _streams(self) -> list[Stream]:
        provided = (key for step in self.plan.steps.values() for key in step.provides)
        return [key for key in provided if isinstance(key, Stream)]

    def _finished(
        self, name: str, board: Board, index: int, kept: Mapping[Stream, Regions], scene: Scene
    ) -> Iterator[tuple[Key[Any, Any], Any, Tensor | None]]:
        """Yield (key, value in original pixels, rows that carry it; None where all do) of one head."""
        provides = self.specs[name].provides
        values, places = {}, {}
        for key in (key for key in provides if not isinstance(key, Stream)):  # streams are in the scene already
            rows, places[key] = _value_rows(board, key, kept)
            values[key] = _remapped(key, key.field.image(board[key], index, rows), board, kept)
        if not values:
            return
        view, geometry = self._view(name, scene, places), board.images.to_original(index)
        if len(provides) == 1:
            done = {provides[0]: self.heads[name].finish(values[provides[0]], view, geometry)}
        else:
            done = self.heads[name].finish(values, view, geometry)
        for key, value in done.items():
            yield key, *_aligned(scene, key, map_tensors(Tensor.cpu, value), places[key])

    def _view(self, name: str, scene: Scene, places: Places) -> Scene:
        """Return what the head may read: keys that its task declares, and rows that carry its values."""
        view = limited(scene, self.plan.reads(name))
        if getattr(self.heads[name].finish, "__func__", None) is Head.finish:  # which reads no rows
            return view
        for stream, carried in {key.of: rows for key, rows in places.items() if key.of is not None}.items():
            if len(carried) < len(view.regions(stream)):
                view = view.select(stream, carried)
        return view


def clip_scene(board: Board, number: int, keys: Collection[Key[Any, Any]], vocabulary: Vocabulary) -> Scene:
    """Gather what the board holds of a clip, which needs no geometry: it is in seconds.

    Args:
        board: The board of a pass without targets.
        number: Number of the clip in its batch.
        keys: Keys of clips.
        vocabulary: What integers mean.

    Returns:
        A scene in the size of the clip's first frame, without regions.
    """
    assert board.images.clips is not None, "the images of this batch are no clips"
    nothing = torch.zeros(0, dtype=torch.int64)
    values = {
        key: map_tensors(Tensor.cpu, key.field.image(board[key], number, nothing)) for key in keys if key in board
    }
    return Scene(board.images.original_sizes[board.images.clips[number].first], vocabulary, values=values)


def limited(scene: Scene, keys: Collection[Key[Any, Any]]) -> Scene:
    """Return a view of a scene with the values of some keys alone; nothing is copied or checked again."""
    view = copy.copy(scene)
    for name in ("values", "valid"):
        object.__setattr__(view, name, {key: part for key, part in getattr(scene, name).items() if key in keys})
    return view


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
    """Return (rows of the packed value that belong to kept regions, the places of those regions among the kept ones).

    A value of the image has neither.
    """
    if key.of is None:
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing, nothing
    carried, wanted = board.rows_of(key).root_rows, kept[key.of].root_rows
    where = torch.full((len(board[key.of].root),), -1, device=carried.device)
    where[carried] = torch.arange(len(carried), device=carried.device)
    rows = where[wanted]
    places = (rows >= 0).nonzero()[:, 0]
    return rows[places], places.cpu()


def _remapped(key: Key[Any, Any], value: Any, board: Board, kept: Mapping[Stream, Regions]) -> Any:
    """Return a value that names the rows of a Scene instead of those of the board."""
    stream = key.of or OBJECTS
    if value is None or stream not in kept:
        return value
    return key.field.remap(value, index_map(kept[stream].root_rows, len(board[stream].root)))


def _aligned(scene: Scene, key: Key[Any, Any], value: Any, places: Int[Tensor, " n"]) -> tuple[Any, Tensor | None]:
    """Return the value with a row for every region, and which rows carry it; None where all do."""
    if key.of is None:
        return value, None
    count, rows = len(scene.regions(key.of)), None
    if len(places) < count:
        value = key.field.scatter(value, places, count)
        rows = torch.zeros(count, dtype=torch.bool).index_fill(0, places, True)
    check_row_count(key, value, count)
    return value, rows
