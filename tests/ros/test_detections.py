"""Messages of vision_msgs, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

import scenekit as sk
from scenekit.ros.detections import (
    detections2d,
    detections3d,
    instance_map,
    instance_numbers,
    label_images,
    label_info,
    label_map,
)
from scenekit.ros.headers import Header
from tests import tiny
from tests.ros.scenes import scene

HEADER = Header(100_250_000_001, "camera_optical")
STAMP = {"sec": 100, "nanosec": 250_000_001}


def test_boxes_have_a_center_and_a_size() -> None:
    one = detections2d(scene(), HEADER)
    assert one.type == "vision_msgs/msg/Detection2DArray"
    assert one.values["header"] == {"stamp": STAMP, "frame_id": "camera_optical"}
    person, cup = one.values["detections"]
    assert person == {
        "header": {"stamp": STAMP, "frame_id": "camera_optical"},
        "results": [{"hypothesis": {"class_id": "person", "score": 0.75}}],
        "bbox": {"center": {"position": {"x": 16.0, "y": 24.0}}, "size_x": 20.0, "size_y": 32.0},
        "id": "5",
    }
    assert (cup["id"], cup["results"][0]["hypothesis"]["score"]) == ("8", 0.5)


def test_the_score_of_ground_truth_is_1() -> None:
    truth = replace(scene(), streams={sk.OBJECTS: replace(scene().objects, scores=None)})
    assert detections2d(truth, HEADER).values["detections"][0]["results"][0]["hypothesis"]["score"] == 1.0


def matrix(pose: Any) -> np.ndarray:
    return Rotation.from_quat([pose["orientation"][axis] for axis in "xyzw"]).as_matrix()


def test_3d_boxes_have_the_axes_of_rep_103() -> None:
    """The person faces away from the camera: forward is z of the camera, left is -x, up is -y."""
    person, cup = detections3d(scene(), HEADER).values["detections"]
    assert person["bbox"]["center"]["position"] == {"x": 1.0, "y": 2.0, "z": 8.0}
    assert person["bbox"]["size"] == {"x": 3.0, "y": 1.0, "z": 1.5}  # length, width, height
    np.testing.assert_allclose(matrix(person["bbox"]["center"]), [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-6)
    # The cup faces right: forward is x, left is z (away), up is -y
    np.testing.assert_allclose(matrix(cup["bbox"]["center"]), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-6)
    assert person["results"][0]["pose"]["pose"] == person["bbox"]["center"] and person["id"] == "5"


def test_corners_stay_where_they_are() -> None:
    """Corners from the message, as ROS has them, are those of the box."""
    boxes = scene()[sk.BOXES3D]
    for row, one in enumerate(detections3d(scene(), HEADER).values["detections"]):
        size, place = one["bbox"]["size"], one["bbox"]["center"]["position"]
        signs = np.array(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5])).reshape(3, -1).T
        local = signs * [size["x"], size["y"], size["z"]]
        corners = local @ matrix(one["bbox"]["center"]).T + [place["x"], place["y"], place["z"]]
        expected = boxes.corners[row].numpy()
        distances = np.linalg.norm(corners[:, None] - expected[None], axis=-1)
        assert distances.min(axis=1).max() < 1e-5 and distances.min(axis=0).max() < 1e-5


def test_rows_without_a_3d_box_are_left_out() -> None:
    boxes = scene()[sk.BOXES3D]
    broken = replace(boxes, size=torch.tensor([[1.0, 1.5, math.nan], [0.2, 0.3, 0.2]]))
    holes = replace(scene(), values={**scene().values, sk.BOXES3D: broken})
    assert [one["id"] for one in detections3d(holes, HEADER).values["detections"]] == ["8"]
    partly = replace(scene(), valid={sk.BOXES3D: torch.tensor([True, False])})
    assert [one["id"] for one in detections3d(partly, HEADER).values["detections"]] == ["5"]


def test_labels_count_from_1_and_0_is_none() -> None:
    info = label_info(scene().vocabulary, HEADER, 0.5)
    named = {one["class_id"]: one["class_name"] for one in info.values["class_map"]}
    assert named == {1: "cup", 2: "person", 3: "floor", 4: "wall"} and info.values["threshold"] == 0.5
    semantic = scene()[sk.SEMANTIC].clone()
    semantic[0, 0] = -1
    pixels = label_map(replace(scene(), values={sk.SEMANTIC: semantic}))
    assert pixels is not None and pixels[0, 0] == 0
    assert [named[pixels[y, x]] for y, x in ((20, 10), (30, 40), (0, 1), (47, 0))] == ["person", "cup", "wall", "floor"]
    panoptic = replace(scene(), values={sk.PANOPTIC: scene()[sk.PANOPTIC]})
    np.testing.assert_array_equal(label_map(panoptic), scene()[sk.SEMANTIC].numpy() + 1)


def test_instances_have_the_ids_of_detections() -> None:
    pixels = instance_map(scene())
    assert pixels is not None
    assert {int(pixels[20, 10]), int(pixels[30, 40])} == {5, 8} and pixels[0, 0] == 0
    for one in detections2d(scene(), HEADER).values["detections"]:
        ys, xs = np.nonzero(pixels == int(one["id"]))
        assert (xs.min() + xs.max() + 1) / 2 == one["bbox"]["center"]["position"]["x"]
        assert ys.max() + 1 - ys.min() == one["bbox"]["size_y"]
    panoptic = replace(scene(), values={sk.PANOPTIC: scene()[sk.PANOPTIC]})
    np.testing.assert_array_equal(instance_map(panoptic), pixels)


def test_of_overlapping_masks_the_better_score_is_on_top() -> None:
    dense = torch.zeros(2, *tiny.SIZE, dtype=torch.bool)
    dense[0, :20], dense[1, 10:30] = True, True
    for scores, on_top in (([0.9, 0.1], 5), ([0.1, 0.9], 8), ([0.5, 0.5], 5)):
        objects = replace(scene().objects, scores=torch.tensor(scores))
        overlapping = replace(scene(), streams={sk.OBJECTS: objects}, values={sk.MASKS: sk.Masks.from_dense(dense)})
        pixels = instance_map(overlapping)
        assert pixels is not None and (pixels[15, 0], pixels[5, 0], pixels[25, 0]) == (on_top, 5, 8)


def test_maps_as_images_of_sixteen_bits() -> None:
    labels, instances = label_images(scene(), HEADER)
    assert [one.topic for one in (labels, instances)] == ["label_image", "instance_image"]
    for one, expected in ((labels, label_map(scene())), (instances, instance_map(scene()))):
        values = one.values
        assert (values["encoding"], values["step"], values["is_bigendian"]) == ("mono16", 2 * values["width"], 0)
        found = np.frombuffer(values["data"].tobytes(), "<u2").reshape(values["height"], values["width"])
        np.testing.assert_array_equal(found, expected)
    assert list(label_images(replace(scene(), values={}), HEADER)) == []


def test_numbers_of_instances_fit_sixteen_bits() -> None:
    ids = torch.tensor([0, 65534, 65535, 65536])
    objects = sk.Objects(torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64), ids=ids)
    assert instance_numbers(objects) == [1, 65535, 1, 2]
