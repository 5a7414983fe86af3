"""Decoding of scene graphs, held against Scene-Graph-Benchmark's post-processing and cases worked by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scenekit_plugins.relations.triplets import (
    RankedTriplets,
    best_labels,
    foreground,
    ranked,
    suppressed_labels,
)

REFERENCE = Path(__file__).parents[2] / "reference" / "scene_graph" / "sg_postprocess.npz"


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    with np.load(REFERENCE) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def assert_ranked(ranked: RankedTriplets, arrays: dict[str, Tensor], mode: str) -> None:
    assert torch.equal(ranked.pairs, arrays[f"{mode}_out_pairs"])
    assert torch.equal(ranked.predicate, arrays[f"{mode}_out_rel_labels"])
    torch.testing.assert_close(ranked.probabilities, arrays[f"{mode}_out_rel_probs"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["gtbox", "sgdet"])
def test_equal_to_the_benchmark(arrays: dict[str, Tensor], mode: str) -> None:
    probabilities, boxes = foreground(arrays[f"{mode}_obj_logits"]), arrays[f"{mode}_boxes_per_cls"]
    labels = best_labels(probabilities) if mode == "gtbox" else suppressed_labels(probabilities, boxes)
    assert torch.equal(labels, arrays[f"{mode}_out_labels"])
    rows = torch.arange(len(labels))
    scores = probabilities[rows, labels]
    torch.testing.assert_close(scores, arrays[f"{mode}_out_scores"], atol=1e-6, rtol=0)
    if mode == "sgdet":
        torch.testing.assert_close(boxes[rows, labels], arrays["sgdet_out_boxes"], atol=1e-6, rtol=0)
    assert_ranked(ranked(scores, arrays[f"{mode}_pairs"], arrays[f"{mode}_rel_logits"].softmax(dim=-1)), arrays, mode)


def test_the_second_of_two_overlapping_objects_takes_its_next_class() -> None:
    probabilities = torch.tensor([[0.0, 0.9, 0.05], [0.0, 0.8, 0.1], [0.0, 0.7, 0.2]])
    boxes = torch.tensor([[0.0, 0, 9, 9], [1, 0, 10, 9], [50, 50, 60, 60]])[:, None].expand(3, 3, 4)
    assert suppressed_labels(probabilities, boxes).tolist() == [1, 2, 1]
    assert best_labels(probabilities).tolist() == [1, 1, 1]


def test_equal_scores_keep_their_order() -> None:
    pairs = torch.tensor([[0, 1], [1, 0], [0, 2]])
    logits = torch.tensor([[5.0, 1, 0], [5.0, 1, 0], [0.0, 0, 5]])
    found = ranked(torch.ones(3), pairs, logits.softmax(dim=-1))
    assert found.order.tolist() == [2, 0, 1] and found.predicate.tolist() == [2, 1, 1]


def test_without_objects_and_pairs() -> None:
    empty = torch.zeros(0, 4)
    assert suppressed_labels(foreground(empty), torch.zeros(0, 4, 4)).shape == (0,)
    found = ranked(torch.zeros(0), torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 3))
    assert found.pairs.shape == (0, 2)
