"""The map: scenes with poses merge into one world of objects. Letters: N objects of a scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike
from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.graph import Match, find
from scenekit.io.files import write_atomically
from scenekit.io.poses import Poses
from scenekit.io.records import read_json
from scenekit.keys import Key
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary
from scenekit.world.growing import Growth
from scenekit.world.map_object import MapObject
from scenekit.world.options import NAMES, WorldOptions
from scenekit.world.sightings import READS, Sightings, sightings_in, with_pose
from scenekit.world.views import View

if TYPE_CHECKING:
    from networkx import MultiDiGraph
    from PIL.Image import Image

    from scenekit.world.changes import Changes


class World:
    """A map of objects that grows scene by scene.

    Each scene needs the pose of its camera (`scene.moment.pose`, or `add(scene, pose=...)`) and 3D boxes
    (`sk.BOXES3D`). Positions are metres in the world of the poses. Sightings of one object are fused: by overlap of the
    3D boxes, by distance relative to size and expected error, and by class; by track where scenes have some
    (`sk.track`). No pose is estimated: this is no SLAM.

    ```python
    world = sk.World.of(scenes, poses=sk.Poses.load("trajectory.txt"))
    world.find("mug on table")
    world.save("map.json")
    ```

    Args:
        options: What the map is built by, such as `up=(0, 0, 1)` or `tracked=False`; see `WorldOptions`.
    """

    reads: ClassVar[Key[Any, Any]] = READS
    """What a scene must have to be added."""

    def __init__(self, **options: Any) -> None:
        for name in options.keys() - set(NAMES):
            raise InputError(f"World has no option {name!r}{nearest(name, NAMES)}")
        self.options = WorldOptions(**options)
        """What the map is built by."""
        self.vocabulary = Vocabulary(things=())
        """What the class names are, of all scenes together."""
        self.views: list[View] = []
        """The camera of each scene, in order."""
        self.growth = Growth(self.options)
        """The objects, their relations, and how they change with each scene."""

    @classmethod
    def of(cls, scenes: Iterable[Scene], poses: Poses | None = None, **options: Any) -> World:
        """Build a map of scenes, in the order of their times.

        Args:
            scenes: Scenes with 3D boxes, in any order.
            poses: Poses of the cameras; by default those that the scenes bring.
            options: As for `World`.

        Returns:
            The map.

        Raises:
            InputError: As for `add`; the message has the number of the scene.
        """
        world = cls(**options)
        for number, scene in sorted(enumerate(scenes), key=lambda entry: time_of(entry[1])):
            try:
                world.add(scene, None if poses is None else poses.of(scene.moment))
            except InputError as error:
                raise InputError(f"scene {number}: {error}") from error
        return world

    def add(self, scene: Scene, pose: Tensor | ArrayLike | None = None) -> Int[np.ndarray, " N"]:
        """Merge a scene into the map.

        Groups (crowd), ignored objects, and objects without a valid 3D box are left out. Vocabularies are merged by
        name. A scene whose number (`scene.moment.number`) is below that of the one before it begins another stream.

        Args:
            scene: A scene with 3D boxes.
            pose: Camera to world [4 4] in metres, in place of that of the scene. A scene without a moment gets the
                number of scenes before it as its time.

        Returns:
            The identity in the map of each object of the scene, -1 for those that are left out.

        Raises:
            InputError: The scene has no pose or no 3D boxes, is earlier than the one before it, has tracks and the
                number of the one before it, or its vocabulary contradicts that of the map; the map is unchanged then.
        """
        scene = scene if pose is None else with_pose(scene, pose, len(self.views))
        sightings = sightings_in(scene, self.options)
        if self.views:
            check_order(self.views[-1], sightings)
        if scene.vocabulary is not self.vocabulary and scene.vocabulary != self.vocabulary:
            self.vocabulary = self.vocabulary.merged(scene.vocabulary)
        if self.views and sightings.view.number < self.views[-1].number:
            self.growth.tracks.clear()  # another stream begins, and its ids anew
        self.views.append(sightings.view)
        result = np.full(sightings.count, -1)
        result[sightings.rows] = self.growth.add(sightings, self.vocabulary.symmetry)
        return result

    def __getitem__(self, identity: int) -> MapObject:
        if identity not in self.growth.objects:
            raise InputError(f"the map has no object {identity}; see `objects` and `candidates`")
        return self.growth.objects[identity]

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def objects(self) -> tuple[MapObject, ...]:
        """The confirmed objects: those with enough sightings; see `WorldOptions.confirm` and `confirm_share`."""
        return tuple(filter(self.is_confirmed, self.growth.objects.values()))

    @property
    def candidates(self) -> tuple[MapObject, ...]:
        """The objects with too few sightings: shown once or rarely, though their place was in view."""
        return tuple(item for item in self.growth.objects.values() if not self.is_confirmed(item))

    def is_confirmed(self, item: MapObject) -> bool:
        """Return whether an object has enough sightings.

        Args:
            item: An object of the map.

        Returns:
            Whether at least `confirm` scenes show it, and `confirm_share` of those that have its place in view.
        """
        return item.sightings >= self.options.confirm and item.sightings >= self.options.confirm_share * item.chances

    def graph(self, *, candidates: bool = False, share: float = 0.5, threshold: float = 0.5) -> MultiDiGraph:
        """Build a graph (networkx) of the objects and the relations that hold, as `Scene.graph` does of one image.

        Nodes are identities. Each has `label`, `score`, `identity`, `boxes3d` with `x`, `y`, `z`, `width`, `height` and
        `length` in metres of the world, and `roll`, `pitch`, `yaw` in radians: yaw turns counter-clockwise about up,
        from the world's x to the object's front; `sightings`, `chances`, `first_seen`, `last_seen` in seconds and
        `confirmed`; and what the sightings say together under the names of their keys, such as `attributes` with their
        mean probability and `captions`.

        Edges have `predicate`; `score`, the mean over all scenes that show both objects; `sightings`, the number of
        scenes that state the relation; `share` of the scenes with both; `first_seen` and `last_seen`. Relations that
        depend on where the camera stands, such as "left of", hold only where most views agree. Attributes of the
        graph: `vocabulary`, `frame` and `up`.

        Args:
            candidates: Whether unconfirmed objects are nodes, too.
            share: The least share of the scenes with both objects that state a relation.
            threshold: The least probability of an attribute.

        Returns:
            The graph, for `sk.find` and `sk.save_graph`.
        """
        from scenekit.world.map_graph import build_map_graph

        return build_map_graph(self, candidates, share, threshold)

    def find(self, query: str, **options: Any) -> list[Match]:
        """Find the objects and relations of the map that match a query, such as "mug on table"; see `sk.find`.

        Args:
            query: Text or a pattern.
            options: `limit` and `threshold` of `sk.find`.

        Returns:
            Matches, the best first; their nodes are identities: `world[match.nodes["mug"]]`.

        Raises:
            InputError: As for `sk.find`.
        """
        return find(self.graph(), query, **options)

    def diff(self, earlier: World, moved: float = 0.3) -> Changes:
        """Compare with the map of an earlier visit.

        Both maps have the same world frame. Confirmed objects at the same place are the same, of one class or of about
        one size; along the ray of sight their expected error is allowed besides. Of the others, those of one class and
        about one size have moved. An object has vanished where enough scenes of this map had its place in view to
        confirm it, and appeared where enough of the earlier one had: inside the image, large enough, and behind no
        other object of that map. What hides it without being an object, such as a wall, is unknown.

        Args:
            earlier: The map of the earlier visit.
            moved: Metres from which on an object has moved.

        Returns:
            The changes.

        Raises:
            InputError: The maps have another direction of up, or a map has no scenes.
        """
        from scenekit.world.changes import changes_between

        return changes_between(earlier, self, moved)

    def to_json(self) -> dict[str, Any]:
        """Encode the map as plain JSON.

        Returns:
            The mapping that `from_json` reads; numbers stay exact.
        """
        from scenekit.world.world_json import encoded

        return encoded(self)

    @classmethod
    def from_json(cls, data: Any) -> World:
        """Decode what `to_json` wrote; the map can go on to grow.

        Args:
            data: Plain JSON.

        Returns:
            The map.

        Raises:
            InputError: Another format version, or an entry that `to_json` does not write; the message names it.
        """
        from scenekit.world.world_json import decoded

        return decoded(data)

    def save(self, path: str | Path) -> None:
        """Write a JSON file atomically.

        Args:
            path: The file.
        """
        from scenekit.world.world_json import text_of

        write_atomically(path, text_of(self).encode())

    @classmethod
    def load(cls, path: str | Path) -> World:
        """Read a file that `save` wrote.

        Args:
            path: The file.

        Returns:
            The map.

        Raises:
            InputError: The file cannot be read, or is not a map; the message names the entry.
        """
        data = read_json(Path(path))
        try:
            return cls.from_json(data)
        except InputError as error:
            raise InputError(f"{path} is not a map file: {error}") from error

    def save_mesh(self, path: str | Path) -> None:
        """Write the confirmed objects in metres as `sk.save_mesh` does: a .glb, or an .obj; up is y, as glTF has it.

        Objects with a mesh (see `WorldOptions.keep_meshes`) have it, others a frame of thin bars.

        Args:
            path: The file; its suffix selects the format.

        Raises:
            InputError: The suffix is another one.
        """
        from scenekit.world.export.solids import save_map_mesh

        save_map_mesh(self, path)

    def save_dsg(self, path: str | Path) -> None:
        """Write a dynamic scene graph as Hydra does, `dsg.json`, which spark-dsg 1.1 loads.

        The confirmed objects are the layer of objects, the relations that hold edges between them, with their names in
        the metadata.

        Args:
            path: The file, ending in .json.

        Raises:
            InputError: The suffix is another one.
        """
        from scenekit.world.export.dsg import save_dsg

        save_dsg(self, path)

    def save_recording(self, path: str | Path, scenes: Sequence[Scene] = ()) -> None:
        """Write a recording for rerun's viewer (rerun.io): the map over time, and the path of the camera.

        Args:
            path: The file, ending in .rrd.
            scenes: Scenes of the map whose images and values are shown at their cameras.

        Raises:
            InputError: The suffix is another one, rerun-sdk is absent, or an image cannot be read.
        """
        from scenekit.world.export.map_recording import save_map_recording

        save_map_recording(self, path, scenes)

    def draw(self, *, labels: bool = True, candidates: bool = False) -> Image:
        """Draw the map from above: objects as oriented boxes with their names, the path of the camera, a scale bar.

        Args:
            labels: Whether to write class names; one without room is left out.
            candidates: Whether to draw unconfirmed objects, as thin outlines.

        Returns:
            The drawing.
        """
        from scenekit.world.drawing import draw_map

        return draw_map(self, labels=labels, candidates=candidates)

    def table(self) -> list[dict[str, Any]]:
        """List the confirmed objects, a row each.

        Returns:
            Rows with identity, label, score, position and size in metres, yaw in degrees, sightings, first and last
            seen in seconds, and attributes.
        """
        from scenekit.world.map_graph import rows_of

        return rows_of(self)


def check_order(before: View, sightings: Sightings) -> None:
    """Raise InputError unless a scene may follow the camera before it: later, and not of another stream at one time."""
    time, number = sightings.view.time, sightings.view.number
    if time < before.time:
        raise InputError(
            f"scenes are added in the order of their times, got {time:g} s after {before.time:g} s;"
            " World.of sorts them, and another visit is a map of its own, for World.diff"
        )
    if number == before.number and any(track is not None for track in sightings.tracks):
        raise InputError(
            f"two scenes in turn are image {number} of their streams, and tracks of two streams have nothing in common;"
            " build the map with tracked=False (`scenekit world --no-tracked`)"
        )


def time_of(scene: Scene) -> float:
    """Return the time of a scene in seconds, 0 where it is unknown."""
    return 0.0 if scene.moment is None else scene.moment.time
