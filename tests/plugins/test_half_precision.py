"""Texts, attributes and relations in reduced precision: under autocast, and by a network that is all in bfloat16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit.hooks import registry
from scenekit.structures.tensors import map_tensors
from scenekit.testing.bench import Bench, set_up
from scenekit.testing.images import VOCABULARY

CASES: list[tuple[str, dict[str, Any]]] = [
    ("attributes", {}),
    ("captions", {}),
    ("captions", {"decoder": "transformer", "search": {"method": "beam"}}),
    ("relations", {"transformer": {"width": 8, "heads": 2, "masks": True}}),
    ("relations", {"predictor": "imp"}),
    ("relations", {"predictor": "frequency"}),
    ("boxes3d", {"fcs": [8]}),
    ("meshes", {"voxels": {"pooled": 4, "convs": 1}, "extent": {"pooled": 4, "fcs": [8]}, "max_verts": 200}),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())])[:40])
def bench(request: pytest.FixtureRequest) -> Bench:
    name, options = request.param
    if options.get("decoder") == "transformer":
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    return set_up(registry().get("task", name), options, VOCABULARY)


def test_losses_under_autocast_are_near_and_reach_what_they_did(bench: Bench) -> None:
    exact = bench.learn(bench.samples())
    with torch.autocast("cpu", torch.bfloat16):
        losses = bench.learn(bench.samples())
    assert losses.keys() == exact.keys() and losses
    for name, loss in losses.items():
        assert loss.dtype == torch.float32, name
        torch.testing.assert_close(loss, exact[name], rtol=0.1, atol=0.05)
    for total in (sum(exact.values(), torch.zeros(())), sum(losses.values(), torch.zeros(()))):
        parameters = list(bench.head.parameters())
        gradients = torch.autograd.grad(total, parameters, allow_unused=True) if parameters else ()
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_predictions_under_autocast_are_in_full_precision(bench: Bench) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = bench.predict(bench.samples())
    assert kinds(found) <= {torch.float32, torch.int64}


def test_a_network_all_in_bfloat16_predicts(bench: Bench) -> None:
    batch, targets = bench.batch(bench.samples())
    narrow = bench.model_of({bench.name: bench.rebuilt(), **bench.others}).to(torch.bfloat16)
    try:
        with torch.no_grad():
            outputs = narrow(batch.to("cpu", torch.bfloat16), given=bench.regions(targets, learning=False))
            scenes = narrow.scenes(outputs, [bench.name])
    finally:
        bench.model.float()  # the stages are shared
    assert all(key in scene for scene in scenes for key in bench.spec.provides)


def kinds(values: Any) -> set[torch.dtype]:
    """The types of all tensors among the values."""
    found: set[torch.dtype] = set()

    def seen(value: Tensor) -> Tensor:
        found.add(value.dtype)
        return value

    map_tensors(seen, values)
    return found
