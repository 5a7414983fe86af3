"""Ids of images, categories and annotations in files: integers or texts; 1.0 is the id 1."""

from collections.abc import Collection, Iterable

from scenekit.errors import InputError
from scenekit.io.records import Record, brief

Identity = int | str


def identity(record: Record, name: str) -> Identity:
    """Return a required field that is an id.

    Args:
        record: An entry of a file.
        name: Name of the field.

    Returns:
        An integer for whole numbers, else the text.

    Raises:
        InputError: If it is missing, or neither a whole number nor text.
    """
    value = record.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{record}: {name!r} must be an integer or text, not {brief(value)}")
    return value


def by_identity(records: Iterable[Record], name: str = "id") -> dict[Identity, Record]:
    """Index records by an id.

    Args:
        records: The records.
        name: Name of the field.

    Returns:
        Records by id, in their order.

    Raises:
        InputError: If two records share an id.
    """
    indexed: dict[Identity, Record] = {}
    for record in records:
        if (key := identity(record, name)) in indexed:
            raise InputError(f"{record}: the {name} {brief(key)} occurs twice")
        indexed[key] = record
    return indexed


def reference(record: Record, name: str, known: Collection[Identity]) -> Identity:
    """Return a required field that is the id of an existing entry.

    Args:
        record: The entry that refers.
        name: Name of the field.
        known: Ids that exist.

    Returns:
        The id.

    Raises:
        InputError: If it is missing, no id, or unknown.
    """
    key = identity(record, name)
    if key not in known:
        shown = brief(key)
        twin = next((other for other in known if str(other) == str(key)), None)
        hint = "" if twin is None else f"; it lists {brief(twin)}, an id of another type"
        raise InputError(f"{record}: {name!r} is {shown}, which the ground truth does not list{hint}")
    return key


def ordered(ids: Iterable[Identity]) -> list[Identity]:
    """Sort ids.

    Args:
        ids: Integers and texts.

    Returns:
        The integers, then the texts.
    """
    return sorted(ids, key=lambda key: (isinstance(key, str), key))
