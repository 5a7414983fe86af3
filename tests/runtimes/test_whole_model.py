"""The pass with fixed shapes gives what the ordinary one gives, and its padding changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

import scenekit as sk
from scenekit.detection import DetectorConfig, RoIPooler
from scenekit.errors import InputError
from scenekit.keys import OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.model.static_pass import WholeModel
from scenekit.ops.suppression import nms_mask
from scenekit.runtimes.lowering import inverse
from scenekit.structures import FeaturePyramid, Regions
from scenekit.structures.tensors import tensors_in
from scenekit_plugins.keypoints.peaks import heatmap_peaks
from scenekit_plugins.relations.triplets import suppressed_labels, suppressed_labels_of_valid
from tests import tiny
from tests.runtimes.whole_model import SIZE, build, picture


@pytest.fixture(scope="module")
def model() -> SceneModel:
    return build()


def whole(model: SceneModel, image: Tensor, **options: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        found: dict[str, Tensor] = WholeModel(model, SIZE, **options)(image[None] / 255)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_it_gives_what_the_ordinary_pass_gives(model: SceneModel, seed: int) -> None:
    image = picture(seed)
    found = whole(model, image)
    with torch.no_grad():
        wanted = model(model.preprocess([image])).board
    objects: Regions = wanted[OBJECTS]
    count = len(objects)
    assert 0 < count < len(found["valid"]) and found["valid"].tolist() == [row < count for row in range(16)]
    for name in ("boxes", "scores", "labels"):
        torch.testing.assert_close(found[name][:count], getattr(objects, name))
    for name in ("masks", "keypoints", "attributes", "boxes3d"):
        key = model.specs[name].provides[0]
        own = [values for output, values in found.items() if output.startswith(name)]
        rows = wanted.rows_of(key).root_rows
        for mine, theirs in zip(own, tensors_in(wanted[key]), strict=True):
            torch.testing.assert_close(mine[rows], theirs, rtol=1e-4, atol=1e-4)
    relations = next(iter(wanted[model.specs["relations"].provides[0]]))
    torch.testing.assert_close(found["relations_score"][: len(relations)], relations.score)
    assert torch.equal(found["relations_subject"][: len(relations)], relations.subject)
    logits = wanted[model.specs["semantic"].provides[0]]
    assert torch.equal(found["semantic"], torch.nn.functional.interpolate(logits, SIZE, mode="bilinear")[0].argmax(0))


def test_what_stands_in_padding_changes_no_valid_row(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: the boxes of padding are replaced by others."""
    image = picture()
    before = whole(model, image)
    import scenekit.detection.region_stage as stage

    blanked = stage.blanked

    def elsewhere(regions: Regions, images: Any) -> Regions:
        found = blanked(regions, images)
        assert regions.valid is not None
        found.boxes[~regions.valid] = torch.tensor([3.0, 5.0, 17.0, 40.0])
        return found

    monkeypatch.setattr(stage, "blanked", elsewhere)
    after, valid = whole(model, image), before["valid"]
    assert not torch.equal(before["boxes"], after["boxes"]) and 0 < int(valid.sum()) < len(valid)
    for name, value in before.items():
        rows = valid if len(value) == len(valid) and name != "semantic" else slice(None)
        assert torch.equal(value[rows].nan_to_num(-7), after[name][rows].nan_to_num(-7)), name


def test_only_a_task_that_reads_the_camera_makes_it_an_input(model: SceneModel) -> None:
    asked = []
    for task in ("masks", "boxes3d"):
        whole_model = WholeModel(model, SIZE, tasks=(task,))
        images = whole_model.batch(picture()[None] / 255)
        with torch.no_grad():
            whole_model.run(images)
        asked.append(images.asked)
    assert asked == [set(), {"camera"}]


def test_fewer_rows_keep_the_best(model: SceneModel) -> None:
    image = picture()
    many, few = whole(model, image, tasks=("masks",)), whole(model, image, tasks=("masks",), detections=3)
    assert few["valid"].all() and len(few["masks"]) == 3
    torch.testing.assert_close(few["masks"], many["masks"][:3])


def test_a_threshold_makes_rows_invalid(model: SceneModel) -> None:
    scores = whole(model, picture(), tasks=())["scores"]
    limit = float(scores[1])
    assert whole(model, picture(), tasks=(), threshold=limit)["valid"].sum() == 2


def test_an_image_without_objects_gives_padding_alone(model: SceneModel) -> None:
    found = whole(model, picture(), threshold=2.0)
    assert not found["valid"].any()
    assert (found["relations_subject"] == -1).all() and (found["relations_score"] == 0).all()
    assert found["boxes3d_center"].isnan().all()


def test_tasks_without_fixed_shapes_are_left_out_by_name(model: SceneModel) -> None:
    assert WholeModel(model, SIZE).left_out == {"panoptic": "it has no form with fixed shapes"}
    with pytest.raises(InputError, match="task 'panoptic' cannot be part of a whole graph: it has no form"):
        WholeModel(model, SIZE, tasks=("panoptic",))
    with pytest.raises(InputError, match="no task 'mask'; did you mean 'masks'"):
        WholeModel(model, SIZE, tasks=("mask",))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": (0, 64)}, "size: expected"),
        ({"size": (999999, 999999)}, "size: expected"),
        ({"detections": 0}, "detections: expected a whole number from 1, got 0"),
        ({"threshold": float("nan")}, "threshold: expected a score"),
    ],
)
def test_arguments_that_are_none(model: SceneModel, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        WholeModel(model, **({"size": SIZE} | options))


def test_a_task_needs_no_list(model: SceneModel) -> None:
    assert WholeModel(model, SIZE, tasks="masks").tasks == ("masks",)


def test_every_output_is_described_by_what_it_holds(model: SceneModel) -> None:
    whole_model = WholeModel(model, SIZE)
    with torch.no_grad():
        docs = {name: whole_model.doc(name) for name in whole_model(picture()[None] / 255)}
    assert len(set(docs.values())) == len(docs)
    assert docs["semantic"].startswith("class of each pixel, by place among the things and then the stuff")
    assert docs["relations_probabilities"].startswith("probability of each predicate for the pair")
    assert docs["keypoints_visibility"].startswith("0 for points that the object does not have")
    assert docs["boxes3d_size"] == "width, height and length in metres [N 3]"
    assert docs["masks"] == sk.MASKS.doc


def test_parts_without_a_description_are_named(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sk.KEYPOINTS.field), "parts", {})
    assert WholeModel(model, SIZE).doc("keypoints_xy") == "points of the skeleton: xy"


def test_a_model_that_crops_images_takes_the_crop() -> None:
    """Its shorter side of 64 pixels is cut to 40, in the middle, before the graph."""
    model = build()
    model.config = model.config.model_copy(update={"input": model.config.input.model_copy(update={"crop": 40})})
    with pytest.raises(InputError, match=r"crops images to 40 x 40 \(input.crop\); name that, not \(64, 96\)"):
        WholeModel(model, SIZE)
    image, whole_model = picture(), WholeModel(model, (40, 40))
    cut = whole_model.batch(image[None, :, 12:52, 28:68] / 255)
    torch.testing.assert_close(cut.pixels, model.preprocess([image]).pixels)


def test_a_model_without_a_part_that_can_is_refused() -> None:
    config = tiny.config(()).model_copy(
        update={"pyramid": None, "detector": None, "detector_options": {}, "tasks": {"classification": {}}}
    )
    with pytest.raises(InputError, match=r"nothing of this model can be part .*\(classification: it has no form"):
        WholeModel(sk.build(config, sk.Vocabulary((), lists={"image_classes": ("cat", "dog")})), SIZE)


def test_a_detector_without_fixed_shapes_is_named(model: SceneModel) -> None:
    soft = build()
    stage = soft.stages["detection"]
    stage.config = stage.config.model_copy(update={"suppression": "soft_nms"})
    with pytest.raises(InputError, match="soft_nms has no form with fixed shapes; set nms"):
        whole(soft, picture())


def test_a_stack_of_levels_is_pooled_as_the_levels_are() -> None:
    strides = (4, 8, 16, 32)
    features = FeaturePyramid(tuple(torch.randn(1, 3, 256 // s, 320 // s) for s in strides), strides)
    corner, side = torch.rand(40, 2) * 100, torch.rand(40, 2) ** 3 * 300 + 2
    limits = torch.tensor([320.0, 256.0] * 2)
    boxes = torch.cat((corner, corner + side), dim=1).minimum(limits)
    regions = Regions(boxes, torch.zeros(40, dtype=torch.int64))
    for config in (DetectorConfig().pooler, DetectorConfig.preset("torchvision").pooler):
        pooler = RoIPooler(config)
        torch.testing.assert_close(pooler.fixed()(features, regions, 7), pooler(features, regions, 7))


def test_the_mask_of_nms() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 30, 10]])
    assert nms_mask(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [False, True, True]


def test_peaks_are_those_of_torchvision() -> None:
    """Of smooth maps in boxes that are smaller, and larger, than the maps."""
    maps = torch.nn.functional.interpolate(torch.randn(12, 3, 9, 9) * 4, size=(28, 28), mode="bicubic")
    corner, side = torch.rand(12, 2) * 20, torch.linspace(3, 190, 24).view(12, 2)
    boxes = torch.cat((corner, corner + side), dim=1)
    points, heights = heatmaps_to_keypoints(maps, boxes)
    found, own = heatmap_peaks(maps, boxes, longest=210)
    torch.testing.assert_close(found, points[..., :2])
    torch.testing.assert_close(own, heights)


def test_labels_of_valid_objects_are_those_without_padding() -> None:
    shares = torch.cat((torch.zeros(9, 1), torch.rand(9, 3)), dim=1)
    corner = torch.rand(9, 4, 2) * 20
    boxes = torch.cat((corner, corner + 30), dim=-1)
    valid = torch.tensor([True, True, False, True, True, False, True, False, False])
    found = suppressed_labels_of_valid(shares, boxes, valid)
    assert torch.equal(found[valid], suppressed_labels(shares[valid], boxes[valid]))


def test_the_inverse_of_a_camera() -> None:
    K = torch.tensor([[[500.0, 2, 320], [0, 510, 240], [0, 0, 1]]])
    torch.testing.assert_close(inverse(K), torch.linalg.inv(K))
