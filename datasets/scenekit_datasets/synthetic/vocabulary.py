"""The names behind the integers of synthetic scenes, and the mirror words of their captions."""

from __future__ import annotations

THINGS: tuple[str, ...] = (
    "person",
    "chair",
    "table",
    "lamp",
    "car",
    "mug",
    "crate",
    "box",
    "ball",
    "cylinder",
    "cone",
    "ring",
)
STUFF: tuple[str, ...] = ("floor", "wall", "rug", "sky", "grass", "road", "sand")
SYMMETRY: dict[str, int] = {
    "table": 2,
    "crate": 2,
    "box": 2,
    "lamp": 0,
    "ball": 0,
    "cylinder": 0,
    "cone": 0,
    "ring": 0,
}
"""Turns about the upright axis that leave a thing's shape as it is, 0 for every one; all others have a front.

Some tables are round, but most are not.
"""

CLASSES: tuple[str, ...] = THINGS + STUFF
"""Semantic classes: an index below len(THINGS) is a thing and equals the object's label."""

IGNORE = 255
"""Semantic value of a pixel without a class: in clips, where an object shows too little to be labelled."""

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.12, 0.12),
    "orange": (0.93, 0.48, 0.10),
    "yellow": (0.95, 0.82, 0.18),
    "green": (0.18, 0.58, 0.24),
    "blue": (0.15, 0.33, 0.78),
    "purple": (0.48, 0.22, 0.66),
    "pink": (0.94, 0.52, 0.68),
    "brown": (0.45, 0.28, 0.16),
    "black": (0.09, 0.09, 0.10),
    "white": (0.92, 0.92, 0.90),
    "gray": (0.52, 0.53, 0.55),
}
"""Display values (gamma-encoded sRGB in 0..1) of the named colors."""

PATTERNS: tuple[str, ...] = ("plain", "striped", "checkered", "speckled")
FINISHES: tuple[str, ...] = ("matte", "shiny")
SIZES: tuple[str, ...] = ("small", "large")
POSES: tuple[str, ...] = ("upright", "tipped", "standing", "sitting")
ATTRIBUTES: tuple[str, ...] = (*COLORS, *PATTERNS, *FINISHES, *SIZES, *POSES)

PREDICATES: tuple[str, ...] = ("left of", "right of", "in front of", "behind", "on", "under", "near", "inside")

MIRRORED_WORDS: tuple[tuple[str, str], ...] = (("left", "right"),)
"""Words of captions and predicates that are exchanged when an image is flipped."""

KEYPOINTS: tuple[str, ...] = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 keypoints of COCO, in its order; left and right are the person's own."""

_BONES = (
    ("left_ankle", "left_knee"),
    ("left_knee", "left_hip"),
    ("right_ankle", "right_knee"),
    ("right_knee", "right_hip"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_eye", "right_eye"),
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"),
)
SKELETON: tuple[tuple[int, int], ...] = tuple((KEYPOINTS.index(a), KEYPOINTS.index(b)) for a, b in _BONES)
