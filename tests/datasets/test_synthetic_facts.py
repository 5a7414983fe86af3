"""What synthetic scenes say in points and words, against the geometry."""

import re

import numpy as np
import pytest

from scenekit_datasets.synthetic.captions import HAPPENINGS
from scenekit_datasets.synthetic.figure import make_person
from scenekit_datasets.synthetic.layout import LIFT, Placed
from scenekit_datasets.synthetic.relations import relations
from scenekit_datasets.synthetic.render import Renderer
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.shapes import build
from scenekit_datasets.synthetic.stage import random_stage
from scenekit_datasets.synthetic.vocabulary import ATTRIBUTES, COLORS, KEYPOINTS, PATTERNS, PREDICATES, THINGS

PERSON = THINGS.index("person")


def persons(case):
    return [index for index, label in enumerate(case.scene.labels) if label == PERSON]


def joints(case, index):
    """Camera frame, metres."""
    placed, view = case.renderer.objects[index], case.renderer.stage.view
    world = placed.model.joints @ placed.turn.T + placed.place
    return (world - view.position) @ view.rotation.T


# --- keypoints ---


def test_keypoints_are_the_projected_joints(cases):
    seen = 0
    for case in cases:
        for index in persons(case):
            pixels = joints(case, index) @ case.scene.intrinsics.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            points = case.scene.keypoints[index]
            labelled = points[:, 2] > 0
            assert np.allclose(points[labelled, :2], pixels[labelled], atol=1e-3)
            height, width = case.scene.depth.shape
            inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
            assert (labelled == inside).all()
            assert (points[~labelled] == 0).all()
            seen += labelled.sum()
    assert seen > 50


def test_visible_keypoints_lie_on_their_person_just_below_the_surface(cases):
    """Depth at the pixel is at most the flesh around the joint in front of it, a pixel of slack at outlines."""
    for case in cases:
        for index in persons(case):
            depth, reach = joints(case, index)[:, 2], case.renderer.objects[index].model.reach
            for k, (x, y, visibility) in enumerate(case.scene.keypoints[index]):
                if visibility == 2:
                    rows = slice(max(int(y) - 1, 0), int(y) + 2)
                    columns = slice(max(int(x) - 1, 0), int(x) + 2)
                    mine = case.scene.instance[rows, columns] == index
                    assert mine.any()
                    gap = depth[k] - case.scene.depth[rows, columns][mine]
                    assert (np.abs(gap) <= reach[k] + 0.05).any()


def test_hidden_keypoints_have_something_in_front(cases):
    for case in cases:
        for index in persons(case):
            depth = joints(case, index)[:, 2]
            for k, (x, y, visibility) in enumerate(case.scene.keypoints[index]):
                if visibility == 1:
                    rows = slice(max(int(y) - 1, 0), int(y) + 2)
                    columns = slice(max(int(x) - 1, 0), int(x) + 2)
                    around = case.scene.depth[rows, columns]
                    assert around[around > 0].min() < depth[k]


def test_left_and_right_are_the_persons_own(cases):
    """The box frame's z points to the person's left."""
    for case in cases:
        for index in persons(case):
            left, right = (joints(case, index)[KEYPOINTS.index(f"{side}_hip")] for side in ("left", "right"))
            assert (left - right) @ case.scene.box_rotations[index][:, 2] > 0


def test_a_standing_person_is_built_like_one():
    """Hand-worked: head above shoulders above hips above knees above ankles; nose in front of the ears."""
    for number in range(5):
        model = make_person(Dice("figure", number), 1.7)
        z = dict(zip(KEYPOINTS, model.joints[:, 2], strict=True))
        assert z["nose"] > z["left_shoulder"] > z["left_hip"] > z["left_knee"] > z["left_ankle"] > 0
        assert 1.45 < model.height < 2.4
        assert model.extent[0][2] == pytest.approx(0, abs=1e-9)


def test_things_without_a_skeleton_have_no_keypoints(cases):
    for case in cases:
        assert (case.scene.keypoints[case.scene.labels != PERSON] == 0).all()


# --- relations ---


def stage():
    return next(s for s in (random_stage(Dice("stage", n)) for n in range(99)) if s.walls is None)


def put(category, x, y, z=0.0, scale=1.0, number=0, tipped=False, host=-1):
    model = build(category, Dice("put", category, number), scale)
    return Placed(model, np.eye(3), np.array([x, y, z + LIFT]), 0.0, tipped, host)


def facts(*objects):
    return set(relations(Renderer(stage(), list(objects))))


def test_side_by_side():
    found = facts(put("box", -0.8, 5), put("ball", 0.8, 5))
    assert found == {(0, "left of", 1), (1, "right of", 0)}


def test_in_depth():
    found = facts(put("box", 0, 4), put("ball", 0, 6))
    assert found == {(0, "in front of", 1), (1, "behind", 0)}


def test_close_together():
    found = facts(put("ball", 0, 5, scale=0.8), put("ball", 0.6, 5, scale=0.8))
    assert found == {(0, "left of", 1), (1, "right of", 0), (0, "near", 1), (1, "near", 0)}


def test_far_apart_says_nothing():
    assert facts(put("ball", -2, 5), put("ball", 2, 5)) == set()


def test_ball_on_a_box_is_on_it_and_the_box_under_it():
    box = put("box", 0, 5)
    found = facts(box, put("ball", 0, 5, z=box.model.height + LIFT, scale=0.6))
    assert found == {(1, "on", 0), (0, "under", 1)}


def test_ball_that_hovers_is_not_on():
    box = put("box", 0, 5)
    assert (1, "on", 0) not in facts(box, put("ball", 0, 5, z=box.model.height + 0.1, scale=0.6))


def test_ball_in_a_crate_is_inside_and_not_on():
    crate = put("crate", 0, 5, scale=1.2)
    assert crate.model.cavity is not None
    found = facts(crate, put("ball", 0, 5, z=crate.model.cavity.z + LIFT, scale=0.6))
    assert (1, "inside", 0) in found
    assert not any(predicate in ("on", "near") for _, predicate, _ in found)


def test_ball_under_a_table():
    table = next(t for t in (put("table", 0, 5, number=n) for n in range(20)) if t.model.shelter)
    found = facts(table, put("ball", 0.1, 5, scale=0.7))
    assert found == {(1, "under", 0)}


def test_a_sitting_person_is_on_the_chair():
    chair = put("chair", 0, 5)
    assert chair.model.top is not None
    person = make_person(Dice("sit"), 1.7, sitting=True, seat=chair.model.top.z)
    place = chair.place + np.array([0.1, 0.0, 0.0])
    assert (1, "on", 0) in facts(chair, Placed(person, np.eye(3), place, 0.0, host=0))


def test_directions_have_converses(cases):
    converse = {"left of": "right of", "right of": "left of", "in front of": "behind", "behind": "in front of"}
    for case in cases:
        rows = {(a, PREDICATES[p], b) for a, p, b in case.scene.relations.tolist()}
        assert len(rows) == len(case.scene.relations)
        for a, predicate, b in rows:
            assert a != b
            if predicate in converse:
                assert (b, converse[predicate], a) in rows
            if predicate == "near":
                assert (b, "near", a) in rows


def test_directions_agree_with_the_3d_boxes(cases):
    for case in cases:
        for a, p, b in case.scene.relations.tolist():
            one, two = case.scene.box_centers[a], case.scene.box_centers[b]
            if PREDICATES[p] == "left of":
                assert one[0] < two[0] and one[0] / one[2] < two[0] / two[2]
            if PREDICATES[p] == "in front of":
                assert one[2] < two[2]


def heights_at(x, y, verts, faces):
    """Where a vertical line meets a mesh (world), by barycentric coordinates in the ground plane."""
    a, b, c = verts[faces].transpose(1, 0, 2)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    a, b, c = (corner[np.abs(area) > 1e-12] for corner in (a, b, c))
    area = area[np.abs(area) > 1e-12]
    u = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    v = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / area
    met = (u >= 0) & (v >= 0) & (u + v <= 1)
    return ((1 - u - v) * a[:, 2] + u * b[:, 2] + v * c[:, 2])[met]


def test_what_is_on_or_inside_rests_on_the_other_mesh(cases):
    """Some face of the carrier lies within 4 cm of the lowest point, straight below the middle."""
    checked = 0
    for case in cases:
        view, scene = case.renderer.stage.view, case.scene
        for a, p, b in scene.relations.tolist():
            if PREDICATES[p] in ("on", "inside") and scene.labels[a] != PERSON:
                upper, lower = (scene.meshes[i].verts @ view.rotation + view.position for i in (a, b))
                x, y = (scene.box_centers[a] @ view.rotation + view.position)[:2]
                gaps = upper[:, 2].min() - heights_at(x, y, lower, scene.meshes[b].faces)
                assert (np.abs(gaps) < 0.04).any()
                checked += 1
    assert checked >= 2


# --- words ---


def test_attributes_do_not_contradict_each_other(cases):
    for case in cases:
        for label, row in zip(case.scene.labels, case.scene.attributes, strict=True):
            held = {ATTRIBUTES[i] for i in row}
            assert held & set(COLORS)
            assert len(held & set(PATTERNS)) == 1
            assert len(held & {"matte", "shiny"}) == 1
            assert len(held & {"small", "large"}) <= 1
            poses = {"standing", "sitting"} if label == PERSON else {"upright", "tipped"}
            assert len(held & {"standing", "sitting", "upright", "tipped"}) == len(held & poses) == 1


def test_tipped_objects_lean(cases):
    """The box frame's y axis (down) leaves the vertical by more than 10 degrees exactly for tipped objects."""
    for case in cases:
        down = -case.renderer.stage.view.rotation[:, 2]
        for index, row in enumerate(case.scene.attributes):
            upright = case.scene.box_rotations[index][:, 1] @ down > 0.985
            assert ("tipped" in {ATTRIBUTES[i] for i in row}) != upright


def test_object_captions_say_what_the_attributes_say(cases):
    for case in cases:
        scene = case.scene
        for index, texts in enumerate(scene.captions):
            held = {ATTRIBUTES[i] for i in scene.attributes[index]}
            assert len(set(texts)) == len(texts) >= 3
            for text in texts:
                told = set(re.findall(r"[a-z]+", text)) & set(ATTRIBUTES)
                assert told <= held, text
                name = THINGS[scene.labels[index]]
                assert name in text or (name == "person" and "somebody" in text)


def test_captions_name_the_ground_right(cases):
    for case in cases:
        stage = case.renderer.stage
        kinds = {stage.ground, stage.patch.kind if stage.patch else stage.ground}
        for texts in case.scene.captions:
            for text in texts:
                for ground in re.findall(r"on the (\w+)$", text):
                    assert ground in kinds


PATTERN = {
    predicate: [re.compile("^" + t.replace("{a}", "(?P<a>.+)").replace("{b}", "(?P<b>.+)") + "$") for t in templates]
    for predicate, templates in HAPPENINGS.items()
}


def told(text):
    """(predicate, words for the subject, words for the object) readings of a pair's caption."""
    found = ((predicate, regex.match(text)) for predicate, regexes in PATTERN.items() for regex in regexes)
    return [(predicate, match["a"], match["b"]) for predicate, match in found if match]


def test_pair_captions_state_relations_that_hold(cases):
    checked = 0
    for case in cases:
        scene = case.scene
        rows = {
            (PREDICATES[p], THINGS[scene.labels[a]], THINGS[scene.labels[b]]) for a, p, b in scene.relations.tolist()
        }
        for phrase in scene.phrases:
            if len(phrase.objects) == 2:
                pair = {THINGS[scene.labels[i]] for i in phrase.objects}
                for text in phrase.captions:
                    readings = [(p, _noun(a, pair), _noun(b, pair)) for p, a, b in told(text)]
                    assert any(reading in rows for reading in readings), text
                    checked += 1
    assert checked > 20


def _noun(words, names):
    return next((name for name in sorted(names) if re.search(rf"\b{name}\b", words)), None)


def test_phrase_regions_are_the_objects_and_the_close_pairs(cases):
    for case in cases:
        scene = case.scene
        assert [p.objects for p in scene.phrases[: len(scene.labels)]] == [(i,) for i in range(len(scene.labels))]
        close = {"on", "inside", "under", "near"}
        pairs = {frozenset((a, b)) for a, p, b in scene.relations.tolist() if PREDICATES[p] in close}
        assert {frozenset(p.objects) for p in scene.phrases[len(scene.labels) :]} == pairs
        for phrase in scene.phrases:
            members = scene.boxes[list(phrase.objects)]
            assert phrase.box == (*members[:, :2].min(0), *members[:, 2:].max(0))
            assert len(set(phrase.captions)) == len(phrase.captions) >= 3
