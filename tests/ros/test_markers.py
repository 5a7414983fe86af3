"""Messages for viewers, worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import networkx as nx
import torch

import scenekit as sk
from scenekit.ros.headers import Header
from scenekit.ros.markers import image_annotations, markers, scene_update
from scenekit.ros.scenes import messages_of
from tests.ros.scenes import scene

HEADER = Header(100_250_000_000, "optical")
TIME = {"sec": 100, "nanosec": 250_000_000}


def test_markers_replace_those_before() -> None:
    first, *others = markers(scene(), HEADER).values["markers"]
    assert first == {"header": {"stamp": TIME, "frame_id": "optical"}, "action": 3}
    assert [(one["ns"], one["id"], one["type"]) for one in others] == [
        ("boxes", 5, 1), ("names", 5, 9), ("boxes", 8, 1), ("names", 8, 9),
    ]  # fmt: skip
    box, name = others[:2]
    assert box["scale"] == {"x": 3.0, "y": 1.0, "z": 1.5} and 0 < box["color"]["a"] < 1
    assert name["text"] == "person 0.75" and name["pose"]["position"]["y"] < 2.0 - 0.75


def test_scene_updates_have_an_entity_for_each_box() -> None:
    values = scene_update(scene(), HEADER).values
    assert values["deletions"] == [{"timestamp": TIME, "type": 1}]
    person, cup = values["entities"]
    assert (person["frame_id"], person["id"], cup["id"]) == ("optical", "5", "8")
    assert person["cubes"][0]["size"] == {"x": 3.0, "y": 1.0, "z": 1.5}
    assert person["metadata"] == [{"key": "label", "value": "person"}]
    assert person["texts"][0]["text"] == "person 0.75"


def test_keypoints_are_points_with_their_names() -> None:
    points = image_annotations(scene(), HEADER).values["points"]
    boxes, dots = [one for one in points if one["type"] == 2], [one for one in points if one["type"] == 1]
    assert boxes[0]["points"] == [{"x": x, "y": y} for x, y in ((6.0, 8.0), (26.0, 8.0), (26.0, 40.0), (6.0, 40.0))]
    (person,) = dots  # the cup has no skeleton
    assert person["points"] == [{"x": 8.5, "y": 10.5}, {"x": 12.5, "y": 28.5}, {"x": 23.5, "y": 37.5}]
    about = {one["key"]: one["value"] for one in person["metadata"]}
    assert about == {"id": "5", "label": "person", "names": "head,left_foot,right_foot"}


def test_absent_keypoints_and_limbs() -> None:
    skeleton = sk.Skeleton(("head", "left_foot", "right_foot"), (("head", "left_foot"), ("head", "right_foot")))
    base = scene()
    keypoints = replace(
        base[sk.KEYPOINTS],
        visibility=torch.tensor([[2, 0, 1], [0, 0, 0]]),
        scores=torch.tensor([[0.5, 0.25, 0.75], [0.0, 0.0, 0.0]]),
    )
    vocabulary = replace(base.vocabulary, skeletons={"person": skeleton})
    shown = replace(base, vocabulary=vocabulary, values={sk.KEYPOINTS: keypoints})
    points = image_annotations(shown, HEADER).values["points"]
    dots, limbs = (next(one for one in points if one["type"] == kind) for kind in (1, 4))
    about = {one["key"]: one["value"] for one in dots["metadata"]}
    assert (about["names"], about["scores"]) == ("head,right_foot", "0.5000,0.7500")
    assert limbs["points"] == [{"x": 8.5, "y": 10.5}, {"x": 23.5, "y": 37.5}]


def test_graph_and_scene_are_json() -> None:
    texts = {one.topic: one.values["data"] for one in messages_of(scene(), HEADER) if one.type.endswith("String")}
    graph = nx.node_link_graph(json.loads(texts["graph"]), edges="edges")
    assert [data["predicate"] for _, _, data in graph.edges(data=True)] == ["near"]
    assert sk.Scene.from_json(json.loads(texts["scene"])).to_json() == scene().to_json()


def test_without_3d_boxes_there_are_no_messages_about_them() -> None:
    flat = replace(scene(), values={})
    assert [one.topic for one in messages_of(flat, HEADER)] == ["detections2d", "image_annotations", "graph", "scene"]
    assert len([*messages_of(scene(), HEADER)]) == 9
