"""A task without weights on a model that is loaded already."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.model.added import with_keys
from tests import tiny


@pytest.fixture(scope="module")
def model() -> sk.SceneModel:
    torch.manual_seed(0)
    return sk.build(tiny.config(("masks", "semantic")), tiny.VOCABULARY).eval()


def image() -> torch.Tensor:
    return tiny._image(torch.full(tiny.SIZE, tiny.FLOOR), 1)


def test_the_other_outputs_stay_to_the_bit(model: sk.SceneModel) -> None:
    more = sk.with_task(model, "appearance")
    before, after = (one.predict(image(), threshold=0.0) for one in (model, more))
    assert sk.APPEARANCE in after and sk.APPEARANCE not in before and len(before.objects) > 0
    found = after.to_json()
    assert {name: value for name, value in found.items() if name != "appearance"} == before.to_json()
    assert torch.equal(before.objects.boxes, after.objects.boxes)


def test_weights_and_modes_are_shared(model: sk.SceneModel) -> None:
    more = sk.with_task(model, "appearance", pooled=4)
    assert {id(part) for part in more.parameters()} == {id(part) for part in model.parameters()}
    assert more.tasks == ("masks", "semantic", "appearance") and model.tasks == ("masks", "semantic")
    assert more.config.tasks["appearance"] == {"pooled": 4} and "appearance" not in model.config.tasks
    assert not more.training and not any(module.training for module in more.modules())
    assert more.core_stages == model.core_stages


def test_it_is_saved_and_loaded_with_the_task(model: sk.SceneModel, tmp_path: Path) -> None:
    from scenekit.weights import save_model

    save_model(sk.with_task(model, "appearance"), tmp_path / "model")
    loaded = sk.load(str(tmp_path / "model"))
    scene = loaded.predict(image(), threshold=0.0)
    assert scene[sk.APPEARANCE].shape == (len(scene.objects), 16)


def test_panoptic_is_one_too(model: sk.SceneModel) -> None:
    scene = sk.with_task(model, "panoptic", score_threshold=0.0).predict(image(), threshold=0.0)
    assert scene[sk.PANOPTIC].ids.shape == tiny.SIZE


def test_a_task_that_is_there_already(model: sk.SceneModel) -> None:
    more = sk.with_task(model, "appearance")
    assert sk.with_task(more, "appearance") is more
    with pytest.raises(InputError, match="has the task 'appearance' already, with options of its own"):
        sk.with_task(more, "appearance", pooled=4)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("apearance", {}, "unknown task 'apearance'; did you mean 'appearance'"),
        ("appearance", {"size": 7}, "task 'appearance'.*size"),
        ("keypoints", {}, "'keypoints' has weights to train; add it by `scenekit train --add-task keypoints`"),
    ],
)
def test_tasks_that_cannot_be_added(model: sk.SceneModel, task: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.with_task(model, task, **options)


def test_a_model_without_objects_cannot_have_it() -> None:
    config = sk.ModelConfig.model_validate(
        {**tiny.config(("semantic",)).model_dump(), "detector": None, "detector_options": {}}
    )
    model = sk.build(config, tiny.VOCABULARY).eval()
    with pytest.raises(InputError, match="appearance"):
        sk.with_task(model, "appearance")
    assert with_keys(model, (sk.APPEARANCE,)) is model


def test_keys_that_a_tracker_uses(model: sk.SceneModel) -> None:
    """What has weights is not added; what is there already stays."""
    more = with_keys(model, (sk.MASKS, sk.BOXES3D, sk.APPEARANCE))
    assert more.tasks == ("masks", "semantic", "appearance")
    assert with_keys(more, (sk.APPEARANCE,)) is more
