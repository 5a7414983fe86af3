"""Maps in other programs, read back by these: Hydra's graph by spark-dsg, GLB by trimesh, recordings by rerun."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

import scenekit as sk
from scenekit.world.export.map_recording import in_order
from tests.world.posed import Thing, looking, scene_of

CHAIR = Thing("chair", (3.0, 0.0, 0.45), (0.4, 0.9, 0.6), yaw=math.pi / 2, attributes=("red",))
MUG = Thing("mug", (4.0, 1.0, 0.85), (0.1, 0.1, 0.1))
FRONT = looking((0, 0, 1.2), (3.5, 0.5, 0.5))


def world_of(**options: Any) -> sk.World:
    scenes = [scene_of([CHAIR, MUG], FRONT, float(n), [(1, "on", 0)]) for n in range(3)]
    return sk.World.of(scenes, **options)


def test_spark_dsg_loads_the_graph(tmp_path: Path) -> None:
    dsg = pytest.importorskip("spark_dsg")
    world_of().save_dsg(tmp_path / "dsg.json")
    graph = dsg.DynamicSceneGraph.load(str(tmp_path / "dsg.json"))
    nodes = {node.attributes.name: node for node in graph.get_layer(dsg.DsgLayers.OBJECTS).nodes}
    chair = nodes["chair"]
    assert (chair.id.category, chair.id.category_id) == ("O", 0) and len(nodes) == 2
    np.testing.assert_allclose(chair.attributes.position, CHAIR.place, atol=1e-5)
    box = chair.attributes.bounding_box
    assert box.type == dsg.BoundingBoxType.OBB
    np.testing.assert_allclose(box.dimensions, [0.6, 0.4, 0.9], atol=1e-5)  # length, width, height
    np.testing.assert_allclose(box.world_R_center, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-5)
    corners = np.array(box.corners())
    np.testing.assert_allclose(corners.min(axis=0), [2.8, -0.3, 0.0], atol=1e-5)  # 0.4 wide along x, 0.6 long along y
    np.testing.assert_allclose(corners.max(axis=0), [3.2, 0.3, 0.9], atol=1e-5)
    assert chair.attributes.metadata.get()["attributes"] == {"red": 1.0}
    (edge,) = graph.edges
    assert {edge.source, edge.target} == {node.id.value for node in nodes.values()}
    (relation,) = edge.info.metadata.get()["edges"]
    assert (relation["subject"], relation["object"], relation["predicate"]) == (1, 0, "on")


def test_an_empty_map_is_a_graph_too(tmp_path: Path) -> None:
    dsg = pytest.importorskip("spark_dsg")
    sk.World().save_dsg(tmp_path / "dsg.json")
    assert dsg.DynamicSceneGraph.load(str(tmp_path / "dsg.json")).num_nodes() == 0


def test_solids_stand_on_the_ground_of_gltf(tmp_path: Path) -> None:
    world_of().save_mesh(tmp_path / "map.glb")
    scene = trimesh.load(tmp_path / "map.glb")
    assert set(scene.geometry) == {"chair_0", "mug_1"}
    low, high = scene.geometry["chair_0"].bounds
    np.testing.assert_allclose(low, [2.8, 0.0, -0.3], atol=1e-4)  # x, up, and y backwards
    np.testing.assert_allclose(high, [3.2, 0.9, 0.3], atol=1e-4)
    assert scene.geometry["chair_0"].metadata["sightings"] == 3
    world_of().save_mesh(tmp_path / "map.obj")
    assert "o mug_1" in (tmp_path / "map.obj").read_text()


def test_the_frame_of_a_camera_is_turned_up(tmp_path: Path) -> None:
    """In a world whose up is -y, an object 1 m below the origin and 3 m ahead lies at (0, -1, -3) of glTF."""
    box = sk.Boxes3D.from_parameters(torch.tensor([[0.0, 1.0, 3.0, 0.2, 0.2, 0.2, 0, 0, 0]]))
    scene = scene_of([MUG], np.eye(4))
    scene = sk.Scene(scene.size, scene.vocabulary, scene.streams, {sk.BOXES3D: box}, moment=scene.moment)
    world = sk.World.of([scene], up=(0.0, -1.0, 0.0), confirm=1)
    world.save_mesh(tmp_path / "map.glb")
    np.testing.assert_allclose(trimesh.load(tmp_path / "map.glb").bounds.mean(axis=0), [0, -1, -3], atol=1e-5)
    assert world.graph().nodes[0]["boxes3d"]["yaw"] == pytest.approx(0)


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    chunks = pytest.importorskip("rerun.chunk")
    found: dict[str, list[dict[str, Any]]] = {}
    for chunk in chunks.RrdReader(path).stream():
        found.setdefault(chunk.entity_path, []).extend(chunk.to_record_batch().to_pylist())
    return found


def test_recordings_show_the_map_over_time(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    world = sk.World(confirm=1)
    world.add(scene_of([CHAIR], FRONT, 0.0))
    world.add(scene_of([CHAIR, MUG], looking((0, 1, 1.2), (3.5, 0.5, 0.5)), 2.5))
    world.save_recording(tmp_path / "map.rrd")
    found = read(tmp_path / "map.rrd")
    boxes = found["/map/objects"]
    assert [row["Boxes3D:labels"] for row in boxes] == [["chair 0"], ["chair 0", "mug 1"]]
    np.testing.assert_allclose(boxes[0]["Boxes3D:centers"], [CHAIR.place], atol=1e-5)
    np.testing.assert_allclose(boxes[0]["Boxes3D:half_sizes"], [[0.3, 0.45, 0.2]], atol=1e-5)
    cameras = [row["Transform3D:translation"][0] for row in found["/world"] if row.get("Transform3D:translation")]
    np.testing.assert_allclose(cameras, [[0, 0, 1.2], [0, 1, 1.2]], atol=1e-6)
    assert len(found["/world/camera"]) == 2
    with pytest.raises(sk.InputError, match="each scene of the map or none, got 1 for 2"):
        world.save_recording(tmp_path / "map.rrd", [scene_of([CHAIR], FRONT)])


def test_scenes_without_moments_keep_their_order() -> None:
    """One without a moment has the number of scenes before it as its time: 0 s, 0.5 s, 2 s."""
    scenes = [scene_of([CHAIR], FRONT, time) for time in (9.0, 0.5, 9.0)]
    mixed = [scene if n == 1 else replace(scene, moment=None) for n, scene in enumerate(scenes)]
    world = sk.World()
    for scene in mixed:
        world.add(scene, pose=FRONT)
    assert [view.time for view in world.views] == [0.0, 0.5, 2.0]
    assert all(one is other for one, other in zip(in_order(mixed), mixed, strict=True))
    assert in_order(scenes)[0] is scenes[1], "as World.of sorts them"


def test_names_of_files_are_checked(tmp_path: Path) -> None:
    world = world_of()
    for write, name in ((world.save_dsg, "a.txt"), (world.save_mesh, "a.stl"), (world.save_recording, "a.json")):
        with pytest.raises(sk.InputError, match="expected a file name that ends in"):
            write(tmp_path / name)
    assert not list(tmp_path.iterdir())
