"""A stand-in for rclpy and the Python packages of messages: strict about types, as the real ones are."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from scenekit.ros.definitions import typestore


def type_of(kind: Any) -> str:
    """The type of a field as `get_fields_and_field_types` has it."""
    node, what = kind
    if node.name == "BASE":
        return {"float64": "double", "float32": "float", "bool": "boolean"}.get(what[0], str(what[0]))
    if node.name == "NAME":
        return str(what).replace("/msg/", "/")
    inner = type_of(what[0])
    return f"{inner}[{what[1]}]" if node.name == "ARRAY" else f"sequence<{inner}>"


def checked(kind: str, value: Any) -> Any:
    """The value, as the setter of a message of rclpy demands it."""
    if kind == "string":
        assert type(value) is str
    elif kind == "boolean":
        assert type(value) is bool
    elif kind in ("double", "float"):
        assert type(value) is float
    elif kind.lstrip("u").startswith("int") and "[" not in kind:
        assert type(value) is int and -(2**31) <= value < 2**64
    elif kind == "sequence<uint8>":
        assert isinstance(value, array) and value.typecode == "B"
    elif "<" in kind or "[" in kind:
        assert isinstance(value, list)
        inner = kind.partition("<")[2].rstrip(">") or kind.partition("[")[0]
        assert all(one is not None and checked(inner, one) is one for one in value)
    else:
        assert value.name == kind, f"expected {kind}, got {value.name}"
    return value


def message_class(type: str) -> Any:
    """A class of messages with attributes that check what they are set to."""
    _, fields = typestore().fielddefs[type]
    kinds = {name: type_of(kind) for name, kind in fields}

    class Message:
        name = type.replace("/msg/", "/")

        def __setattr__(self, attribute: str, value: Any) -> None:
            object.__setattr__(self, attribute, checked(kinds[attribute], value))

        @staticmethod
        def get_fields_and_field_types() -> dict[str, str]:
            return dict(kinds)

    return Message


@dataclass
class Node:
    """Remembers what a node is asked for."""

    overrides: dict[str, Any]
    subscriptions: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    published: dict[str, list[Any]] = field(default_factory=dict)
    profiles: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    alive: bool = True

    def declare_parameter(self, name: str, default: Any) -> Any:
        return SimpleNamespace(value=self.overrides.get(name, default))

    def create_subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        self.subscriptions[topic] = callback
        self.profiles[topic] = (kind.name, qos)

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        self.profiles[topic] = (kind.name, qos)
        return SimpleNamespace(publish=self.published.setdefault(topic, []).append)

    def get_logger(self) -> Any:
        return SimpleNamespace(info=self.lines.append, warning=self.lines.append)

    def destroy_node(self) -> None:
        self.alive = False


def install(monkeypatch: pytest.MonkeyPatch, node: Node, absent: Collection[str] = ()) -> ModuleType:
    """Put the stand-ins where Python imports from; packages that are absent cannot be imported."""
    rclpy, qos = ModuleType("rclpy"), ModuleType("rclpy.qos")
    settings = {"started": [], "stopped": []}
    vars(rclpy).update(
        init=lambda args: settings["started"].append(args),
        create_node=lambda name: node,
        spin=lambda _: None,
        try_shutdown=lambda: settings["stopped"].append(True),
        settings=settings,
    )
    vars(qos).update(
        QoSProfile=lambda **options: SimpleNamespace(**options),
        ReliabilityPolicy=SimpleNamespace(BEST_EFFORT="best effort"),
        DurabilityPolicy=SimpleNamespace(TRANSIENT_LOCAL="lasting", VOLATILE="volatile"),
    )
    monkeypatch.setitem(sys.modules, "rclpy", rclpy)
    monkeypatch.setitem(sys.modules, "rclpy.qos", qos)
    packages: dict[str, dict[str, Any]] = {}
    for type in typestore().fielddefs:
        package, _, name = type.split("/")
        packages.setdefault(package, {})[name] = type
    for package, names in packages.items():
        module = ModuleType(f"{package}.msg")
        vars(module).update({name: message_class(type) for name, type in names.items()})
        monkeypatch.setitem(sys.modules, package, None if package in absent else ModuleType(package))  # type: ignore[misc]
        monkeypatch.setitem(sys.modules, f"{package}.msg", None if package in absent else module)  # type: ignore[misc]
    return rclpy
