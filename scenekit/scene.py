"""One image with all its values: the same type for ground truth and predictions.

Letters: N objects, H W pixels of the original image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from jaxtyping import Bool, Int
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.frame import Frame
from scenekit.io.files import located, portable, write_atomically
from scenekit.io.images import ImageSource
from scenekit.io.records import read_json
from scenekit.keys import OBJECTS, RESERVED, Key, Stream, key_named
from scenekit.scene_json import (
    FORMAT_VERSION,
    blanked,
    camera_json,
    check_format,
    check_labels,
    check_numbers,
    check_value,
    image_from_json,
    json_text,
    moment_json,
    names_from_json,
    read_rows,
    reading,
    regions_from_json,
    regions_json,
)
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.moments import Moment
from scenekit.structures.objects import Objects as Objects
from scenekit.structures.tensors import index_map
from scenekit.structures.vocabulary import Vocabulary, flip_labels

if TYPE_CHECKING:
    from networkx import MultiDiGraph

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Scene:
    """One image with all its values: the same type for ground truth and predictions."""

    size: Size
    """Height and width of the image, in pixels."""
    vocabulary: Vocabulary
    """What the integers mean."""
    streams: Mapping[Stream, Objects] = field(default_factory=dict)
    """The regions of each stream."""
    values: Mapping[Key[Any, Any], Any] = field(default_factory=dict)
    """Annotations or predictions by key; row values have one row per region."""
    valid: Mapping[Key[Any, Any], Bool[Tensor, " _"]] = field(default_factory=dict)
    """Rows that carry the value, by key; a key that is absent here is carried by all rows."""
    camera: Camera | None = None
    """The camera; None where it is unknown."""
    path: str | None = None
    """The file of the image, if any."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """JSON entries of keys that are not installed here, kept for a round trip."""
    left_out: tuple[str, ...] = ()
    """Names of tasks that `predict` was asked for and left out, as they do not fit its budget."""
    moment: Moment | None = None
    """When, and from where, the image of a stream was taken; None for an image by itself."""
    tracked: bool = False
    """Whether the ids of the objects last over the images of the stream, see `sk.track`."""

    def __post_init__(self) -> None:
        if self.camera is not None:
            self.camera.check(self.size)
        for key, value in (*self.values.items(), *self.valid.items()):
            if key.of is not None:
                check_row_count(key, value, len(self.regions(key.of)))

    @property
    def objects(self) -> Objects:
        """The labelled objects."""
        return self.regions(OBJECTS)

    def regions(self, stream: Stream) -> Objects:
        """Return the regions of a stream.

        Args:
            stream: The stream.

        Returns:
            Its regions; empty where the stream is absent.
        """
        return self.streams[stream] if stream in self.streams else Objects.empty()

    def __getitem__(self, key: Key[Any, Item]) -> Item:
        if key not in self.values:
            present = ", ".join(sorted(k.name for k in self.values)) or "no values"
            raise InputError(f"the scene has no {key.name!r}; expected one of its keys: {present}")
        value: Item = self.values[key]
        return value

    def __contains__(self, key: Key[Any, Any]) -> bool:
        return key in self.values

    def rows_with(self, key: Key[Any, Any]) -> Bool[Tensor, " N"]:
        """Return which regions carry the value of a key.

        Args:
            key: A key that follows a stream.

        Returns:
            True for each such row.
        """
        assert key.of is not None, "only keys of a stream have rows"
        return self.valid.get(key, torch.full((len(self.regions(key.of)),), key in self.values))

    def frame(self, key: Key[Any, Any]) -> Frame:
        """Return the image as the field of a key sees it.

        Args:
            key: A key of the image or of a stream; its value may be absent.

        Returns:
            The frame, with the regions of the stream that the key follows (the objects for a key of the image) and the
            rows that carry the value.
        """
        stream = key.of or OBJECTS
        regions = self.regions(stream) if stream in self.streams else None
        valid = None if key.of is None else self.rows_with(key)
        return Frame(self.size, self.vocabulary, regions, self.camera, valid)

    def names(self) -> list[str]:
        """Return the class name of each object.

        Returns:
            A name per row of the objects.
        """
        return [self.vocabulary.things[int(label)] for label in self.objects.labels]

    def counts(self) -> dict[str, int]:
        """Count the objects by class name; groups count as "crowd of person".

        Returns:
            Counts by name, the most frequent first.
        """
        named = zip(self.names(), self.objects.crowd.tolist(), strict=True)
        return dict(Counter(f"crowd of {name}" if crowd else name for name, crowd in named).most_common())

    def select(self, stream: Stream, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Scene:
        """Select regions of a stream, with the values that follow them.

        Values that refer to rows, such as relations, refer to the new ones. `unknown` entries are dropped, as they may
        follow the regions.

        Args:
            stream: The stream whose regions are selected.
            rows: Row numbers, each at most once, or a boolean mask.

        Returns:
            The scene with the selected regions of this stream.
        """
        rows = torch.arange(len(self.regions(stream)))[rows]
        new_rows = index_map(rows, len(self.regions(stream)))
        follows = {k: k.field.select(v, rows) if k.of == stream else v for k, v in self.values.items()}
        follows = {
            k: k.field.remap(v, new_rows) if k.of == stream or (k.of is None and stream == OBJECTS) else v
            for k, v in follows.items()
        }
        valid = {k: v[rows] if k.of == stream else v for k, v in self.valid.items()}
        streams = {**self.streams, stream: self.regions(stream)[rows]}
        return replace(self, streams=streams, values=follows, valid=valid, unknown={})

    def transformed(self, geometry: Geometry) -> Scene:
        """Transform all values with the image: crop, resize and flip.

        Boxes are clipped to the resulting image. Regions keep their rows when they leave it: their boxes are then
        empty. A flip exchanges names with a side, such as left_shoe and right_shoe. `unknown` entries are dropped, as
        how they follow the image is unknown.

        Args:
            geometry: The change, in pixels of the image.

        Returns:
            The scene in pixels of the resulting image.
        """
        streams = {stream: _move(regions, geometry) for stream, regions in self.streams.items()}
        if geometry.mirrored and OBJECTS in streams:
            labels = flip_labels(self.objects.labels, "things", self.vocabulary)
            streams[OBJECTS] = replace(streams[OBJECTS], labels=labels)
        values = {k: k.field.transform(v, geometry, self.vocabulary) for k, v in self.values.items()}
        camera = None if self.camera is None else self.camera.transformed(geometry)
        moment = self.moment.mirrored() if self.moment is not None and geometry.mirrored else self.moment
        return replace(
            self, size=geometry.size, streams=streams, values=values, camera=camera, unknown={}, moment=moment
        )

    def to_json(self) -> dict[str, Any]:
        """Encode the scene as plain JSON: `image`, `objects`, then one entry per key by its name.

        Returns:
            The mapping that `from_json` reads.
        """
        height, width = self.size
        image = {"path": self.path, "width": width, "height": height, "camera": camera_json(self.camera)}
        data: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "image": image if self.moment is None else {**image, "moment": moment_json(self.moment)},
            "vocabulary": self.vocabulary.to_json(),
        }
        for stream, regions in {OBJECTS: self.objects, **self.streams}.items():
            data[stream.name] = regions_json(regions)
        data["objects"]["names"] = self.names()
        if self.tracked:
            data["objects"]["tracked"] = True
        for key, value in self.values.items():
            entries = key.field.encode(value, self.vocabulary)
            data[key.name] = blanked(entries, self.valid[key].tolist()) if key in self.valid else entries
        if self.left_out:
            data["left_out"] = list(self.left_out)
        return {**data, **{name: entry for name, entry in self.unknown.items() if name not in data}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """Decode what `to_json` wrote; entries of unknown keys are kept as they are.

        Args:
            data: Plain JSON.

        Returns:
            The scene.

        Raises:
            InputError: Another format version, or entries that `to_json` does not write, such as NaN.
        """
        check_format(data)
        for name, entry in data.items():
            with reading(name):
                check_numbers(entry)
        with reading("image"):
            size, path, camera, moment = image_from_json(data["image"])
        with reading("vocabulary"):
            vocabulary = Vocabulary.from_json(data["vocabulary"])
        streams, values, valid, unknown = {}, {}, {}, {}
        for name, entry in data.items():
            key = key_named(name)
            if name in RESERVED:
                continue
            with reading(name):
                if isinstance(key, Stream):
                    streams[key] = regions_from_json(entry)
                elif key is None:
                    unknown[name] = entry
                else:
                    values[key], rows = read_rows(key, entry, size, vocabulary)
                    if rows is not None:
                        valid[key] = rows
        tracked = bool(data["objects"].get("tracked")) if OBJECTS in streams else False
        left_out = names_from_json("left_out", data.get("left_out", []))
        return cls(
            size, vocabulary, streams, values, valid, camera, path, unknown, left_out, moment, tracked
        )._checked()

    def _checked(self) -> Scene:
        """Return the scene, if it can be saved again, drawn and made a graph; an InputError names the entry."""
        with reading(OBJECTS.name):
            check_labels(self.objects.labels, self.vocabulary.things)
        for key, value in self.values.items():
            with reading(key.name):
                check_value(key, value, self.frame(key))
        return self

    def save(self, path: str | Path) -> None:
        """Write a JSON file atomically: it is complete, or as it was before.

        The path of the image is stored relative to the file, so that both can be moved together. Where they share no
        folder but the root, only its name is stored.

        Args:
            path: The file.
        """
        scene = replace(self, path=portable(self.path, path))
        write_atomically(path, json_text(scene.to_json()).encode())

    @classmethod
    def load(cls, path: str | Path) -> Scene:
        """Read a file that `save` wrote.

        Args:
            path: The file.

        Returns:
            The scene.

        Raises:
            InputError: The file cannot be read, or is not a scene.
        """
        data = read_json(Path(path))
        try:
            scene = cls.from_json(data if isinstance(data, dict) else {})
        except InputError as error:
            raise InputError(f"{path} is not a scene file: {error}") from error
        return replace(scene, path=located(scene.path, path))

    def draw(self, image: ImageSource | None = None) -> Image.Image:
        """Draw all values on the image.

        Args:
            image: The image, for a scene without a `path` that can be read.

        Returns:
            A drawing, enlarged where the image is small.

        Raises:
            InputError: There is no image at `path`, it cannot be read, or has another shape than the scene.
        """
        from scenekit.visualization.draw import draw_scene

        return draw_scene(self, image)

    def graph(
        self,
        *,
        threshold: float = 0.0,
        top: int | None = None,
        per_pair: int | None = None,
        likely: bool = True,
        attribute_threshold: float = 0.5,
        relabel: bool = False,
    ) -> MultiDiGraph:
        """Build a graph (networkx) of the objects and their relations, by default of the likely ones.

        A relation predictor scores every pair. A relation is likely where its probabilities say that the two objects
        are related rather than not (they sum to more than one half); drawings show likely relations, too. Relations
        without probabilities, as those of ground truth, all count as likely.

        Nodes are the rows of the objects. Each has `label`, `box` [4], `identity` (from `ids`) and, where there is one,
        `score`; and under the name of every key that follows the objects the description of the row by the key's field:
        the likely `attributes` by name with their probability, `captions`, points by name, area of the mask, size of
        the mesh, the 3D box as `x`, `y`, `z`, `width`, `height`, `length` and `distance` in metres of the camera frame,
        `roll`, `pitch` and `yaw` in radians, and `score`; of other keys their JSON. A value that a row does not carry,
        and an invalid 3D box, are absent.

        Edges are the relations, with `predicate` and, where there are any, `score` and `probabilities` [P]. Their key
        is the row in RELATIONS: several predicates of two objects are parallel edges, and so are repeated ones. Pairs
        of plugins' keys follow, with the name of the key as `from_key`. Attributes of the graph: `width`, `height`,
        `path`, `vocabulary`.

        Args:
            threshold: The least score of an edge.
            top: The number of edges of each key, by descending score; None for all.
            per_pair: The number of edges of each key for each subject and object, by descending score; None for all.
            likely: Whether relations that are not likely are left out.
            attribute_threshold: The least probability of an attribute.
            relabel: Whether to use the labels and scores of the relation predictor, where it relabels the objects.

        Returns:
            The graph.

        Raises:
            InputError: A relation refers to an object that does not exist.
        """
        from scenekit.graph.build import build_graph

        return build_graph(
            self,
            threshold=threshold,
            top=top,
            per_pair=per_pair,
            likely=likely,
            attribute_threshold=attribute_threshold,
            relabel=relabel,
        )


def check_row_count(key: Key[Any, Any], value: Any, count: int) -> None:
    """Raise an error unless a value of a stream has one row per region.

    Args:
        key: The key of the value.
        value: The value; one of the whole image is not checked.
        count: The number of regions.

    Raises:
        InputError: The numbers differ.
    """
    if key.of is not None and len(value) != count:
        raise InputError(f"{key.name} has {len(value)} rows for {count} {key.of.name}; one row each is expected")


def _move(regions: Objects, geometry: Geometry) -> Objects:
    """Move boxes with the image; areas shrink with the share of the box that is cut away."""
    whole = geometry.boxes(regions.boxes)
    boxes = torch.minimum(whole.clamp(min=0), whole.new_tensor([geometry.size[1], geometry.size[0]] * 2))
    left = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (whole[:, 2:] - whole[:, :2]).prod(1).clamp(min=1e-6)
    return replace(regions, boxes=boxes, area=regions.area * geometry.scale[0] * geometry.scale[1] * left)
