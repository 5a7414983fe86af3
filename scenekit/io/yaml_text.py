"""Reading YAML that people write, such as recipes and values on the command line, with errors of one line."""

from __future__ import annotations

from typing import Any

import yaml

from scenekit.errors import InputError, one_line

DEEPEST = 50
"""How many sections may lie inside each other."""

MOST_VALUES = 10_000_000
"""How many values a document may have once its aliases are replaced by what they stand for."""

LARGEST = 2**63
"""Integers from here on, and below its negative, fit no 64 bits."""


def load_yaml(text: str, origin: str, names: bool = False) -> Any:
    """Parse one YAML document of plain data.

    Args:
        text: The document.
        origin: What error messages begin with, such as the path of the file.
        names: Whether all that stands without quotes is text, but for null: `on`, `no` and `1` are names, too.

    Returns:
        Nested dictionaries, lists and values.

    Raises:
        InputError: If the text is not YAML, names a key twice, is nested deeper than any recipe or larger than any once
            its aliases are expanded, or has an integer of more than 64 bits.
    """
    try:
        _check_depth(text)
        loader = (_NameLoader if names else _Loader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_VALUES:
            raise InputError(f"expected at most {MOST_VALUES:,} values, got more once the aliases (*) are expanded")
        return loader.construct_document(node)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{origin}: expected YAML; {_explained(error)}") from None
    except RecursionError:
        raise InputError(f"{origin}: {_TOO_DEEP}") from None
    except ValueError as error:  # a date such as 2024-13-45
        raise InputError(f"{origin}: {one_line(error)}") from None


_TOO_DEEP = f"nested too deeply; expected at most {DEEPEST} sections or lists inside each other"


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses keys that occur twice, missing spaces and endless integers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"the key {_cut(twice)} occurs twice{_place(node)}; leave one of them out")
        for key, value in node.value:
            _check_space(key, value)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Return the integer of a scalar."""
        if len(node.value) < 100 and -LARGEST <= (value := int(self.construct_yaml_int(node))) < LARGEST:
            return value
        raise InputError(f"expected an integer of at most 64 bits, got {_cut(node.value)}{_place(node)}")


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


class _NameLoader(_Loader):
    """A loader for which everything but null is text."""


_NameLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _check_depth(text: str) -> None:
    """Raise InputError for a document that is nested too deeply; its events are read without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InputError(_TOO_DEEP)


def _check_space(key: yaml.Node, value: yaml.Node) -> None:
    """Raise InputError for `{a:b}`, which YAML reads as the key "a:b" without a value."""
    empty = isinstance(value, yaml.ScalarNode) and value.value == "" and value.style is None
    if empty and isinstance(key, yaml.ScalarNode) and key.style is None and ":" in key.value:
        name, _, rest = key.value.partition(":")
        raise InputError(f"{_cut(key.value)} has no value; write {name}: {rest} with a space after the colon")


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of values in a node, each as often as it is referred to; `sizes` are those of other nodes."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES  # what a node that holds itself sees
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        nodes = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in nodes)
    return sizes[id(node)]


def _explained(error: yaml.YAMLError) -> str:
    """Return what the parser expected, and where."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return one_line(error)


def _place(node: yaml.Node) -> str:
    return f" in line {node.start_mark.line + 1}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:20]}...{text[-5:]}") + ("" if len(text) <= 40 else _length(text))


def _length(text: str) -> str:
    return f" ({len(text)} characters)"
