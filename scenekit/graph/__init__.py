"""The graph of a scene: objects are nodes, relations are edges.

`Scene.graph` builds it; this package answers queries on it, and reads and writes its files.
"""

from scenekit.graph.export import load_graph, save_graph
from scenekit.graph.query import Match, find

__all__ = ["Match", "find", "load_graph", "save_graph"]
