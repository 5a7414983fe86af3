"""Maps of made-up scenes, worked by hand."""

import math
import time
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch

import scenekit as sk
from tests.world.posed import VOCABULARY, Thing, looking, scene_of

CHAIR = Thing("chair", (3.0, 0.0, 0.45), yaw=0.5)
TABLE = Thing("table", (4.0, 1.0, 0.4), (1.5, 0.8, 0.8), yaw=1.0)
MUG = Thing("mug", (4.0, 1.0, 0.85), (0.1, 0.1, 0.1), attributes=("red",))
FRONT = looking((0, 0, 1.2), (3.5, 0.5, 0.5))
BACK = looking((7, 1, 1.2), (3.5, 0.5, 0.5))
SIDE = looking((3.5, -3, 1.2), (3.5, 0.5, 0.5))


def around(things: list[Thing], count: int = 12, **options) -> sk.World:
    world = sk.World(**options)
    for n in range(count):
        angle = 2 * math.pi * n / count
        world.add(
            scene_of(things, looking((3.5 + 4 * math.cos(angle), 4 * math.sin(angle), 1.2), (3.5, 0, 0.5)), n / 10)
        )
    return world


def test_two_cameras_that_face_each_other_see_one_box() -> None:
    world = sk.World(confirm=2)
    assert world.add(scene_of([CHAIR, TABLE], FRONT, 0.0)).tolist() == [0, 1]
    assert world.add(scene_of([TABLE, CHAIR], BACK, 1.5)).tolist() == [1, 0], "in another order"
    chair, table = world.objects
    np.testing.assert_allclose(chair.position, CHAIR.place, atol=1e-5)
    np.testing.assert_allclose(chair.rotation, CHAIR.rotation, atol=1e-5)
    np.testing.assert_allclose(table.size, TABLE.size, atol=1e-5)
    assert (chair.sightings, chair.first_seen, chair.last_seen, chair.label) == (2, 0.0, 1.5, "chair")


def too_far(pose: np.ndarray, time: float) -> sk.Scene:
    """The chair 0.3 m farther along the ray than it is."""
    center = scene_of([CHAIR], pose)[sk.BOXES3D].center.double().numpy()
    return scene_of([CHAIR], pose, time, noise=0.3 * center / np.linalg.norm(center))


def test_errors_along_the_rays_cancel() -> None:
    """From the front and from the side two cameras correct each other, where the errors along the rays are larger."""
    errors = []
    for options in ({}, {"ray_error": 0.05, "lateral_error": 0.05}):
        world = sk.World.of([too_far(FRONT, 0.0), too_far(SIDE, 1.0)], confirm=1, **options)
        errors += [np.linalg.norm(item.position - CHAIR.place) for item in world.objects]
    assert len(errors) == 2 and errors[0] < 0.1 < errors[1]


def test_square_crates_have_a_yaw_modulo_a_quarter() -> None:
    world = sk.World(confirm=1)
    for n, yaw in enumerate((0.1, 0.1 + math.pi / 2, 0.1 - math.pi / 2, 0.1 + math.pi)):
        world.add(scene_of([Thing("crate", (3.0, 0, 0.3), (0.6, 0.6, 0.6), yaw=yaw)], FRONT, float(n)))
    (crate,) = world.objects
    yaw = world.graph().nodes[0]["boxes3d"]["yaw"]
    assert math.remainder(yaw - 0.1, math.pi / 2) == pytest.approx(0, abs=1e-5)
    assert crate.sightings == 4


def test_labels_are_voted_on() -> None:
    """0.9 for a chair against 2 x 0.6 for a table: the table wins, at the same place."""
    world = sk.World(confirm=1)
    for n, (label, score) in enumerate((("chair", 0.9), ("table", 0.6), ("table", 0.6))):
        world.add(scene_of([replace(CHAIR, label=label, score=score)], FRONT, float(n)))
    (item,) = world.objects
    assert item.label == "table" and item.score == pytest.approx(0.9)
    assert item.labels == pytest.approx({"chair": 0.9, "table": 1.2})


def test_attributes_are_means() -> None:
    world = sk.World(confirm=1)
    for n, names in enumerate((("red",), ("red", "blue"), ("red",), ())):
        world.add(scene_of([replace(CHAIR, attributes=names)], FRONT, float(n)))
    assert world.objects[0].shares("attributes") == {"red": 0.75, "blue": 0.25}
    assert world.graph().nodes[0]["attributes"] == {"red": 0.75}
    assert world.objects[0].shares("captions") == {}


def test_captions_are_voted_on() -> None:
    world = sk.World(confirm=1)
    for n, text in enumerate(("a red chair", "a chair", "a chair")):
        scene = scene_of([CHAIR], FRONT, float(n))
        world.add(replace(scene, values={**scene.values, sk.CAPTIONS: sk.Captions(((text,),))}))
    assert world.graph().nodes[0]["captions"] == {"texts": ["a chair", "a red chair"]}


def test_objects_beside_each_other_stay_two() -> None:
    pair = [CHAIR, replace(CHAIR, place=(3.0, 0.3, 0.45))]
    world = around(pair)
    assert len(world) == 2 and not world.candidates
    np.testing.assert_allclose(sorted(item.position[1] for item in world.objects), [0, 0.3], atol=1e-5)


def test_doubles_become_one() -> None:
    """Two chairs, 0.8 m apart, never shown together, as one camera is 0.8 m off along its ray; then a view between."""
    world = sk.World(confirm=1, ray_error=0.04)
    first = world.add(scene_of([CHAIR], FRONT, 0.0))
    second = world.add(scene_of([replace(CHAIR, place=(3.75, 0.0, 0.45))], FRONT, 1.0))
    assert first.tolist() == [0] and second.tolist() == [1]
    for n in range(6):
        world.add(scene_of([replace(CHAIR, place=(3.3, 0.0, 0.45))], FRONT, 2.0 + n))
    assert len(world) == 1 and world.objects[0].identity == 0 and world.objects[0].sightings == 8
    with pytest.raises(sk.InputError, match="no object 1"):
        world[1]


def test_two_classes_at_one_place_are_one_object() -> None:
    """Each scene has the chair twice, as a crate of the same box, too; 0.8 against 0.6 for the chair."""
    twice = [replace(CHAIR, score=0.8), replace(CHAIR, label="crate", score=0.6)]
    world = sk.World.of([scene_of(twice, (FRONT, BACK)[n % 2], float(n)) for n in range(4)])
    (item,) = world.objects
    assert item.label == "chair" and not world.candidates
    assert (item.sightings, item.chances) == (4, 4)


def test_the_best_sighting_gives_the_mesh() -> None:
    corners = torch.tensor([[0.0, 0, 3], [1.0, 0, 3], [0, 1.0, 3]])
    world = sk.World(keep_meshes=True, confirm=1)
    for n, (score, size) in enumerate(((0.5, 1.0), (0.9, 2.0), (0.7, 3.0))):
        scene = scene_of([replace(CHAIR, score=score)], FRONT, float(n))
        mesh = sk.Meshes.from_lists([corners * size], [torch.tensor([[0, 1, 2]])])
        world.add(replace(scene, values={**scene.values, sk.MESHES: mesh}))
    verts = world.objects[0].solid.verts
    assert np.linalg.norm(verts[1] - verts[0]) == pytest.approx(2.0, abs=1e-5)


def test_rare_objects_are_candidates() -> None:
    """A ghost in one of twelve scenes, and a table that appears in two: three sightings confirm."""
    world = around([CHAIR], 12)
    ghost, table = Thing("person", (3.0, 1.5, 0.9), (0.5, 1.8, 0.5)), TABLE
    for n in range(2):
        world.add(scene_of([CHAIR, table, *([ghost] if n else [])], FRONT, 2.0 + n))
    assert [item.label for item in world.objects] == ["chair"]
    assert sorted(item.label for item in world.candidates) == ["person", "table"]
    assert sorted(nx.get_node_attributes(world.graph(candidates=True), "confirmed").values()) == [False, False, True]
    world.add(scene_of([CHAIR, table], FRONT, 5.0))
    assert [item.label for item in world.objects] == ["chair", "table"]


def test_what_is_in_view_but_not_sighted_loses_its_confirmation() -> None:
    world = sk.World()
    for n in range(3):
        world.add(scene_of([CHAIR, TABLE], FRONT, float(n)))
    assert len(world) == 2
    for n in range(10):
        world.add(scene_of([CHAIR], FRONT, 3.0 + n))
    assert [item.label for item in world.objects] == ["chair"]
    (table,) = world.candidates
    assert (table.sightings, table.chances) == (3, 13)


def test_tracks_follow_an_object_that_moves() -> None:
    """After three sightings elsewhere the object has moved; without tracks there would be two."""
    there = replace(CHAIR, place=(3.0, 2.0, 0.45))
    tracked, ignored, untracked = sk.World(), sk.World(tracked=False), sk.World()
    for n in range(8):
        scene = scene_of([replace(CHAIR if n < 4 else there, identity=7)], FRONT, float(n), tracked=True)
        for world in (tracked, ignored):
            world.add(scene)
        untracked.add(replace(scene, tracked=False))
    assert len(tracked) == 1 and len(untracked) == len(ignored) == 2
    assert not any(item.tracks for world in (ignored, untracked) for item in world.objects)
    np.testing.assert_allclose(tracked.objects[0].position, there.place, atol=1e-5)
    assert tracked.objects[0].sightings == 8 and tracked.objects[0].tracks == (7,)


def test_one_outlier_of_a_track_moves_nothing() -> None:
    world = sk.World(tracked=True)
    for n in range(8):
        thing = replace(CHAIR, place=(3.0, 2.0, 0.45)) if n == 4 else CHAIR
        world.add(scene_of([thing], FRONT, float(n), tracked=True))
    np.testing.assert_allclose(world.objects[0].position, CHAIR.place, atol=1e-5)


def test_unconfirmed_objects_have_no_track() -> None:
    """A chair and another one elsewhere, both with id -1: two objects, and neither moves."""
    there = replace(CHAIR, place=(3.0, 2.0, 0.45))
    world = sk.World()
    for n in range(8):
        thing = replace(CHAIR if n < 4 else there, identity=-1)
        world.add(scene_of([thing], FRONT, float(n), tracked=True))
    assert [item.tracks for item in world.objects] == [(), ()] and not world.growth.tracks
    np.testing.assert_allclose(world.objects[0].position, CHAIR.place, atol=1e-5)


def test_tracks_end_with_their_stream() -> None:
    """Four images of one stream, then four of another: track 7 is another chair there."""
    there = replace(CHAIR, place=(3.0, 2.0, 0.45), identity=7)
    world = sk.World()
    for n in range(8):
        scene = scene_of([replace(CHAIR, identity=7) if n < 4 else there], FRONT, float(n), tracked=True)
        world.add(replace(scene, moment=replace(scene.moment, number=n % 4)))
    assert [item.sightings for item in world.objects] == [4, 4]


def test_streams_at_one_time_need_ids_to_be_ignored() -> None:
    scene, world = scene_of([CHAIR], FRONT, 1.0, tracked=True), sk.World()
    world.add(scene)
    with pytest.raises(sk.InputError, match=r"image 10 of their streams.*tracked=False"):
        world.add(scene)
    assert len(sk.World.of([scene, scene], tracked=False, confirm=2)) == 1
    assert len(sk.World.of([replace(scene, tracked=False)] * 2, confirm=2)) == 1


def test_scenes_without_tracks_are_refused_where_these_are_asked_for() -> None:
    world = sk.World(tracked=True)
    with pytest.raises(sk.InputError, match=r"no tracks, .*sk\.track"):
        world.add(scene_of([CHAIR], FRONT))
    assert not world.views and world.add(scene_of([], FRONT)).tolist() == []


def test_relations_hold_where_most_scenes_agree() -> None:
    """The mug is on the table in all scenes, left of the chair in one of four."""
    world = sk.World()
    for n in range(4):
        relations = [(1, "on", 0), *([(1, "left of", 2)] if n == 0 else [])]
        world.add(scene_of([TABLE, MUG, CHAIR], (FRONT, BACK)[n % 2], float(n), relations))
    graph = world.graph()
    assert [(a, b, e["predicate"], e["sightings"], e["score"]) for a, b, e in graph.edges(data=True)] == [
        (1, 0, "on", 4, 1.0)
    ]
    edge = graph.edges[1, 0, 0]
    assert (edge["first_seen"], edge["last_seen"], edge["share"]) == (0.0, 3.0, 1.0)
    assert [e["predicate"] for *_, e in world.graph(share=0.25).edges(data=True)] == ["on", "left of"]


def test_queries_and_files_of_the_graph(tmp_path) -> None:
    world = sk.World()
    for n in range(4):
        world.add(scene_of([TABLE, MUG, CHAIR], (FRONT, BACK)[n % 2], float(n), [(1, "on", 0)]))
    (match,) = world.find("red mug on table")
    assert world[match.nodes["red mug"]].label == "mug" and world[match.nodes["table"]].label == "table"
    assert world.find("chair on table") == []
    for suffix in (".graphml", ".json"):
        sk.save_graph(world.graph(), tmp_path / f"map{suffix}")
        loaded = sk.load_graph(tmp_path / f"map{suffix}")
        assert nx.utils.graphs_equal(loaded, world.graph())


def test_crowds_and_weak_objects_are_left_out() -> None:
    scene = scene_of([replace(CHAIR, score=0.9), replace(TABLE, score=0.3)], FRONT)
    assert sk.World(threshold=0.5).add(scene).tolist() == [0, -1]
    objects = replace(scene.objects, crowd=torch.tensor([True, False]))
    assert sk.World().add(replace(scene, streams={sk.OBJECTS: objects})).tolist() == [-1, 0]


def test_empty_scenes_are_views() -> None:
    world = sk.World()
    assert world.add(scene_of([], FRONT)).tolist() == [] and len(world.views) == 1 and len(world) == 0


def test_poses_as_arrays_and_files() -> None:
    scene = replace(scene_of([CHAIR], FRONT, 0.5), moment=sk.Moment(0.5, 5))
    without = replace(scene, moment=None)
    poses = sk.Poses(np.array([0.0, 1.0]), np.stack((FRONT, FRONT)))
    for world in (sk.World.of([scene], poses, confirm=1), sk.World(confirm=1)):
        if not world.views:
            world.add(without, pose=FRONT)
        np.testing.assert_allclose(world.objects[0].position, CHAIR.place, atol=1e-5)


def test_vocabularies_merge_by_name() -> None:
    other = replace(VOCABULARY, things=("lamp", *reversed(VOCABULARY.things)))
    world = sk.World(confirm=1)
    world.add(scene_of([CHAIR], FRONT, 0.0))
    world.add(scene_of([CHAIR, replace(TABLE, label="lamp")], FRONT, 1.0, vocabulary=other))
    assert [item.label for item in world.objects] == ["chair", "lamp"] and world.objects[0].sightings == 2
    assert world.vocabulary.things == (*VOCABULARY.things, "lamp")
    stuff = replace(VOCABULARY, things=("table", "crate"), stuff=("chair",))
    with pytest.raises(sk.InputError, match=r"chair.*things in one vocabulary and stuff in the other"):
        world.add(scene_of([TABLE], FRONT, 2.0, vocabulary=stuff))
    assert len(world.views) == 2


def test_scenes_that_cannot_be_placed_are_refused() -> None:
    scene = scene_of([CHAIR], FRONT, 1.0)
    world = sk.World()
    with pytest.raises(sk.InputError, match=r"no pose.*add\(scene, pose=\.\.\.\).*Moment"):
        world.add(replace(scene, moment=None))
    with pytest.raises(sk.InputError, match=r"no 'boxes3d'.*small"):
        world.add(replace(scene, values={}))
    with pytest.raises(sk.InputError, match="rotation"):
        world.add(scene, pose=np.diag([2.0, 1, 1, 1]))
    with pytest.raises(sk.InputError, match="pose is a matrix"):
        world.add(scene, pose="here")
    world.add(scene)
    with pytest.raises(sk.InputError, match="order of their times, got 0 s after 1 s"):
        world.add(scene_of([CHAIR], FRONT, 0.0))
    assert len(world.views) == 1
    with pytest.raises(sk.InputError, match="scene 1: the scene has no pose"):
        sk.World.of([scene, replace(scene, moment=None)])
    ordered = sk.World.of([scene_of([CHAIR], FRONT, float(n)) for n in (2, 0, 1)])
    assert [view.time for view in ordered.views] == [0, 1, 2]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"upp": 1}, "no option 'upp'; did you mean 'up'"),
        ({"up": (0.0, 0.0, 0.0)}, "up must be a direction"),
        ({"confirm": 0}, "confirm must be a whole number from 1"),
        ({"overlap": 1.5}, "overlap must be from 0 to 1"),
        ({"ray_error": 0.0}, "ray_error is a share of the distance"),
    ],
)
def test_bad_options_are_refused(options, message) -> None:
    with pytest.raises(sk.InputError, match=message):
        sk.World(**options)


def test_time_grows_no_faster_than_the_number_of_scenes() -> None:
    """A scene takes as long in the end, with five times the map, but for a small part."""
    places = [(x * 1.5, y * 1.5, 0.45) for x in range(10) for y in range(6)]
    world, seconds = sk.World(), []
    for n in range(240):
        x, y, _ = places[n // 4]
        near = [Thing("chair", place) for place in sorted(places, key=lambda p: math.hypot(p[0] - x, p[1] - y))[:4]]
        scene = scene_of(near, looking((x - 4, y, 1.5), (x, y, 0.5)), n / 10)
        began = time.process_time()
        world.add(scene)
        seconds.append(time.process_time() - began)
    assert len(world) + len(world.candidates) == 60
    early, late = np.median(seconds[40:80]), np.median(seconds[-40:])
    assert late < 3 * early, f"{early:.4f} s a scene with a fifth of the map, {late:.4f} s in the end"
