"""Reading annotation files: every complaint names the file and the entry."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit.errors import InputError


@dataclass(frozen=True)
class Record:
    """One JSON object of a list in a file, with what is needed to name it in an error."""

    data: dict[str, Any]
    path: Path
    noun: str
    index: int

    def __str__(self) -> str:
        identity = f"id {self.data['id']}" if "id" in self.data else f"number {self.index}"
        return f"{self.path}: {self.noun} {identity}"

    def get(self, name: str) -> Any:
        """The field `name`, which must be there."""
        if name not in self.data:
            raise InputError(f"{self} has no {name!r}")
        return self.data[name]

    def integer(self, name: str) -> int:
        """The field `name`, which must be a whole number that 64 bits hold."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
            raise InputError(f"{self}: {name!r} must be an integer, not {brief(value)}")
        return value

    def number(self, name: str) -> float:
        """The field `name`, which must be a finite number."""
        value = self.get(name)
        if not is_number(value):
            raise InputError(f"{self}: {name!r} must be a finite number, not {brief(value)}")
        return float(value)

    def flag(self, name: str, required: bool = False) -> bool:
        """The field `name`, which must be 0, 1, false or true; False where it is absent, unless it is required."""
        value = self.get(name) if required else self.data.get(name, 0)
        if value not in (0, 1):
            raise InputError(f"{self}: {name!r} must be 0 or 1, not {brief(value)}")
        return bool(value)

    def text(self, name: str) -> str:
        """The field `name`, which must be text."""
        value = self.get(name)
        if not isinstance(value, str):
            raise InputError(f"{self}: {name!r} must be text, not {brief(value)}")
        return value

    def numbers(self, name: str, count: int) -> list[float | int]:
        """The field `name`, which must be `count` finite numbers."""
        value = self.get(name)
        if not isinstance(value, list) or not all(map(is_number, value)):
            raise InputError(f"{self}: {name!r} must be {count} finite numbers, not {brief(value)}")
        if len(value) != count:
            raise InputError(f"{self}: {name!r} must be {count} numbers, not {len(value)}")
        return value

    def reference(self, name: str, known: Collection[int]) -> int:
        """The field `name`, which must be the id of something `known`."""
        value = self.integer(name)
        if value not in known:
            raise InputError(f"{self}: {name!r} is {value}, which the ground truth does not list")
        return value

    def records(self, name: str, noun: str) -> "list[Record]":
        """The list of objects in the field `name`."""
        return records_of(self.get(name), self.path, f"{noun} of {self.noun} {self.index}")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None


def read_records(data: Any, path: Path, name: str, noun: str) -> list[Record]:
    """The list `name` of the JSON object that the file `path` holds."""
    if not isinstance(data, Mapping) or name not in data:
        raise InputError(f"{path}: expected a JSON object with a list {name!r}, got {brief(data)}")
    return records_of(data[name], path, noun)


def records_of(data: Any, path: Path, noun: str) -> list[Record]:
    """A JSON list of objects."""
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise InputError(f"{path}: expected a list of objects, one per {noun}, got {brief(data)}")
    return [Record(entry, path, noun, index) for index, entry in enumerate(data)]


def by_id(records: list[Record], name: str = "id") -> dict[int, Record]:
    """Records by their integer field `name`, which no two share."""
    found: dict[int, Record] = {}
    for record in records:
        if (key := record.integer(name)) in found:
            raise InputError(f"{record}: the {name} {key} occurs twice")
        found[key] = record
    return found


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number of JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def brief(value: Any) -> str:
    """`value` for an error message: the fields of an object, at most 90 characters."""
    if isinstance(value, Mapping):
        text = "an object with the fields " + (", ".join(map(str, value)) or "(none)")
    else:
        text = json.dumps(value)
    return text if len(text) <= 90 else f"{text[:87]}..."
