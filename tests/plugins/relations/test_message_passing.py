"""Iterative message passing against the states and logits of Scene-Graph-Benchmark's IMPContext, and step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scenekit_plugins.relations.message_passing import MessagePassing

REFERENCE = Path(__file__).parents[2] / "reference" / "scene_graph" / "sg_imp_context.npz"
NAMES = {
    "node_input": "obj_unary",
    "edge_input": "edge_unary",
    "node_gru": "node_gru",
    "edge_gru": "edge_gru",
    "from_subject": "sub_vert_w_fc.0",
    "from_object": "obj_vert_w_fc.0",
    "to_subject": "out_edge_w_fc.0",
    "to_object": "in_edge_w_fc.0",
}
"""Ours: the benchmark's."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    with np.load(REFERENCE) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def network(arrays: Mapping[str, Tensor], order: str = "synchronous") -> MessagePassing:
    passing = MessagePassing(24, 40, 16, int(arrays["num_iter"]), order)  # type: ignore[arg-type]
    state = {
        f"{ours}.{rest}": arrays[f"weight.{theirs}.{rest}"]
        for ours, theirs in NAMES.items()
        for rest in dict(getattr(passing, ours).named_parameters())
    }
    passing.load_state_dict(state)
    return passing.eval()


def pairs(arrays: Mapping[str, Tensor]) -> Tensor:
    """Rows of all images' objects; the one object of the third stands in a pair with itself."""
    starts = [0, *arrays["num_objects"].cumsum(0).tolist()]
    return torch.cat([arrays[f"img{i}_pairs"] + starts[i] for i in range(3)])


@torch.no_grad()
def test_equal_to_the_benchmark_after_every_exchange(arrays: dict[str, Tensor]) -> None:
    inputs = (arrays["obj_features"], arrays["union_features"], pairs(arrays))
    states = list(network(arrays).states(*inputs))
    assert len(states) == int(arrays["num_iter"]) + 1
    for t, (node, edge) in enumerate(states):
        torch.testing.assert_close(node, arrays[f"node_state_iter{t}"], atol=1e-5, rtol=0)
        torch.testing.assert_close(edge, arrays[f"edge_state_iter{t}"], atol=1e-5, rtol=0)
    node, edge = states[-1]
    for state, layer, logits in ((node, "obj_fc", "obj_logits"), (edge, "rel_fc", "rel_logits")):
        found = nn.functional.linear(state, arrays[f"weight.{layer}.weight"], arrays[f"weight.{layer}.bias"])
        torch.testing.assert_close(found, arrays[logits], atol=1e-5, rtol=0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(weights: Mapping[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """torch's GRUCell of one row: h' = (1 - z) n + z h."""
    gates_x = np.split(weights["weight_ih"] @ x + weights["bias_ih"], 3)
    gates_h = np.split(weights["weight_hh"] @ h + weights["bias_hh"], 3)
    reset, keep = (sigmoid(gates_x[i] + gates_h[i]) for i in (0, 1))
    new = np.tanh(gates_x[2] + reset * gates_h[2])
    return np.asarray((1 - keep) * new + keep * h)


def by_hand(arrays: Mapping[str, Tensor], original: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One node and one edge after the other, from the equations alone."""
    weights = {
        ours: {
            name.removeprefix(f"weight.{theirs}."): value.double().numpy()
            for name, value in arrays.items()
            if name.startswith(f"weight.{theirs}.")
        }
        for ours, theirs in NAMES.items()
    }

    def gate(name: str, node: np.ndarray, edge: np.ndarray) -> float:
        return float(sigmoid(weights[name]["weight"][0] @ np.concatenate((node, edge)) + weights[name]["bias"][0]))

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(weights[name]["weight"] @ x + weights[name]["bias"])

    ends = pairs(arrays).tolist()
    zero = np.zeros(16)
    nodes = [gru(weights["node_gru"], layer("node_input", x), zero) for x in arrays["obj_features"].double().numpy()]
    edges = [
        gru(weights["edge_gru"], np.maximum(layer("edge_input", u), 0), zero)
        for u in arrays["union_features"].double().numpy()
    ]
    yield np.stack(nodes), np.stack(edges)
    for _ in range(int(arrays["num_iter"])):
        new_edges = []
        for (s, o), edge in zip(ends, edges, strict=True):
            message = gate("from_subject", nodes[s], edge) * nodes[s] + gate("from_object", nodes[o], edge) * nodes[o]
            new_edges.append(gru(weights["edge_gru"], message, edge))
        heard = new_edges if original else edges
        messages = [zero.copy() for _ in nodes]
        for (s, o), edge in zip(ends, heard, strict=True):
            messages[s] += gate("to_subject", nodes[s], edge) * edge
            messages[o] += gate("to_object", nodes[o], edge) * edge
        nodes = [gru(weights["node_gru"], m, h) for m, h in zip(messages, nodes, strict=True)]
        edges = new_edges
        yield np.stack(nodes), np.stack(edges)


@torch.no_grad()
@pytest.mark.parametrize("order", ["synchronous", "original"])
def test_equal_to_the_equations_one_by_one(arrays: dict[str, Tensor], order: str) -> None:
    states = network(arrays, order).states(arrays["obj_features"], arrays["union_features"], pairs(arrays))
    for (node, edge), (wanted_node, wanted_edge) in zip(states, by_hand(arrays, order == "original"), strict=True):
        np.testing.assert_allclose(node.numpy(), wanted_node, atol=1e-5)
        np.testing.assert_allclose(edge.numpy(), wanted_edge, atol=1e-5)


@torch.no_grad()
def test_an_object_alone_hears_nothing() -> None:
    passing = MessagePassing(3, 5, 4, 2)
    nodes = torch.randn(1, 3)
    node, edge = passing(nodes, torch.zeros(0, 5), torch.zeros(0, 2, dtype=torch.int64))
    expected = passing.node_gru(passing.node_input(nodes))
    for _ in range(2):
        expected = passing.node_gru(torch.zeros(1, 4), expected)
    torch.testing.assert_close(node, expected)
    assert edge.shape == (0, 4)
