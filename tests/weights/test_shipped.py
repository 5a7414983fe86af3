"""The models that come with scenekit."""

from __future__ import annotations

from pathlib import Path

import scenekit as sk
from scenekit.weights import label_space_of, shipped
from scenekit_plugins.events.matching import span_iou

LARGEST = 30e6
"""Upper limit of the bytes of a shipped model."""


def test_each_has_a_card_and_is_small() -> None:
    assert {"photo", "small"} == shipped().keys()
    for folder in shipped().values():
        assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# `{folder.name}`")
        assert (folder / "model.safetensors").stat().st_size < LARGEST


def test_small_tells_what_happens_in_a_clip() -> None:
    """Most events of a clip that it has not learned from are found, each with a sentence."""
    model, clip = sk.load("small"), sk.clips("synthetic_clips", split="test", frames=20, rate=4)[0]
    assert model.clip_tasks == ("events",) and "events" not in model.tasks
    events = sk.predict_clip(model, clip)[sk.EVENTS]
    near = span_iou(clip.events.spans, events.spans) > 0.5
    recall, precision = (float(near.any(dim=dim).float().mean()) for dim in (1, 0))
    assert recall >= 0.5 and precision >= 0.5
    assert all(text.startswith(("a ", "an ")) and len(text.split()) >= 3 for (text,) in events.captions.texts)


def test_photo_sees_what_is_in_a_photograph(repository: Path) -> None:
    """A woman walks from a table, on a wooden floor, before a white wall."""
    scene = sk.load("photo").predict(repository / "docs" / "images" / "walking.jpg")
    assert {"person", "dining table"} <= set(scene.names())
    labels = scene.vocabulary.labels
    values = scene[sk.SEMANTIC]
    assert labels[int(values[30, 300])] == "wall" and labels[int(values[400, 100])] == "floor"
    person = scene.names().index("person")
    masks = scene[sk.MASKS].dense[person]
    assert masks[200, 620] and not masks[200, 100]
    assert scene.camera is not None and scene.camera.assumed
    boxes = scene[sk.BOXES3D]
    assert 2.0 < float(boxes.center[person, 2]) < 8.0 and 1.0 < float(boxes.size[person, 1]) < 2.2
    assert {row.item() for row in scene.rows_with(sk.BOXES3D).nonzero()} == {
        row for row, name in enumerate(scene.names()) if name in ("person", "dining table")
    }
    space = label_space_of("photo")
    assert space is not None and space.data["coco"].rename["zebra"] == "animal"
