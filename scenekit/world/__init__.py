"""A map of objects: scenes with poses merge into one world.

`World` is the map, `MapObject` an object of it, `Changes` what differs between two maps.
"""

from scenekit.world.changes import Changes, Moved
from scenekit.world.map_object import MapObject
from scenekit.world.options import WorldOptions
from scenekit.world.views import View
from scenekit.world.world import World

__all__ = ["Changes", "MapObject", "Moved", "View", "World", "WorldOptions"]
