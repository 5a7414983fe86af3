"""Reading annotation files with errors that name the file and the entry."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, one_line
from scenekit.io.files import read_text

LARGEST = 1e12
"""Largest number of a label, so that sums, areas and volumes of such numbers are finite in single precision."""

LONGEST_WHOLE = 300
"""Digits of a whole number that is read as one; longer ones are read as floating point, most of them infinite."""


@dataclass(frozen=True)
class Record:
    """One JSON object of a list in a file, with its position for error messages.

    All methods raise InputError for a missing or invalid field.
    """

    data: dict[str, Any]
    """The object."""
    path: Path
    """The file."""
    noun: str
    """Kind of entry, such as "annotation"."""
    index: int
    """Position in the list."""
    shown: str = ""
    """How messages name it; by its id or position, if empty."""

    def __str__(self) -> str:
        if self.shown:
            return self.shown
        identity = f"id {_short(str(self.data['id']))}" if "id" in self.data else f"number {self.index}"
        return f"{self.path}: {self.noun} {identity}"

    def with_data(self, data: dict[str, Any]) -> "Record":
        """Return an entry at the same place; `dataclasses.replace` takes three times as long, for each of a million.

        Args:
            data: Its object.

        Returns:
            The entry.
        """
        shown = str(self) if isinstance(self.data.get("id"), str) else self.shown  # by the id that the file has
        return Record(data, self.path, self.noun, self.index, shown)

    def get(self, name: str) -> Any:
        """Return a required field.

        Args:
            name: Name of the field.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing.
        """
        if name not in self.data:
            raise InputError(f"{self} has no {name!r}")
        return self.data[name]

    def integer(self, name: str) -> int:
        """Return a required field that is an integer of 64 bits; 1.0 is 1, as programs for tables write it.

        Args:
            name: Name of the field.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing or invalid.
        """
        value = whole_number(self.get(name))
        if value is None:
            raise InputError(f"{self}: {name!r} must be an integer, not {brief(self.data[name])}")
        return value

    def number(self, name: str) -> float:
        """Return a required field that is a finite number.

        Args:
            name: Name of the field.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing or invalid.
        """
        value = self.get(name)
        if not is_number(value):
            raise InputError(f"{self}: {name!r} must be a finite number{_limit([value])}, not {brief(value)}")
        return float(value)

    def flag(self, name: str, required: bool = False) -> bool:
        """Return a field that is 0, 1, false or true.

        Args:
            name: Name of the field.
            required: Whether a missing field, or one that is null, is an error instead of False.

        Returns:
            Its value.

        Raises:
            InputError: If it is invalid, or missing though required.
        """
        value = self.get(name) if required else self.data.get(name)
        value = 0 if value is None and not required else value
        if value not in (0, 1):
            raise InputError(f"{self}: {name!r} must be 0 or 1, not {brief(value)}")
        return bool(value)

    def text(self, name: str) -> str:
        """Return a required field that is text.

        Args:
            name: Name of the field.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing or invalid.
        """
        value = self.get(name)
        if not isinstance(value, str):
            raise InputError(f"{self}: {name!r} must be text, not {brief(value)}")
        return value

    def numbers(self, name: str, count: int) -> list[float | int]:
        """Return a required field that is a list of finite numbers.

        Args:
            name: Name of the field.
            count: Expected number of entries.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing or invalid.
        """
        value = self.get(name)
        if not isinstance(value, list) or not all(map(is_number, value)):
            limit = _limit(value if isinstance(value, list) else [])
            raise InputError(f"{self}: {name!r} must be {count} finite numbers{limit}, not {brief(value)}")
        if len(value) != count:
            raise InputError(f"{self}: {name!r} must be {count} numbers, not {len(value)}")
        return value

    def reference(self, name: str, known: Collection[int]) -> int:
        """Return a required field that is the id of an existing entry.

        Args:
            name: Name of the field.
            known: Ids that exist.

        Returns:
            Its value.

        Raises:
            InputError: If it is missing, not an integer or unknown.
        """
        value = self.integer(name)
        if value not in known:
            raise InputError(f"{self}: {name!r} is {value}, which the ground truth does not list")
        return value

    def records(self, name: str, noun: str) -> "list[Record]":
        """Return a required field that is a list of objects.

        Args:
            name: Name of the field.
            noun: Kind of its entries for error messages.

        Returns:
            The entries.

        Raises:
            InputError: If it is missing or invalid.
        """
        return records_of(self.get(name), self.path, f"{noun} of {self.noun} {self.index}")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InputError: If it cannot be read or is not valid JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str | bytes, origin: object) -> Any:
    """Parse JSON; whole numbers of more digits than Python converts become floating point.

    Args:
        text: The text.
        origin: What error messages begin with, such as the path of the file.

    Returns:
        Its content.

    Raises:
        InputError: If it is not valid JSON, or nested too deeply.
    """
    try:
        try:
            return json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except ValueError:
            return json.loads(text, parse_int=parse_whole)
    except RecursionError:
        raise InputError(f"{origin} is not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{origin} is not valid JSON: {one_line(error)}") from None


def parse_whole(digits: str) -> int | float:
    """Parse a whole number of JSON, of any length.

    Args:
        digits: Its digits, with or without a sign.

    Returns:
        The number; floating point, which may be infinite, for more than `LONGEST_WHOLE` digits.
    """
    return int(digits) if len(digits) <= LONGEST_WHOLE else float(digits)


def read_records(data: Any, path: Path, name: str, noun: str) -> list[Record]:
    """Return a list of objects that is a field of a JSON document.

    Args:
        data: The document.
        path: Its file, for error messages.
        name: Name of the field.
        noun: Kind of its entries for error messages.

    Returns:
        The entries.

    Raises:
        InputError: If the document is not an object or has no such list.
    """
    if not isinstance(data, Mapping) or name not in data:
        raise InputError(f"{path}: expected a JSON object with a list {name!r}, got {brief(data)}")
    return records_of(data[name], path, noun)


def records_of(data: Any, path: Path, noun: str) -> list[Record]:
    """Convert a JSON list of objects to records.

    Args:
        data: The list.
        path: Its file, for error messages.
        noun: Kind of its entries for error messages.

    Returns:
        The entries.

    Raises:
        InputError: If it is not a list of objects.
    """
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise InputError(f"{path}: expected a list of objects, one per {noun}, got {brief(data)}")
    return [Record(entry, path, noun, index) for index, entry in enumerate(data)]


def by_id(records: list[Record], name: str = "id") -> dict[int, Record]:
    """Index records by an integer field.

    Args:
        records: The records.
        name: Name of the field.

    Returns:
        Records by its value.

    Raises:
        InputError: If two records share a value.
    """
    records_by_id: dict[int, Record] = {}
    for record in records:
        if (key := record.integer(name)) in records_by_id:
            raise InputError(f"{record}: the {name} {key} occurs twice")
        records_by_id[key] = record
    return records_by_id


def is_number(value: Any) -> bool:
    """Return whether a value is a number of JSON that labels can have: finite, at most `LARGEST` in magnitude.

    Args:
        value: Any value.

    Returns:
        False for booleans, NaN and numbers that are infinite in single precision too.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def whole_number(value: Any) -> int | None:
    """Return a value as an integer of 64 bits.

    Args:
        value: Any value of JSON.

    Returns:
        The integer, also of 1.0; None for any other value.
    """
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else None
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else None


def brief(value: Any) -> str:
    """Format a value for an error message, at most 90 characters long.

    Args:
        value: Any value of JSON.

    Returns:
        JSON, or the field names of an object.
    """
    if isinstance(value, Mapping):
        return _short("an object with the fields " + (", ".join(map(str, value)) or "(none)"))
    try:
        return _short(json.dumps(value))
    except (ValueError, RecursionError):  # more digits than Python prints, or nested too deeply
        return f"a {type(value).__name__} that is too long to be shown"


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:87]}..."


def _limit(values: list[Any]) -> str:
    """Return the limit for a message where a finite number exceeds it."""
    large = any(isinstance(value, int | float) and LARGEST < abs(value) < float("inf") for value in values)
    return f" of at most {LARGEST:g}" if large else ""
