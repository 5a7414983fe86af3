"""SceneModel: what tasks may rely on, held on a model that runs in milliseconds.

Losses and predictions are taken from a model in `eval` mode: what it does depends on targets, never on that mode, and
batch statistics of the backbone would let one image change another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import scenekit as sk
from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, PROPOSALS, SEMANTIC, Key
from scenekit.model.scene_model import Outputs, SceneModel
from scenekit.scene import Scene
from scenekit.structures import Regions
from tests.tiny import PERSON, SIZE, VOCABULARY, batch, config, empty, sample, unlabelled

LOSSES = {
    "proposals.objectness",
    "proposals.rpn_box",
    "detection.classification",
    "detection.box",
    "semantic.pixel",
    "masks.mask",
    "keypoints.keypoint",
}


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


def learn(model: SceneModel, *samples: Sample, tasks: Collection[str] | None = None) -> Outputs:
    return model(*batch(model, samples), tasks=tasks)


def look(model: SceneModel, *samples: Sample, **options: Any) -> Outputs:
    with torch.no_grad():
        return model(batch(model, samples)[0], **options)


def gradients(model: SceneModel, outputs: Outputs) -> dict[str, Tensor | None]:
    parameters = dict(model.named_parameters())
    total = torch.stack(list(outputs.losses.values())).sum()
    return dict(zip(parameters, torch.autograd.grad(total, list(parameters.values()), allow_unused=True), strict=True))


def equal(first: Any, second: Any) -> bool:
    """Board values of row keys and of the image."""
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    return all(torch.equal(vars(first)[name], vars(second)[name]) for name in vars(first))


# Learning


def test_every_task_has_finite_losses_that_reach_every_parameter(model: SceneModel) -> None:
    outputs = learn(model, sample(0), sample(1))
    assert outputs.losses.keys() == LOSSES
    assert all(loss.isfinite() and loss > 0 for loss in outputs.losses.values())
    found = gradients(model, outputs)
    assert not [name for name, gradient in found.items() if gradient is None or not gradient.isfinite().all()]


def test_images_without_objects(model: SceneModel) -> None:
    outputs = learn(model, empty(0), empty(1))
    losses = {name: float(loss.detach()) for name, loss in outputs.losses.items()}
    assert losses["masks.unlabelled"] == losses["keypoints.unlabelled"] == losses["detection.box"] == 0
    assert losses["proposals.objectness"] > 0 and losses["semantic.pixel"] > 0
    found = gradients(model, outputs)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in found.values())


def test_images_without_labels_teach_nothing_but_everything_takes_part(model: SceneModel) -> None:
    outputs = learn(model, unlabelled(0), unlabelled(1))
    assert all(loss == 0 for loss in outputs.losses.values())
    found = gradients(model, outputs)
    heads = {name: gradient for name, gradient in found.items() if name.startswith(("heads.", "stages.detection"))}
    assert heads and all(gradient is not None and not gradient.any() for gradient in found.values())


def test_a_label_that_is_missing_leaves_only_its_task_unlabelled(model: SceneModel) -> None:
    losses = learn(model, sample(keys=(SEMANTIC, MASKS))).losses
    assert losses["keypoints.unlabelled"] == 0
    assert losses.keys() - {"keypoints.unlabelled"} == LOSSES - {"keypoints.keypoint"}


def test_an_unlabelled_image_changes_no_mean_of_the_labelled_one(model: SceneModel) -> None:
    alone, both = learn(model, sample(0)).losses, learn(model, sample(0), unlabelled(1)).losses
    for name in LOSSES:
        torch.testing.assert_close(both[name], alone[name], rtol=1e-3, atol=1e-4)


def test_heads_learn_on_labelled_rows_only(model: SceneModel) -> None:
    """Keypoints only on persons, although cups are sampled too."""
    seen: list[Regions] = []
    head = model.heads["keypoints"]
    hook = head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][OBJECTS]))
    learn(model, sample(0), sample(1))
    hook.remove()
    (regions,) = seen
    assert regions.labels is not None and regions.matched is not None
    assert len(regions) > 0 and (regions.labels == PERSON).all() and (regions.matched >= 0).all()


def test_losses_depend_on_seeds_and_not_on_the_random_state(model: SceneModel) -> None:
    first = learn(model, sample(0)).losses
    torch.manual_seed(99)
    assert {name: loss.item() for name, loss in learn(model, sample(0)).losses.items()} == {
        name: loss.item() for name, loss in first.items()
    }


@pytest.mark.parametrize("left_out", ["semantic", "masks", "keypoints"])
def test_another_head_changes_no_head_s_losses(model: SceneModel, left_out: str) -> None:
    needs_it = () if left_out == "keypoints" else ("panoptic",)
    smaller = sk.build(config([name for name in model.tasks if name not in (left_out, *needs_it)]), VOCABULARY).eval()
    smaller.load_state_dict(model.state_dict(), strict=False)
    samples = sample(0), sample(1)
    whole, part = learn(model, *samples).losses, learn(smaller, *samples).losses
    assert part.keys() == {name for name in LOSSES if not name.startswith(left_out)}
    assert all(torch.equal(part[name], whole[name]) for name in part)


# Asking for less


def test_semantic_alone_never_runs_the_proposals(model: SceneModel) -> None:
    whole, alone = look(model, sample(0)), look(model, sample(0), tasks=["semantic"])
    assert set(alone.seconds) == {"backbone", "semantic"}
    assert torch.equal(alone.board[SEMANTIC], whole.board[SEMANTIC])


@pytest.mark.parametrize("asked", [["masks"], ["keypoints"], ["panoptic"], ["keypoints", "semantic"], ["detection"]])
def test_fewer_tasks_change_no_output(model: SceneModel, asked: list[str]) -> None:
    whole, part = look(model, sample(0), sample(1)), look(model, sample(0), sample(1), tasks=asked)
    assert set(asked) <= set(part.seconds) < set(whole.seconds)
    assert torch.equal(part.board[OBJECTS].boxes, whole.board[OBJECTS].boxes)
    for key in (MASKS, KEYPOINTS, SEMANTIC):
        if key in part.board:
            assert equal(part.board[key], whole.board[key])
    picture = sample(0).image
    scene = model.predict(picture, tasks=asked, threshold=0.0)
    assert {key.name for key in scene.values} == {name for name in asked if name != "detection"}


@pytest.mark.parametrize("asked", [["semantic"], ["masks"], ["keypoints"]])
def test_fewer_tasks_change_no_loss(model: SceneModel, asked: list[str]) -> None:
    whole, part = learn(model, sample(0)).losses, learn(model, sample(0), tasks=asked).losses
    assert any(name.startswith(asked[0]) for name in part)
    assert all(torch.equal(part[name], whole[name]) for name in part)


def test_an_unknown_task_is_named(model: SceneModel) -> None:
    with pytest.raises(InputError, match=r"no task 'mask'; did you mean 'masks'\?"):
        model.predict(sample().image, tasks=["mask"])


# Batches


def test_images_of_different_sizes(model: SceneModel) -> None:
    outputs = look(model, sample(0, (48, 64)), sample(1, (64, 80)), sample(2, (41, 57)))
    scenes = model.scenes(outputs)
    assert [scene.size for scene in scenes] == [(48, 64), (64, 80), (41, 57)]
    for scene in scenes:
        height, width = scene.size
        assert scene[SEMANTIC].shape == scene[PANOPTIC].ids.shape == scene.size
        assert scene[MASKS].size == scene.size and len(scene[MASKS]) == len(scene.objects) > 0
        limits = torch.tensor([width, height, width, height])
        assert (scene.objects.boxes >= 0).all() and (scene.objects.boxes <= limits).all()
    assert all(loss.isfinite() for loss in learn(model, sample(0, (48, 64)), sample(1, (64, 80))).losses.values())


def test_a_image_alone_equals_the_same_in_a_batch(model: SceneModel) -> None:
    """Of images of one size: a larger neighbour adds padding, whose rim the convolutions see."""
    both = model.scenes(look(model, sample(0), sample(1)))
    for number, inside in enumerate(both):
        (alone,) = model.scenes(look(model, sample(number)))
        torch.testing.assert_close(inside.objects.boxes, alone.objects.boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(inside.objects.scores, alone.objects.scores, rtol=0, atol=1e-4)
        torch.testing.assert_close(inside[KEYPOINTS].xy, alone[KEYPOINTS].xy, rtol=0, atol=1e-2, equal_nan=True)
        assert (inside[SEMANTIC] == alone[SEMANTIC]).float().mean() > 0.99
        assert (inside[MASKS].dense == alone[MASKS].dense).float().mean() > 0.99


def test_results_are_in_original_pixels(model: SceneModel) -> None:
    picture = torch.nn.functional.interpolate(sample().image[None].float() / 255, scale_factor=3.0)[0]
    scene = model.predict(picture, threshold=0.0)
    assert scene.size == (3 * SIZE[0], 3 * SIZE[1]) == scene[SEMANTIC].shape
    assert scene[MASKS].size == scene.size
    assert scene.objects.boxes.amax() > max(SIZE)


# Regions from outside


def given_boxes(model: SceneModel, labels: bool) -> Regions:
    """The ground truth of two images, in network pixels."""
    truth = batch(model, [sample(0), sample(1)])[1].streams[OBJECTS].regions
    return truth if labels else replace(truth, labels=None)


def test_given_objects_with_labels_replace_the_detector(model: SceneModel) -> None:
    given = given_boxes(model, labels=True)
    outputs = look(model, sample(0), sample(1), given={OBJECTS: given})
    assert not {"detection", "rpn", "proposals"} & set(outputs.seconds)
    first, second = model.scenes(outputs)
    for scene, rows in ((first, slice(0, 2)), (second, slice(2, 4))):
        assert torch.equal(scene.objects.boxes, given.boxes[rows])
        assert torch.equal(scene.objects.labels, given.labels[rows])
        assert len(scene[MASKS]) == 2 and scene.rows_with(KEYPOINTS).tolist() == [True, False]


def test_given_objects_without_labels_are_classified_where_they_are(model: SceneModel) -> None:
    given = given_boxes(model, labels=False)
    objects = look(model, sample(0), sample(1), given={OBJECTS: given}).board[OBJECTS]
    assert torch.equal(objects.boxes, given.boxes)
    assert objects.labels is not None and len(objects.labels) == len(objects.scores) == 4
    torch.testing.assert_close(objects.class_logits.softmax(1)[:, :-1].amax(1), objects.scores)


def test_given_proposals_are_what_is_detected_among(model: SceneModel) -> None:
    given = Regions(torch.tensor([[6.0, 8.0, 26.0, 40.0]]), torch.tensor([0]))
    outputs = look(model, sample(0), given={PROPOSALS: given})
    assert not {"rpn", "proposals"} & set(outputs.seconds)
    objects = outputs.board[OBJECTS]
    # A head with fresh weights hardly moves a box, and finds every class likely.
    assert 1 <= len(objects) <= len(VOCABULARY.things)
    torch.testing.assert_close(objects.boxes, given.boxes.expand(len(objects), 4), rtol=0, atol=2.0)


def test_given_proposals_train_the_second_stage_alone(model: SceneModel) -> None:
    images, targets = batch(model, [sample(0), sample(1)])
    truth = targets.streams[OBJECTS].regions
    losses = model(images, targets, given={PROPOSALS: Regions(truth.boxes, truth.image_index)}).losses
    assert losses.keys() == {name for name in LOSSES if not name.startswith("proposals")}


def test_given_objects_that_match_nothing_cannot_be_learned_from(model: SceneModel) -> None:
    images, targets = batch(model, [sample(0), sample(1)])
    with pytest.raises(InputError, match="need `matched`"):
        model(images, targets, given={OBJECTS: given_boxes(model, labels=True)})
    given = replace(given_boxes(model, labels=True), matched=torch.arange(4))
    losses = model(images, targets, given={OBJECTS: given}).losses
    assert losses.keys() == {"semantic.pixel", "masks.mask", "keypoints.keypoint"}


# Prediction


def test_keypoints_are_on_persons_only(model: SceneModel) -> None:
    scene = model.predict(sample().image, threshold=0.0)
    persons = scene.objects.labels == PERSON
    assert persons.any() and not persons.all()
    assert torch.equal(scene.rows_with(KEYPOINTS), persons)
    assert scene[KEYPOINTS].xy[persons].isfinite().all()
    assert not scene[KEYPOINTS].visibility[~persons].any()
    assert scene.rows_with(MASKS).all()


def test_threshold_leaves_out_objects_with_all_that_follows_them(model: SceneModel) -> None:
    every = model.predict(sample().image, threshold=0.0)
    scores = every.objects.scores
    assert scores is not None and len(scores) > 2
    some = model.predict(sample().image, threshold=float(scores[2]))
    kept = scores >= scores[2]
    assert torch.equal(some.objects.boxes, every.objects.boxes[kept])
    assert torch.equal(some[MASKS].dense, every[MASKS].dense[kept])
    assert equal(some[KEYPOINTS].visibility, every[KEYPOINTS].visibility[kept])
    none = model.predict(sample().image, threshold=1.1)
    assert len(none.objects) == len(none[MASKS]) == 0 and none[SEMANTIC].shape == SIZE


def test_heads_do_not_work_on_what_scores_below_the_threshold(model: SceneModel) -> None:
    scores = look(model, sample()).board[OBJECTS].scores
    outputs = look(model, sample(), threshold=float(scores[2]))
    assert len(outputs.board[OBJECTS]) == len(scores) > 3
    assert len(outputs.board[MASKS]) == int((scores >= scores[2]).sum())


def test_images_come_in_every_form(model: SceneModel, tmp_path: Path) -> None:
    tensor = sample().image
    array = tensor.permute(1, 2, 0).contiguous().numpy()
    path = tmp_path / "picture.png"
    Image.fromarray(array).save(path)
    expected = model.predict(tensor, threshold=0.0)
    for picture in (path, str(path), Image.fromarray(array), array):
        found = model.predict(picture, threshold=0.0)
        assert isinstance(found, Scene)
        assert torch.equal(found.objects.boxes, expected.objects.boxes)
        assert found.path == (str(path) if isinstance(picture, str | Path) else None)
    unrounded = model.predict(tensor.float() / 255, threshold=0.0)  # resized without rounding to 8 bits on the way
    torch.testing.assert_close(unrounded.objects.boxes, expected.objects.boxes, rtol=0, atol=0.01)
    several = model.predict([path, array], threshold=0.0)
    assert isinstance(several, list) and [scene.path for scene in several] == [str(path), None]


def test_an_iterator_is_followed_lazily(model: SceneModel) -> None:
    taken = []

    def images() -> Iterator[np.ndarray]:
        for number in range(3):
            taken.append(number)
            yield sample(number).image.permute(1, 2, 0).numpy()

    scenes = model.predict(images(), tasks=["semantic"])
    assert taken == []
    next(scenes)
    assert taken == [0]
    assert len(list(scenes)) == 2 and taken == [0, 1, 2]


def test_predicting_leaves_the_mode_as_it_was(model: SceneModel) -> None:
    model.train()
    try:
        first, second = (model.predict(sample().image, tasks=["semantic"]) for _ in range(2))
        assert model.training and torch.equal(first[SEMANTIC], second[SEMANTIC])
    finally:
        model.eval()


def test_predicting_runs_parts_that_learn_in_evaluation_mode_too(model: SceneModel) -> None:
    part = model.stages["backbone"]
    expected = model.predict(sample().image, tasks=["semantic"])
    part.train()
    try:
        found = model.predict(sample().image, tasks=["semantic"])
        assert part.training and not model.training
        assert torch.equal(found[SEMANTIC], expected[SEMANTIC])
    finally:
        model.eval()


def test_a_predicted_scene_survives_json(model: SceneModel, tmp_path: Path) -> None:
    scene = model.predict(sample().image, threshold=0.0)
    scene.save(tmp_path / "scene.json")
    again = sk.Scene.load(tmp_path / "scene.json")
    torch.testing.assert_close(again.objects.boxes, scene.objects.boxes)
    assert torch.equal(again.objects.labels, scene.objects.labels)
    assert torch.equal(again[MASKS].dense, scene[MASKS].dense)
    assert torch.equal(again[SEMANTIC], scene[SEMANTIC]) and torch.equal(again[PANOPTIC].ids, scene[PANOPTIC].ids)
    assert again[PANOPTIC].segments == scene[PANOPTIC].segments
    assert torch.equal(again.rows_with(KEYPOINTS), scene.rows_with(KEYPOINTS))
    torch.testing.assert_close(again[KEYPOINTS].xy, scene[KEYPOINTS].xy, equal_nan=True)
    assert again.to_json() == scene.to_json()


def test_what_the_model_says_of_itself(model: SceneModel) -> None:
    assert model.tasks == ("semantic", "masks", "keypoints", "panoptic")
    keys: set[Key[Any, Any]] = set(model.learns_from)
    assert keys == {SEMANTIC, MASKS, KEYPOINTS} and model.device == torch.device("cpu")


def test_an_image_costs_one_scene(model: SceneModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads read views of it; path and camera are there from the start."""
    path = tmp_path / "image.png"
    Image.fromarray(sample().image.permute(1, 2, 0).numpy()).save(path)
    made: list[Scene] = []
    check = Scene.__post_init__
    monkeypatch.setattr(Scene, "__post_init__", lambda scene: made.append(scene) or check(scene))
    scene = model.predict(path, threshold=0.0, camera=sk.Camera.pinhole(50.0, *SIZE))
    assert len(made) == 1 and scene.path == str(path) and scene.camera.matrix[0, 0] == 50.0
    assert set(scene.values) == {SEMANTIC, MASKS, KEYPOINTS, PANOPTIC} and KEYPOINTS in scene.valid
