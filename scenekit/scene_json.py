"""Parts of a scene as plain JSON, and back, with errors that name the part.

Letters: N regions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.fields.conversion import floats
from scenekit.fields.frame import Edges, Frame
from scenekit.io.files import plain
from scenekit.io.records import brief
from scenekit.keys import Key
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.moments import Moment
from scenekit.structures.objects import Objects
from scenekit.structures.vocabulary import Vocabulary

FORMAT_VERSION = 1
"""Version of the JSON that `Scene.save` writes."""

WRONG = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
"""What entries of another form than `Scene.save` writes may raise."""


def camera_json(camera: Camera | None) -> dict[str, Any] | None:
    return None if camera is None else {"matrix": camera.matrix.tolist(), "assumed": camera.assumed}


def moment_json(moment: Moment) -> dict[str, Any]:
    pose = None if moment.pose is None else moment.pose.tolist()
    return {"time": moment.time, "number": moment.number, "pose": pose}


def regions_json(regions: Objects) -> dict[str, Any]:
    return {name: None if value is None else plain(value.tolist()) for name, value in vars(regions).items()}


def regions_from_json(entry: Any) -> Objects:
    if not isinstance(entry, Mapping):
        raise InputError(f"expected an object with boxes and labels, got {brief(entry)}")
    kinds = {"labels": torch.int64, "ids": torch.int64, "crowd": torch.bool, "ignore": torch.bool}
    columns: dict[str, Any] = {
        name: torch.tensor(floats(entry[name]), dtype=kinds.get(name, torch.float32))
        for name in ("boxes", "labels", "scores", "ids", "crowd", "ignore", "area")
        if entry.get(name) is not None
    }
    if not bool(columns["boxes"].isfinite().all()):
        raise InputError("boxes must be finite numbers")
    check_magnitudes(*columns.values())
    return Objects(**{**columns, "boxes": columns["boxes"].reshape(-1, 4)})


def blanked(entries: list[Any], valid: list[bool]) -> list[Any]:
    return [entry if there else None for entry, there in zip(entries, valid, strict=True)]


def read_rows(
    key: Key[Any, Any], entry: Any, size: Size, vocabulary: Vocabulary
) -> tuple[Any, Bool[Tensor, " N"] | None]:
    if key.of is None or None not in entry:
        return _decoded(key, entry, size, vocabulary), None
    valid = torch.tensor([row is not None for row in entry])
    present = _decoded(key, [row for row in entry if row is not None], size, vocabulary)
    return key.field.scatter(present, valid.nonzero()[:, 0], len(entry)), valid


def _decoded(key: Key[Any, Any], entry: Any, size: Size, vocabulary: Vocabulary) -> Any:
    """Return the value; one without rows has the fixed sides that its key declares, which JSON cannot say."""
    value = key.field.decode(entry, size, vocabulary)
    check_magnitudes(value, *getattr(value, "__dict__", {}).values())
    if entry or key.of is None or key.shape is None or not isinstance(value, Tensor):
        return value
    sides = zip(key.shape[1:], value.shape[1:], strict=False)
    return value.new_zeros((0, *(side if isinstance(side, int) else length for side, length in sides)))


def check_numbers(entry: Any) -> None:
    """Raise InputError if a number is NaN or infinite, such as 1e999: JSON has none, so it could not be saved again."""
    if isinstance(entry, float) and not math.isfinite(entry):
        raise InputError(f"there is a number {entry}, which JSON lacks; expected a finite one, or null for unknown")
    if isinstance(entry, list) and _has_finite_sum(entry):
        return
    for part in entry.values() if isinstance(entry, Mapping) else entry if isinstance(entry, list | tuple) else ():
        check_numbers(part)


def _has_finite_sum(entries: list[Any]) -> bool:
    """Return whether all entries are finite numbers, as most lists of a scene; False also where sums overflow."""
    try:
        return math.isfinite(sum(entries))
    except (TypeError, OverflowError):
        return False


def check_magnitudes(*parts: Any) -> None:
    """Raise InputError if a tensor holds an infinite number, as of a finite one that its type cannot hold."""
    for part in parts:
        if isinstance(part, Tensor) and part.is_floating_point() and bool(part.isinf().any()):
            largest = torch.finfo(part.dtype).max
            raise InputError(f"a number is too large; expected at most {largest:.3g} in magnitude, or null for unknown")


def json_text(data: Mapping[str, Any]) -> str:
    """Return the text of a file; numbers that are not finite, which a plugin's or unknown entry may hold, are null."""
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError:
        return json.dumps(plain(data), allow_nan=False)


def check_format(data: Mapping[str, Any]) -> None:
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(f"scene format {version!r} can't be read; this scenekit reads format {FORMAT_VERSION}")


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Raise what entries of another form raise within the context as InputError that names the part of the file.

    Args:
        part: Name of the entry of the JSON.

    Raises:
        InputError: If reading the part fails.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{part}: {error}") from error
    except WRONG as error:
        name = f"{type(error).__name__} {one_line(error, 120)}"
        raise InputError(f"{part}: expected what Scene.save writes, got an entry that fails: {name}") from error


def image_from_json(entry: Any) -> tuple[Size, str | None, Camera | None, Moment | None]:
    """Return size, path, camera and moment of the image."""
    if not isinstance(entry, Mapping):
        raise InputError(f"expected an object with width and height, got {brief(entry)}")
    size, path, camera = (entry["height"], entry["width"]), entry.get("path"), entry.get("camera")
    if not all(type(side) is int and 0 < side < 2**31 for side in size):
        raise InputError(f"height and width must be whole numbers above 0, got {brief(list(size))}")
    if path is not None and not isinstance(path, str):
        raise InputError(f"path must be text or null, got {brief(path)}")
    moment = None if entry.get("moment") is None else _moment_from_json(entry["moment"])
    if camera is None:
        return size, path, None, moment
    return size, path, Camera(torch.tensor(camera["matrix"], dtype=torch.float32), bool(camera["assumed"])), moment


def _moment_from_json(entry: Mapping[str, Any]) -> Moment:
    time, number, pose = entry["time"], entry["number"], entry["pose"]
    if type(number) is not int or type(time) not in (int, float):
        raise InputError(f"moment: expected seconds and a whole number, got {brief([time, number])}")
    return Moment(float(time), number, None if pose is None else torch.tensor(floats(pose), dtype=torch.float64))


def names_from_json(name: str, entry: Any) -> tuple[str, ...]:
    """Return a list of names."""
    if not isinstance(entry, list) or not all(isinstance(part, str) for part in entry):
        raise InputError(f"{name}: expected a list of names, got {brief(entry)}")
    return tuple(entry)


def check_labels(labels: Tensor, names: tuple[str, ...]) -> None:
    """Raise InputError unless all labels are in the vocabulary; a negative one would count from its end."""
    wrong = labels[(labels < 0) | (labels >= len(names))].tolist()
    if wrong:
        raise InputError(f"there is a label {wrong[0]}, but the vocabulary has {len(names)} things, counted from 0")


def check_value(key: Key[Any, Any], value: Any, frame: Frame) -> None:
    """Raise an error unless a value can be written, described, and made edges of a graph, and fits the vocabulary."""
    edges = key.field.edges(value, frame.vocabulary) if key.of is None else None
    if edges is not None:
        check_ends(edges, len(frame.boxes))
    else:
        result = key.field.validate(value, frame)
        if result.issues and (result.value is None or key.field.lists):
            raise InputError(f"{result.issues[0].kind}: {result.issues[0].message}")
    key.field.encode(value, frame.vocabulary)
    if key.of is not None:
        key.field.describe(value, frame.vocabulary, 0.0)


def check_ends(edges: Edges, count: int) -> None:
    """Raise InputError unless subjects and objects of edges exist.

    Args:
        edges: The edges.
        count: Number of objects of the scene.

    Raises:
        InputError: If an edge names another object.
    """
    for role, rows in (("subject", edges.subject), ("object", edges.object)):
        outside = ((rows < 0) | (rows >= count)).nonzero()[:, 0].tolist()
        if outside:
            row = outside[0]
            raise InputError(
                f"entry {row}: object {int(rows[row])} is its {role}, but the scene has {count} objects, counted"
                " from 0; remove the entry or fix it"
            )
