"""VG150's file of objects and relations (Xu et al. 2017), VG-SGG.h5 or VG-SGG-with-attri.h5, read with h5py.

All images follow each other in its arrays. It is opened anew for each image, so that the data set can be copied to
other processes.

Letters: I images, N objects, R relations, A attributes of an object at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from scenekit.errors import InputError, one_line
from scenekit.structures.vocabulary import Vocabulary

SCALES = (1024, 512)
"""Lengths of the longer side of the images that the file has boxes for, the finer one first."""

OF_IMAGES = ("split", "img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel")
"""Arrays with a number for each image; the last ones are rows, -1 without any."""

OF_RELATIONS = ("predicates", "relationships")
"""Arrays with a row for each relation; boxes, labels and attributes have one for each object. Numbers of names begin
with 1; attributes are filled up with 0."""


class Rows(NamedTuple):
    """The rows of one image."""

    first: int
    """Row of its first object in the file."""
    boxes: Shaped[np.ndarray, "N 4"]
    """Centers, widths and heights in pixels of an image whose longer side is `GraphFile.scale`."""
    labels: Int[np.ndarray, " N"]
    """Numbers of the classes."""
    attributes: Int[np.ndarray, "N A"] | None
    """Numbers of the attributes; None where the file has none."""
    relations: Int[np.ndarray, "R 3"]
    """Rows of subject and object among the image's objects, and number of the predicate."""


@dataclass(frozen=True, eq=False)
class GraphFile:
    """The file with what it says of whole images."""

    path: Path
    """The file."""
    scale: int
    """Length of the longer side of images, in pixels of the boxes."""
    images: Int[np.ndarray, "I 5"]
    """The columns `OF_IMAGES`."""
    has_attributes: bool
    """Whether it has attributes."""

    @property
    def split(self) -> Int[np.ndarray, " I"]:
        """0 for train, 1 for val, 2 for test; -1 for images without an object."""
        split: Int[np.ndarray, " I"] = np.where(self.images[:, 1] >= 0, self.images[:, 0], -1)
        return split

    @property
    def related(self) -> np.ndarray:
        """Whether each image has a relation."""
        mask: np.ndarray = self.images[:, 3] >= 0
        return mask

    def rows(self, image: int) -> Rows:
        """Read the rows of an image.

        Args:
            image: Row of the image in the file.

        Returns:
            Its rows.

        Raises:
            InputError: If the file cannot be read.
        """
        first, last, first_relation, last_relation = self.images[image, 1:].tolist()
        first, objects = max(first, 0), slice(max(first, 0), last + 1)
        relations = slice(max(first_relation, 0), last_relation + 1)
        with reading(self.path) as file:
            pairs = file["relationships"][relations].astype(np.int64) - first
            predicates = file["predicates"][relations].astype(np.int64).reshape(-1, 1)
            return Rows(
                first,
                file[f"boxes_{self.scale}"][objects],
                file["labels"][objects].astype(np.int64).reshape(-1),
                file["attributes"][objects].astype(np.int64) if self.has_attributes else None,
                np.concatenate((pairs, predicates), axis=1),
            )


def open_graphs(path: Path, vocabulary: Vocabulary) -> GraphFile:
    """Open the file and check its arrays against each other and against the names.

    Args:
        path: The file.
        vocabulary: The names that its numbers mean, in their order.

    Returns:
        The file.

    Raises:
        InputError: If h5py is missing, the file is damaged, an array is missing or of another length, or the
            vocabulary has too few names.
    """
    with reading(path) as file:
        scale = next((scale for scale in SCALES if f"boxes_{scale}" in file), SCALES[0])
        has_attributes = "attributes" in file
        objects = (f"boxes_{scale}", "labels", *(["attributes"] if has_attributes else []))
        _require(file, path, (*objects, *OF_RELATIONS, *OF_IMAGES))
        lengths = [_length(file, path, names) for names in (objects, OF_RELATIONS, OF_IMAGES)]
        _check_shapes(file, path, scale)
        _check_names(file, path, vocabulary)
        images = np.stack([file[name][:].reshape(-1) for name in OF_IMAGES], axis=1).astype(np.int64)
    for columns, count in ((slice(1, 3), lengths[0]), (slice(3, 5), lengths[1])):
        if images[:, columns].max(initial=-1) >= count:
            raise InputError(f"{path}: {OF_IMAGES[columns.start]} leads behind the end of the {count} rows; {AGAIN}")
    return GraphFile(path, scale, images, has_attributes)


def read_split(path: Path) -> Int[np.ndarray, " I"]:
    """Read the array of splits alone.

    Args:
        path: The file.

    Returns:
        0 for train, 1 for val, 2 for test.

    Raises:
        InputError: If h5py is missing or the file is damaged or has no such array.
    """
    with reading(path) as file:
        _require(file, path, ("split",))
        split: Int[np.ndarray, " I"] = file["split"][:].astype(np.int64).reshape(-1)
    return split


AGAIN = "download the file again"


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """Provide a context in which the file is open.

    Args:
        path: The file.

    Returns:
        A context manager of the file.

    Raises:
        InputError: If h5py is missing or the file cannot be read.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f'{path} needs h5py to be read ({error}); pip install "scenekit[h5]"') from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, KeyError, RuntimeError) as error:  # of a file that is cut off, or of another format
        raise InputError(f"{path} cannot be read as HDF5 ({one_line(error)}); {AGAIN}") from None


def _require(file: Any, path: Path, names: tuple[str, ...]) -> None:
    """Check that there are arrays of numbers with these names."""
    if missing := [name for name in names if name not in file]:
        known = ", ".join(file) or "nothing"
        raise InputError(f"{path} has no {missing[0]!r}; expected VG150's VG-SGG.h5, which has it, got {known}")
    for name in names:
        kind = getattr(getattr(file[name], "dtype", None), "kind", "")
        if kind not in ("i", "u", "f") or not file[name].shape:
            raise InputError(f"{path}: {name!r} must be an array of numbers; {AGAIN}")


def _length(file: Any, path: Path, names: Sequence[str]) -> int:
    """Return the number of rows of arrays that must agree."""
    lengths = {name: int(file[name].shape[0]) for name in names}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{path}: expected as many rows in each of these arrays, got {shown}; {AGAIN}")
    return next(iter(lengths.values()))


def _check_shapes(file: Any, path: Path, scale: int) -> None:
    for name, columns in ((f"boxes_{scale}", 4), ("relationships", 2), ("labels", 1), ("predicates", 1)):
        shape = tuple(file[name].shape)
        if int(np.prod(shape[1:])) != columns:
            raise InputError(f"{path}: {name!r} must have {columns} columns, got the shape {list(shape)}")


def _check_names(file: Any, path: Path, vocabulary: Vocabulary) -> None:
    """Check that the vocabulary has a name for every number."""
    pairs = {"labels": vocabulary.things, "predicates": vocabulary.predicates, "attributes": vocabulary.attributes}
    for name, names in pairs.items():
        largest = int(file[name][:].max(initial=0)) if name in file else 0
        if largest > len(names):
            raise InputError(
                f"{path}: {name!r} counts to {largest}, but the vocabulary has {len(names)} names; give the"
                " VG-SGG-dicts.json that belongs to the file as the option vocabulary"
            )
