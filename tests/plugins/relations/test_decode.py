"""From judgements to relations, against Scene-Graph-Benchmark's post-processing and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scenekit.structures import Regions
from scenekit_plugins.relations.decode import best_relations, known_labels, named_by_root, new_labels

REFERENCE = Path(__file__).parents[2] / "reference" / "scene_graph" / "sg_postprocess.npz"


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    with np.load(REFERENCE) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def objects(arrays: dict[str, Tensor], mode: str) -> Regions:
    """As a detector of ours gives them: no box and no label for background, its logits last."""
    boxes, logits = arrays[f"{mode}_boxes_per_cls"], arrays[f"{mode}_obj_logits"]
    index = torch.zeros(len(boxes), dtype=torch.int64)
    last = torch.cat((logits[:, 1:], logits[:, :1]), dim=1)
    return Regions(boxes[:, 0], index, index, class_logits=last, class_boxes=boxes[:, 1:])


@pytest.mark.parametrize("mode", ["gtbox", "sgdet"])
def test_equal_to_the_benchmark(arrays: dict[str, Tensor], mode: str) -> None:
    regions = objects(arrays, mode)
    assert regions.class_logits is not None
    labels, scores = new_labels(regions, regions.class_logits, distinct=mode == "gtbox")
    assert torch.equal(labels + 1, arrays[f"{mode}_out_labels"])
    torch.testing.assert_close(scores, arrays[f"{mode}_out_scores"], atol=1e-6, rtol=0)
    probabilities = arrays[f"{mode}_rel_logits"].softmax(dim=1)
    found = best_relations(scores, arrays[f"{mode}_pairs"], probabilities, limit=20)
    wanted = arrays[f"{mode}_out_pairs"][:20]
    assert torch.equal(torch.stack((found.subject, found.object), dim=1), wanted)
    assert torch.equal(found.predicate + 1, arrays[f"{mode}_out_rel_labels"][:20])
    assert found.probabilities is not None
    torch.testing.assert_close(found.probabilities, arrays[f"{mode}_out_rel_probs"][:20, 1:], atol=1e-6, rtol=0)


def test_images_are_labelled_each_by_itself(arrays: dict[str, Tensor]) -> None:
    one = objects(arrays, "sgdet")
    two = Regions.cat([one, one])
    apart = Regions(
        two.boxes, torch.arange(2).repeat_interleave(len(one)), two.labels, None, two.class_logits, two.class_boxes
    )
    assert one.class_logits is not None and apart.class_logits is not None
    labels, _ = new_labels(one, one.class_logits, distinct=False)
    assert torch.equal(new_labels(apart, apart.class_logits, distinct=False)[0], labels.repeat(2))


def test_scores_multiply() -> None:
    scores, pairs = torch.tensor([0.5, 1.0, 0.8]), torch.tensor([[0, 1], [1, 2]])
    shares = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.1, 0.3]])
    found = best_relations(scores, pairs, shares, limit=5)
    assert found.predicate.tolist() == [0, 1] and found.score is not None
    torch.testing.assert_close(found.score, torch.tensor([0.35, 0.24]))
    assert len(best_relations(scores, pairs, shares, limit=1)) == 1
    assert len(best_relations(scores, pairs[:0], shares[:0], limit=5)) == 0


def test_objects_are_named_by_the_regions_that_they_come_from() -> None:
    everything = Regions(torch.rand(6, 4), torch.zeros(6, dtype=torch.int64), torch.arange(6))
    own = everything.subset(torch.tensor([1, 4, 5]))
    found = best_relations(torch.ones(3), torch.tensor([[0, 2]]), torch.tensor([[0.0, 1.0]]), limit=5)
    told = named_by_root(found, own, (torch.tensor([7, 8, 9]), torch.tensor([0.1, 0.2, 0.3])))
    assert (told.subject.tolist(), told.object.tolist()) == ([1], [5])
    assert told.labels is not None and told.labels.tolist() == [-1, 7, -1, -1, 8, 9]
    assert named_by_root(found, own, None).labels is None


def test_what_has_no_score_is_certain() -> None:
    labels, scores = known_labels(Regions(torch.rand(2, 4), torch.tensor([0, 0]), torch.tensor([3, 1])))
    assert labels.tolist() == [3, 1] and scores.tolist() == [1.0, 1.0]
