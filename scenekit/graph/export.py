"""Scene graphs as files: GraphML, and JSON in networkx's node-link form; a loaded graph equals the saved one.

GraphML holds texts, numbers and booleans. A dictionary of finite numbers, such as a 3D box, is written as a number per
entry, `boxes3d/x`, so that every program can use them. Everything else (lists, other dictionaries, None, texts with
characters that XML does not allow or does not keep) is written as JSON under the attribute's name followed by `:json`.
JSON has no NaN and no infinities: such a number is written as `{"$number": "nan"}`. Tuples are read as lists.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from scenekit.errors import InputError, one_line
from scenekit.graph.build import Graph
from scenekit.io.files import write_atomically
from scenekit.io.records import parse_json
from scenekit.scene_json import WRONG

FORMAT_VERSION = 1
"""Version of the files."""

VERSION = "scenekit_graph"
"""Attribute of the whole graph with the version of a file; it is not an attribute of the loaded graph."""

AS_JSON = ":json"
INSIDE = "/"
NUMBER, ESCAPED = "$number", "$"

NOT_IN_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids (its section 2.2) or discourages, and the carriage return, which it does not keep."""

Attributes = dict[str, Any]
"""Attributes of a node, an edge or the graph."""


def save_graph(graph: Graph, path: str | Path) -> None:
    """Write a graph atomically: GraphML if the path ends in .graphml, node-link JSON if it ends in .json.

    Nodes are the rows of objects, edges have integers as keys, as in `Scene.graph`.

    Args:
        graph: The graph.
        path: Path of the file.

    Raises:
        InputError: If the suffix is another one, nodes are not integers, or JSON cannot hold the value of an attribute.
    """
    write, _ = format_of(path)
    if not all(isinstance(node, int) for node in graph):
        raise InputError("expected nodes 0, 1, 2, ...; convert them by networkx.convert_node_labels_to_integers")
    write_atomically(path, write(graph))


def load_graph(path: str | Path) -> Graph:
    """Load a graph that `save_graph` wrote.

    Args:
        path: Path of the file.

    Returns:
        The graph.

    Raises:
        InputError: If the file cannot be read or was not written by `save_graph`.
    """
    _, read = format_of(path)
    try:
        graph = read(Path(path).read_bytes())
        version = graph.graph.pop(VERSION, None)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ParseError, nx.NetworkXException, *WRONG) as error:
        raise InputError(f"{path}: expected a graph that save_graph wrote ({one_line(error)})") from error
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: expected graph format {FORMAT_VERSION}, got {version!r}; use a matching scenekit")
    return graph


def format_of(path: str | Path) -> tuple[Callable[[Graph], bytes], Callable[[bytes], Graph]]:
    """Return the functions that write and read a file of this name.

    Args:
        path: Path of the file.

    Returns:
        Writer and reader.

    Raises:
        InputError: If the suffix is unknown.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: expected a file name that ends in {' or '.join(FORMATS)}")
    return FORMATS[suffix]


def to_node_link(graph: Graph) -> bytes:
    """Encode a graph as JSON that `networkx.node_link_graph(data, edges="edges")` reads.

    Args:
        graph: The graph.

    Returns:
        The content of the file.

    Raises:
        InputError: If JSON cannot hold an attribute.
    """
    nodes = [joined({"id": node}, attributes) for node, attributes in graph.nodes.items()]
    edges = [
        joined({"source": subject, "target": target, "key": key}, attributes)
        for subject, target, key, attributes in graph.edges(keys=True, data=True)
    ]
    attributes = packed({**graph.graph, VERSION: FORMAT_VERSION})
    data = {"directed": True, "multigraph": True, "graph": attributes, "nodes": nodes, "edges": edges}
    return json.dumps(data, allow_nan=False).encode()


def joined(place: Attributes, attributes: Attributes) -> Attributes:
    """Join the identity and the attributes of a node or edge.

    Args:
        place: Entries that identify the node or edge.
        attributes: Its attributes.

    Returns:
        The entry in node-link JSON.

    Raises:
        InputError: If an attribute has the name of an identifying entry.
    """
    if taken := place.keys() & attributes.keys():
        raise InputError(f"{sorted(taken)[0]!r} cannot name an attribute in node-link JSON; choose another name")
    packed_attributes: Attributes = packed(attributes)
    return {**place, **packed_attributes}


def from_node_link(content: bytes) -> Graph:
    """Decode a graph; the inverse of `to_node_link`.

    Args:
        content: The content of the file.

    Returns:
        The graph.
    """
    data = parse_json(content, "the graph")
    graph = nx.MultiDiGraph()
    graph.graph.update(unpacked(data["graph"]))
    graph.add_nodes_from((entry.pop("id"), unpacked(entry)) for entry in data["nodes"])
    ends = ("source", "target", "key")
    graph.add_edges_from([(*(entry.pop(end) for end in ends), unpacked(entry)) for entry in data["edges"]])
    return graph


def to_graphml(graph: Graph) -> bytes:
    """Encode a graph as GraphML that `networkx.read_graphml` and drawing programs read.

    Args:
        graph: The graph.

    Returns:
        The content of the file.

    Raises:
        InputError: If GraphML cannot hold an attribute.
    """
    plain = converted(graph, to_xml)
    plain.graph[VERSION] = FORMAT_VERSION
    stream = io.BytesIO()
    nx.write_graphml_xml(plain, stream)
    return stream.getvalue()


def from_graphml(content: bytes) -> Graph:
    """Decode a graph; the inverse of `to_graphml`.

    Args:
        content: The content of the file.

    Returns:
        The graph.
    """
    plain = nx.read_graphml(io.BytesIO(content), node_type=int, edge_key_type=int, force_multigraph=True)
    for name in ("node_default", "edge_default"):
        plain.graph.pop(name, None)
    return converted(plain, from_xml)


def converted(graph: Graph, convert: Callable[[Attributes], Attributes]) -> Graph:
    """Convert all attributes of a graph.

    Args:
        graph: The graph.
        convert: Converts the attributes of a node, an edge or the graph.

    Returns:
        A graph of the same nodes and edges.
    """
    other = nx.MultiDiGraph()
    other.graph.update(convert(graph.graph))
    other.add_nodes_from((node, convert(attributes)) for node, attributes in graph.nodes.items())
    other.add_edges_from([(*ends, convert(attributes)) for *ends, attributes in graph.edges(keys=True, data=True)])
    return other


FORMATS = {".graphml": (to_graphml, from_graphml), ".json": (to_node_link, from_node_link)}


def to_xml(attributes: Attributes) -> Attributes:
    """Convert attributes to types that GraphML knows.

    Args:
        attributes: Attributes of a node, an edge or the graph.

    Returns:
        The converted attributes.

    Raises:
        InputError: If GraphML cannot hold an attribute.
    """
    written: Attributes = {}
    for name, value in attributes.items():
        if INSIDE not in name and is_numbers(value):
            written.update({f"{name}{INSIDE}{entry}": number for entry, number in value.items()})
        else:
            written.update([xml_entry(name, value)])
    return written


def is_numbers(value: Any) -> bool:
    """Return whether a value is a dictionary of finite numbers under names that GraphML can hold.

    Args:
        value: The value.

    Returns:
        Whether it can be written as a number per entry.
    """
    if not isinstance(value, dict) or not value:
        return False
    numbers = all(isinstance(n, bool | int) or (isinstance(n, float) and math.isfinite(n)) for n in value.values())
    return numbers and all(is_name(name) and INSIDE not in name and not name.endswith(AS_JSON) for name in value)


def is_name(name: object) -> bool:
    """Return whether GraphML can hold an attribute of this name.

    Args:
        name: The name.

    Returns:
        Whether it can.
    """
    return isinstance(name, str) and bool(name) and not NOT_IN_XML.search(name) and not re.search(r"[\t\n]", name)


def xml_entry(name: str, value: Any) -> tuple[str, Any]:
    """Convert one attribute to a type that GraphML knows.

    Args:
        name: Name of the attribute.
        value: Its value.

    Returns:
        Name and value in GraphML.

    Raises:
        InputError: If GraphML cannot hold the name.
    """
    if not is_name(name):
        raise InputError(f"{name!r} cannot name an attribute in GraphML; choose another name or write JSON")
    is_plain = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    is_text = isinstance(value, str) and value != "" and not NOT_IN_XML.search(value)
    if (is_plain or is_text) and not name.endswith(AS_JSON) and INSIDE not in name:
        return name, value
    return name + AS_JSON, json.dumps(packed(value), allow_nan=False)


def from_xml(attributes: Attributes) -> Attributes:
    """Restore attributes; the inverse of `to_xml`.

    Args:
        attributes: Attributes in GraphML.

    Returns:
        The attributes of the graph.
    """
    restored: Attributes = {}
    for name, value in attributes.items():
        whole, is_inside, entry = name.partition(INSIDE)
        if name.endswith(AS_JSON):
            restored[name.removesuffix(AS_JSON)] = unpacked(parse_json(value, f"the attribute {name!r}"))
        elif is_inside:
            restored.setdefault(whole, {})[entry] = value
        else:
            restored[name] = value
    return restored


def packed(value: Any) -> Any:
    """Convert a value to the types of JSON, so that `unpacked` restores it.

    Args:
        value: The value.

    Returns:
        Plain data.

    Raises:
        InputError: If JSON cannot hold the value.
    """
    if isinstance(value, Mapping):
        if invalid := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"expected strings as keys in the dictionaries of a graph, got {invalid[0]!r}; convert it")
        return {ESCAPED + key if key.startswith(ESCAPED) else key: packed(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [packed(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else {NUMBER: str(value)}
    if value is None or isinstance(value, str | int):
        return value
    raise InputError(
        f"expected strings, numbers, None, lists or dictionaries of them as attributes, got {type(value).__name__};"
        " `.tolist()` converts arrays and tensors"
    )


def unpacked(value: Any) -> Any:
    """Restore a value; the inverse of `packed`.

    Args:
        value: Plain data.

    Returns:
        The value.
    """
    if isinstance(value, dict):
        if value.keys() == {NUMBER}:
            return float(value[NUMBER])
        return {key.removeprefix(ESCAPED): unpacked(entry) for key, entry in value.items()}
    return [unpacked(entry) for entry in value] if isinstance(value, list) else value
