"""Scene graphs as files: GraphML and JSON in networkx's node-link form; what is read equals what was written.

GraphML knows texts, numbers and truth values. A dictionary of finite numbers, such as a 3D box, is written as a number
per entry, `boxes3d/x`, so that every program can use them. Everything else (lists, other dictionaries, None, texts with
characters that XML does not allow or does not keep) is written as JSON under the attribute's name with `:json` behind
it. JSON has no NaN and no infinities: there a number stands as `{"$number": "nan"}`. Tuples come back as lists.
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

from scenekit.errors import InputError
from scenekit.graph.build import Graph
from scenekit.io.files import write_atomically

FORMAT_VERSION = 1
"""Version of the files."""

VERSION = "scenekit_graph"
"""Attribute of the whole graph that tells the version of a file; it is not among those of the graph itself."""

AS_JSON = ":json"
INSIDE = "/"
NUMBER, ESCAPED = "$number", "$"

NOT_IN_XML = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids (its section 2.2) or discourages, and the carriage return, which it does not keep."""

Attributes = dict[str, Any]
"""Of a node, an edge or the graph."""


def save_graph(graph: Graph, path: str | Path) -> None:
    """Write a graph whole or not at all: GraphML where `path` ends in .graphml, node-link JSON where it ends in .json.

    Nodes are the rows of objects, edges have whole numbers as keys, as in `Scene.graph`. Raises InputError for another
    suffix, for nodes that are no numbers, and for attributes whose values JSON cannot hold.
    """
    write, _ = format_of(path)
    if not all(isinstance(node, int) for node in graph):
        raise InputError("nodes 0, 1, 2, ... expected; networkx.convert_node_labels_to_integers gives such a graph")
    write_atomically(path, write(graph))


def load_graph(path: str | Path) -> Graph:
    """Read what `save_graph` wrote; InputError for anything else."""
    _, read = format_of(path)
    try:
        graph = read(Path(path).read_bytes())
        version = graph.graph.pop(VERSION, None)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ParseError, nx.NetworkXException, LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no graph that save_graph wrote: {error}") from error
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: graph format {version!r} can't be read; this scenekit reads format {FORMAT_VERSION}")
    return graph


def format_of(path: str | Path) -> tuple[Callable[[Graph], bytes], Callable[[bytes], Graph]]:
    """How a file of this name is written and read."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: a file name that ends in {' or '.join(FORMATS)} expected")
    return FORMATS[suffix]


def to_node_link(graph: Graph) -> bytes:
    """JSON as `networkx.node_link_graph(data, edges="edges")` reads it."""
    nodes = [joined({"id": node}, attributes) for node, attributes in graph.nodes.items()]
    edges = [
        joined({"source": subject, "target": target, "key": key}, attributes)
        for subject, target, key, attributes in graph.edges(keys=True, data=True)
    ]
    facts = packed({**graph.graph, VERSION: FORMAT_VERSION})
    data = {"directed": True, "multigraph": True, "graph": facts, "nodes": nodes, "edges": edges}
    return json.dumps(data, allow_nan=False).encode()


def joined(place: Attributes, attributes: Attributes) -> Attributes:
    """An entry of a node or edge; its attributes must not be called as what says which one it is."""
    if taken := place.keys() & attributes.keys():
        raise InputError(f"{sorted(taken)[0]!r} can't name an attribute in node-link JSON; choose another name")
    packed_attributes: Attributes = packed(attributes)
    return {**place, **packed_attributes}


def from_node_link(content: bytes) -> Graph:
    """The inverse of `to_node_link`."""
    data = json.loads(content)
    graph = nx.MultiDiGraph()
    graph.graph.update(unpacked(data["graph"]))
    graph.add_nodes_from((entry.pop("id"), unpacked(entry)) for entry in data["nodes"])
    ends = ("source", "target", "key")
    graph.add_edges_from([(*(entry.pop(end) for end in ends), unpacked(entry)) for entry in data["edges"]])
    return graph


def to_graphml(graph: Graph) -> bytes:
    """GraphML as `networkx.read_graphml` and drawing programs read it."""
    plain = converted(graph, to_xml)
    plain.graph[VERSION] = FORMAT_VERSION
    stream = io.BytesIO()
    nx.write_graphml_xml(plain, stream)
    return stream.getvalue()


def from_graphml(content: bytes) -> Graph:
    """The inverse of `to_graphml`."""
    plain = nx.read_graphml(io.BytesIO(content), node_type=int, edge_key_type=int, force_multigraph=True)
    for name in ("node_default", "edge_default"):
        plain.graph.pop(name, None)
    return converted(plain, from_xml)


def converted(graph: Graph, convert: Callable[[Attributes], Attributes]) -> Graph:
    """The same graph with other attributes."""
    other = nx.MultiDiGraph()
    other.graph.update(convert(graph.graph))
    other.add_nodes_from((node, convert(attributes)) for node, attributes in graph.nodes.items())
    other.add_edges_from([(*ends, convert(attributes)) for *ends, attributes in graph.edges(keys=True, data=True)])
    return other


FORMATS = {".graphml": (to_graphml, from_graphml), ".json": (to_node_link, from_node_link)}


def to_xml(attributes: Attributes) -> Attributes:
    """Attributes of types that GraphML knows."""
    written: Attributes = {}
    for name, value in attributes.items():
        if INSIDE not in name and is_numbers(value):
            written.update({f"{name}{INSIDE}{entry}": number for entry, number in value.items()})
        else:
            written.update([xml_entry(name, value)])
    return written


def is_numbers(value: Any) -> bool:
    """Whether a value is a dictionary of finite numbers under names that GraphML can hold."""
    if not isinstance(value, dict) or not value:
        return False
    numbers = all(isinstance(n, bool | int) or (isinstance(n, float) and math.isfinite(n)) for n in value.values())
    return numbers and all(is_name(name) and INSIDE not in name and not name.endswith(AS_JSON) for name in value)


def is_name(name: object) -> bool:
    """Whether GraphML can hold an attribute of this name."""
    return isinstance(name, str) and bool(name) and not NOT_IN_XML.search(name) and not re.search(r"[\t\n]", name)


def xml_entry(name: str, value: Any) -> tuple[str, Any]:
    """The name and value under which GraphML keeps an attribute."""
    if not is_name(name):
        raise InputError(f"{name!r} can't name an attribute in GraphML; choose another name or write JSON")
    is_plain = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    is_text = isinstance(value, str) and value != "" and not NOT_IN_XML.search(value)
    if (is_plain or is_text) and not name.endswith(AS_JSON) and INSIDE not in name:
        return name, value
    return name + AS_JSON, json.dumps(packed(value), allow_nan=False)


def from_xml(attributes: Attributes) -> Attributes:
    """The inverse of `to_xml`."""
    found: Attributes = {}
    for name, value in attributes.items():
        whole, is_inside, entry = name.partition(INSIDE)
        if name.endswith(AS_JSON):
            found[name.removesuffix(AS_JSON)] = unpacked(json.loads(value))
        elif is_inside:
            found.setdefault(whole, {})[entry] = value
        else:
            found[name] = value
    return found


def packed(value: Any) -> Any:
    """`value` in the types of JSON, so that `unpacked` gives it back."""
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"names expected in the dictionaries of a graph, got {strange[0]!r}; make it a text")
        return {ESCAPED + key if key.startswith(ESCAPED) else key: packed(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [packed(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else {NUMBER: str(value)}
    if value is None or isinstance(value, str | int):
        return value
    raise InputError(
        f"a graph holds texts, numbers, None, lists and dictionaries of them; got {type(value).__name__}; `.tolist()`"
        " turns arrays and tensors into lists"
    )


def unpacked(value: Any) -> Any:
    """The inverse of `packed`."""
    if isinstance(value, dict):
        if value.keys() == {NUMBER}:
            return float(value[NUMBER])
        return {key.removeprefix(ESCAPED): unpacked(entry) for key, entry in value.items()}
    return [unpacked(entry) for entry in value] if isinstance(value, list) else value
