"""Arrows of relations: which ones are drawn, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenekit.keys import RELATIONS
from scenekit.visualization import draw_scene
from scenekit_plugins.relations import draw
from tests.graph.images import scene
from tests.visualization.scenes import gray_image


@pytest.mark.parametrize(("likely", "left_out"), [([0.9, 0.9, 0.9], 1), ([0.9, 0.1, 0.9], 0)])
def test_likely_relations_have_an_arrow_or_a_note_says_why(
    likely: list[float], left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(
        ("mug", "table", "person"), [(0, "on", 1), (1, "near", 0), (2, "near", 0)], None, None, [0.9, 0.8, 0.7]
    )
    probabilities = torch.zeros(3, 6)
    probabilities[:, 3] = torch.tensor(likely)
    made = replace(made, values={RELATIONS: replace(made[RELATIONS], probabilities=probabilities)})
    texts: list[str] = []
    drawn = draw.draw_tags
    monkeypatch.setattr(draw, "draw_tags", lambda image, tags: texts.extend(t.text for t in tags) or drawn(image, tags))
    draw_scene(made, gray_image(made), layers=["relations"])
    assert sorted(text for text in texts if text in ("on", "near")) == ["near", "on"]
    assert any(text.startswith(f"{left_out} more without an arrow") for text in texts) == bool(left_out)
