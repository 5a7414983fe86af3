"""Files of class-agnostic boxes, in the layout of COCO's results: lists of objects with image, bbox and score.

Letters: P boxes of a file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.io.files import drafted
from scenekit.io.records import brief, is_number, read_json, records_of, whole_number

ImageName = int | str
"""What an entry calls its image: the name of its file, or the id that the data set has for it."""

CATEGORY = 1
"""The category of every written box: COCO's program reads one, though it does not compare them."""


@dataclass(frozen=True, eq=False)
class ProposalTable:
    """The boxes of a file."""

    path: Path
    """The file."""
    images: Sequence[ImageName]
    """The image of each box: its file, where the entry names one, else its id."""
    boxes: Float[np.ndarray, "P 4"]
    """x0, y0, x1, y1 in pixels of the stored images."""
    scores: Float[np.ndarray, " P"]
    """0 to 1."""
    files_by_id: Mapping[int, str] = field(default_factory=dict)
    """The file of each image whose entries have both."""

    @cached_property
    def rows(self) -> dict[ImageName, Int[np.ndarray, " _"]]:
        """The rows of each image, best first; equal scores keep the order of the file."""
        names = {name: number for number, name in enumerate(dict.fromkeys(self.images))}
        numbers = np.fromiter((names[name] for name in self.images), dtype=np.int64, count=len(self.images))
        order = np.lexsort((-self.scores, numbers))
        parts = np.split(order, np.cumsum(np.bincount(numbers, minlength=len(names)))[:-1]) if names else []
        return dict(zip(names, parts, strict=True))

    def name_of(self, id: int | None, path: str | None) -> ImageName | None:
        """Find what the entries call an image: its file, whose folders they may leave out, or its id.

        An id does not count where the entries that have it name another file: ids of two data sets, or of two splits,
        may be the same.

        Args:
            id: Its id within its data set.
            path: Its file.

        Returns:
            The name, a key of `rows`; None where no entry names the image.
        """
        ends = [] if path is None else [path, *_ends(path)]
        if (named := next((name for name in ends if name in self.rows), None)) is not None:
            return named
        if id is None or id not in self.files_by_id:
            return id if id in self.rows else None
        file = self.files_by_id[id]
        return file if path is None or Path(path).as_posix() in _ends(file) else None


def read_proposals(path: str | Path) -> ProposalTable:
    """Read a file of proposals.

    Args:
        path: The file, a JSON list of `{"image_id" or "file_name" or both, "bbox": [x, y, width, height], "score"}`.

    Returns:
        Its boxes.

    Raises:
        InputError: Names the file and the entry that is wrong: a missing field, a box that is empty or not finite, a
            score that is not within 0..1.
    """
    path = Path(path)
    entries = [record.data for record in records_of(read_json(path), path, "proposal")]
    boxes = [_box(entry, path, row) for row, entry in enumerate(entries)]
    scores = [_score(entry, path, row) for row, entry in enumerate(entries)]
    images = [_image(entry, path, row) for row, entry in enumerate(entries)]
    xywh = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    both = {(id, name) for entry, name in zip(entries, images, strict=True) if (id := _id(entry)) is not None}
    shared = Counter(id for id, _ in both)  # an id of two files names neither
    files = {id: name for id, name in both if isinstance(name, str) and shared[id] == 1}
    return ProposalTable(path, images, xyxy, np.array(scores, dtype=np.float64), files)


def write_proposals(
    path: str | Path,
    images: Iterable[tuple[int | None, str | None, Float[np.ndarray, "_ 4"], Float[np.ndarray, " _"]]],
) -> int:
    """Write a file of proposals, atomically, an image at a time; coordinates are rounded to a hundredth of a pixel.

    Args:
        path: The file.
        images: Of each image its id, its file (one of them may be None), boxes x0, y0, x1, y1 in its own pixels, and
            scores.

    Returns:
        The number of boxes.

    Raises:
        InputError: The file cannot be written.
    """
    count = 0
    with drafted(path) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for id, file, boxes, scores in images:
            names = {name: value for name, value in (("image_id", id), ("file_name", file)) if value is not None}
            for entry in _entries(names, boxes, scores):
                stream.write(f"{',' if count else ''}\n{json.dumps(entry, ensure_ascii=False)}")
                count += 1
        stream.write("\n]\n")
    return count


def _entries(
    names: Mapping[str, ImageName], boxes: Float[np.ndarray, "_ 4"], scores: Float[np.ndarray, " _"]
) -> Iterator[dict[str, Any]]:
    for (x0, y0, x1, y1), score in zip(boxes.tolist(), scores.tolist(), strict=True):
        box = [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
        if min(box[2:]) > 0:  # less than half a hundredth of a pixel is none
            yield {**names, "category_id": CATEGORY, "bbox": box, "score": round(score, 6)}


def _box(entry: dict[str, Any], path: Path, row: int) -> list[float | int]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{_place(entry, path, row)}: 'bbox' must be four finite numbers, got {brief(box)}")
    if box[2] <= 0 or box[3] <= 0:
        raise InputError(
            f"{_place(entry, path, row)}: 'bbox' is x, y, width, height with both sides above 0, got {brief(box)}; "
            "leave empty boxes out"
        )
    return box


def _score(entry: dict[str, Any], path: Path, row: int) -> float:
    score = entry.get("score")
    if not is_number(score) or not 0 <= float(score) <= 1:  # type: ignore[arg-type]
        raise InputError(
            f"{_place(entry, path, row)}: 'score' must be a number of 0..1, got {brief(score)}; scale other scores, "
            "of which only the order counts"
        )
    return float(score)  # type: ignore[arg-type]


def _image(entry: dict[str, Any], path: Path, row: int) -> ImageName:
    name, number = entry.get("file_name"), _id(entry)
    if isinstance(name, str) and name:
        return name
    if number is None:
        raise InputError(
            f"{_place(entry, path, row)}: needs 'image_id', a whole number, or 'file_name', text, got "
            f"{brief(entry.get('image_id'))} and {brief(name)}"
        )
    return number


def _id(entry: dict[str, Any]) -> int | None:
    return whole_number(entry.get("image_id"))


def _ends(path: str) -> list[str]:
    """Return the ends of a path, whole names each, the longest first."""
    parts = Path(path).parts
    return [Path(*parts[start:]).as_posix() for start in range(len(parts))]


def _place(entry: dict[str, Any], path: Path, row: int) -> str:
    names = [f"{field} {brief(entry[field])}" for field in ("image_id", "file_name") if field in entry]
    return f"{path}: entry {row}{f' ({names[0]})' if names else ''}"
