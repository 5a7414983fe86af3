"""The index of the files: byte offsets of the entries of each image, and frequencies of names.

The official files have more than two gigabytes, several times as much as Python objects. They are indexed once; the
index has some 30 MB, and is stored in the user's cache folder.

Letters: I images, O names of objects.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from scenekit.errors import InputError
from scenekit.io.records import Record
from scenekit_datasets.json_index import Entry, Spans, list_entries, record_of
from scenekit_datasets.stored_index import Arrays, stored_arrays
from scenekit_datasets.visual_genome.layout import LISTS
from scenekit_datasets.visual_genome.names import KINDS, Names, normalized, read_aliases

FORMAT = 1
"""Version of the stored index; another one is built again."""

ABSENT = -1


@dataclass(frozen=True, eq=False)
class Index:
    """Columns of all images."""

    files: Mapping[str, Path]
    """The files by what they hold."""
    names: Names
    """Normalization of names."""
    ids: Int[np.ndarray, " I"]
    """Ids of the images."""
    sizes: Int[np.ndarray, "I 2"]
    """Their (height, width) in pixels."""
    images: tuple[str, ...]
    """Ends of their addresses, such as `VG_100K/2.jpg`."""
    spans: Mapping[str, Int[np.ndarray, "I 2"]]
    """Byte offsets (start, end) of their entries in each file, `ABSENT` without one."""
    occurring: Mapping[str, tuple[str, ...]]
    """Names of each kind, the most frequent first."""
    objects: Int[np.ndarray, " O"]
    """Indices into `occurring["objects"]` of all names of objects, sorted by image."""
    offsets: Int[np.ndarray, " I_1"]
    """Where the names of each image begin in `objects`, and the total."""
    issues: tuple[str, ...]
    """Issues of the files, one message each."""

    def record(self, name: str, place: int) -> Record | None:
        """Read the entry of an image in a file.

        Args:
            name: What the file holds.
            place: Row of the image.

        Returns:
            The entry, None without one.

        Raises:
            InputError: If the file cannot be read or has changed.
        """
        if name not in self.spans or self.spans[name][place, 0] == ABSENT:
            return None
        starts, ends = self.spans[name].T
        return Spans(self.files[name], name, starts, ends).read([place])[0]

    def gaps(self) -> Iterator[str]:
        """Yield a message for each file without entries for some of the images.

        Returns:
            Messages.
        """
        for name, spans in self.spans.items():
            missing = self.ids[spans[:, 0] == ABSENT]
            if len(missing):
                first = ", ".join(map(str, missing[:3].tolist()))
                yield f"{self.files[name]} has no entry for {len(missing)} of {len(self.ids)} images, the first {first}"


def open_index(files: Mapping[str, Path], cache: Path | None) -> Index:
    """Load the stored index of these files in their present state, or build and store one.

    Args:
        files: The files by what they hold.
        cache: Folder of stored indices, None for none.

    Returns:
        The index.

    Raises:
        InputError: If a file cannot be read.
    """
    names = Names(read_aliases(files.get("object_alias")), read_aliases(files.get("relationship_alias")))
    stored = stored_arrays(files, cache, FORMAT, lambda: _build(files, names))
    return _index(files, names, stored)


def _index(files: Mapping[str, Path], names: Names, stored: Arrays) -> Index:
    texts = json.loads(stored["texts"].tobytes())
    return Index(
        files,
        names,
        stored["ids"],
        stored["sizes"],
        tuple(texts["images"]),
        {name: stored[name] for name in LISTS if name in stored},
        {kind: tuple(texts[kind]) for kind in KINDS},
        stored["things"],
        stored["offsets"],
        tuple(texts["faults"]),
    )


class _Counter:
    """Frequencies of names."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.counts = array("q")

    def add(self, name: str) -> int:
        """Count a name and return its number."""
        number = self.numbers.setdefault(name, len(self.counts))
        if number == len(self.counts):
            self.counts.append(0)
        self.counts[number] += 1
        return number

    def ordered(self) -> list[str]:
        """Return the names, the most frequent first, then alphabetically."""
        return sorted(self.numbers, key=lambda name: (-self.counts[self.numbers[name]], name))


class _IndexBuilder:
    """Columns that are filled while the files are read."""

    def __init__(self, files: Mapping[str, Path], names: Names) -> None:
        self.files, self.names = files, names
        self.places: dict[int, int] = {}
        self.sizes: list[tuple[int, int]] = []
        self.images: list[str] = []
        self.counters = {kind: _Counter() for kind in KINDS}
        self.of_image, self.things = array("i"), array("i")
        self.issues: list[str] = []

    def add_image(self, entry: Entry) -> None:
        """Add one image of image_data.json."""
        record = record_of(entry, self.files["image_data"], "image")
        id, size = image_id(record), (record.integer("height"), record.integer("width"))
        if min(size) < 1:
            raise InputError(f"{record}: 'height' and 'width' must be 1 or more, not {size[0]} and {size[1]}")
        if id in self.places:
            raise InputError(f"{record}: the id {id} occurs twice")
        self.places[id] = len(self.places)
        self.sizes.append(size)
        self.images.append("/".join(str(record.data.get("url") or f"{id}.jpg").split("/")[-2:]))

    def add_entry(self, name: str, entry: Entry, spans: Int[np.ndarray, "I 2"]) -> None:
        """Add the entry of an image in one of the lists."""
        record = record_of(entry, self.files[name], "entry")
        id = image_id(record)
        if id not in self.places:
            raise InputError(f"{record}: image id {id} is not in image_data.json")
        place = self.places[id]
        if spans[place, 0] != ABSENT:
            raise InputError(f"{record}: image id {id} has an entry already")
        spans[place] = entry.start, entry.end
        _COLLECT.get(name, lambda builder, record, place: None)(self, record, place)

    def add_objects(self, record: Record, place: int) -> None:
        """Count names of objects, by image."""
        for name in _texts(record.data.get("objects"), "names"):
            self.of_image.append(place)
            self.things.append(self.counters["objects"].add(self.names.object(name)))

    def add_predicates(self, record: Record, place: int) -> None:
        """Count names of predicates."""
        for name in _texts(record.data.get("relationships"), "predicate"):
            self.counters["predicates"].add(self.names.predicate(name))

    def add_attributes(self, record: Record, place: int) -> None:
        """Count names of attributes."""
        for name in _texts(record.data.get("attributes"), "attributes"):
            self.counters["attributes"].add(normalized(name))


_COLLECT = {
    "objects": _IndexBuilder.add_objects,
    "relationships": _IndexBuilder.add_predicates,
    "attributes": _IndexBuilder.add_attributes,
}


def image_id(record: Record) -> int:
    """Return `image_id`, or `id` in some of the files and versions.

    Args:
        record: The entry.

    Returns:
        The id.

    Raises:
        InputError: If it is missing or invalid.
    """
    return record.integer("image_id" if "image_id" in record.data else "id")


def _build(files: Mapping[str, Path], names: Names) -> Arrays:
    builder = _IndexBuilder(files, names)
    for entry in list_entries(files["image_data"]):
        with _collecting(builder.issues):
            builder.add_image(entry)
    if not builder.places:
        raise InputError("; ".join(builder.issues[:1]) or f"{files['image_data']} lists no image")
    spans = {name: np.full((len(builder.places), 2), ABSENT) for name in LISTS if name in files}
    for name, places in spans.items():
        for entry in list_entries(files[name]):
            with _collecting(builder.issues):
                builder.add_entry(name, entry, places)
    ids = np.array(list(builder.places), dtype=np.int64)
    return {"ids": ids, "sizes": np.array(builder.sizes), **spans, **_columns(builder)}


def _columns(builder: _IndexBuilder) -> Arrays:
    """Return objects in the order of the images, by names in the order of their frequency; and all texts."""
    ordered = {kind: counter.ordered() for kind, counter in builder.counters.items()}
    numbers = builder.counters["objects"].numbers
    place = np.empty(len(numbers), dtype=np.int32)
    place[[numbers[name] for name in ordered["objects"]]] = np.arange(len(numbers))
    of_image = np.array(builder.of_image, dtype=np.int32)
    order = np.argsort(of_image, kind="stable")
    texts = {**ordered, "images": builder.images, "faults": builder.issues}
    return {
        "things": place[np.array(builder.things, dtype=np.int32)[order]],
        "offsets": np.searchsorted(of_image[order], np.arange(len(builder.places) + 1)),
        "texts": np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
    }


@contextmanager
def _collecting(issues: list[str]) -> Iterator[None]:
    """Collect issues of entries instead of stopping at them."""
    try:
        yield
    except InputError as error:
        issues.append(str(error))


def _texts(rows: Any, field: str) -> Iterable[str]:
    """Yield the texts in a field of all rows; other values are reported when the image is loaded."""
    for row in rows if isinstance(rows, list) else ():
        value = row.get(field) if isinstance(row, dict) else None
        yield from (name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str))
