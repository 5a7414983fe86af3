"""The classes of Cityscapes, by their ids in the label maps.

Those that the benchmark does not evaluate are ignored: parking, rail track, guard rail, bridge, tunnel, polegroup,
caravan, trailer, the ego vehicle, the border of the image and other void.
"""

from __future__ import annotations

from collections.abc import Mapping

from scenekit.structures.vocabulary import Vocabulary

THINGS: Mapping[int, str] = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""Classes with instances."""

STUFF: Mapping[int, str] = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
}
"""Classes without instances."""

LAST = 33
"""The largest id of a class."""

PLATE = (255, 65535)
"""Id -1, of license plates, in maps of 8 and 16 bits; the official files do not draw them."""

VOCABULARY = Vocabulary(tuple(THINGS.values()), tuple(STUFF.values()))
"""The 19 classes of the benchmark."""

LABELS: Mapping[int, int] = {id: VOCABULARY.label(name) for id, name in {**THINGS, **STUFF}.items()}
"""Labels by id; other ids are ignored."""
