"""Messages from plain values: nested dictionaries by the names of fields; those that are left out are 0 or empty.

So that the same functions describe a message of rosbags, whose fields depend on the distribution, and one of rclpy.
"""

from __future__ import annotations

import functools
import importlib
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Mapping[str, Any]
"""Values of a message by the names of its fields; messages within it are values, too."""


DEFAULTS: Mapping[str, Values] = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}
"""Fields that are not 0 where they are left out, by type."""


@dataclass(frozen=True)
class Described:
    """A message that is to be written: its topic below a prefix, its type and its values."""

    topic: str
    """Name of the topic below the prefix of all topics, such as "markers"."""
    type: str
    """Name of the type, such as "std_msgs/msg/String"."""
    values: Values
    """Its values."""


def rosbags_message(store: Any, type: str, values: Values) -> Any:
    """Build a message of rosbags.

    Args:
        store: The typestore that has the type.
        type: Name of the type, such as "std_msgs/msg/String".
        values: Its values; a field that the type lacks is an error.

    Returns:
        The message.
    """
    _, fields = store.fielddefs[type]
    unknown = set(values) - {name for name, _ in fields}
    assert not unknown, f"{type} has no fields {sorted(unknown)}"
    values = {**DEFAULTS.get(type, {}), **values}
    return store.types[type](**{name: _rosbags_value(store, kind, values.get(name)) for name, kind in fields})


def _rosbags_value(store: Any, kind: Any, value: Any) -> Any:
    """Build the value of one field; None stands for 0 or empty."""
    node, what = kind
    if node.name == "NAME":
        return rosbags_message(store, what, value) if value else _empty_message(store, what)
    if node.name == "BASE":
        return _scalar(what[0], value)
    (inner, name), count = what
    if inner.name == "NAME":
        return [rosbags_message(store, name, item) for item in value or [{}] * count]
    if name[0] == "string":
        return [str(item) for item in value or [""] * count]
    if value is None:
        return np.zeros(count if node.name == "ARRAY" else 0, _dtype(name[0]))
    return np.ascontiguousarray(value, _dtype(name[0])).reshape(-1)


@functools.lru_cache
def _empty_message(store: Any, type: str) -> Any:
    """Return a message with all fields left out, one for all: messages are not changed once they are built."""
    return rosbags_message(store, type, {})


def _scalar(name: str, value: Any) -> Any:
    if name in ("string", "wstring"):
        return "" if value is None else str(value)
    if name == "bool":
        return bool(value)
    return _dtype(name).type(value or 0).item()


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype({"byte": "uint8", "char": "uint8", "bool": "bool"}.get(name, name))


def rclpy_message(type: str, values: Values) -> Any:
    """Build a message of rclpy, whose package must be installed.

    Args:
        type: Name of the type, such as "std_msgs/msg/String".
        values: Its values.

    Returns:
        The message.
    """
    message = ros_class(type)()
    kinds = message.get_fields_and_field_types()
    for name, value in values.items():
        setattr(message, name, _rclpy_value(kinds[name], value))
    return message


def ros_class(type: str) -> Any:
    """Import the class of a type of messages.

    Args:
        type: Name of the type, such as "std_msgs/msg/String" or "std_msgs/String".

    Returns:
        The class.
    """
    package, name = type.split("/")[0], type.split("/")[-1]
    return getattr(importlib.import_module(f"{package}.msg"), name)


def _rclpy_value(kind: str, value: Any) -> Any:
    """Build the value of one field, of a type such as "sequence<vision_msgs/Detection2D>"."""
    inner = re.sub(r"^sequence<(.*?)(, \d+)?>$|^(.*)\[\d+\]$", lambda match: match[1] or match[3], kind)
    if "/" in inner:
        return rclpy_message(inner, value) if inner == kind else [rclpy_message(inner, item) for item in value]
    if inner == kind:
        return value
    if inner.startswith("string"):
        return list(value)
    flat = np.ascontiguousarray(value).reshape(-1)
    return array("B", flat.tobytes()) if inner in ("uint8", "octet") else flat.tolist()
