"""What the drawings of 3D boxes share: which can be drawn, how far they are, what is written at them."""

from __future__ import annotations

from scenekit.keys import BOXES3D
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D


def drawable_cuboids(scene: Scene) -> tuple[list[int], Boxes3D]:
    """Return rows of the objects that have a 3D box, and these boxes.

    Boxes that cannot be (not finite, a side of 0 or less, no rotation; see `Boxes3D.valid`) are left out.
    """
    boxes = scene[BOXES3D]
    rows = (scene.rows_with(BOXES3D) & boxes.valid).nonzero()[:, 0]
    return rows.tolist(), boxes[rows]


def has_front(scene: Scene) -> list[bool]:
    """Return for each object whether its class has a front; symmetric shapes have none."""
    return [scene.vocabulary.symmetry.get(name, 1) == 1 for name in scene.names()]


def distances(boxes: Boxes3D) -> list[float]:
    """Return metres from the camera to the middle of each box."""
    metres: list[float] = boxes.center.norm(dim=1).tolist()
    return metres


def metres_text(distance: float, assumed: bool) -> str:
    """Format a distance as `2.4 m`; with a tilde where the camera is assumed."""
    return f"{'~' if assumed else ''}{distance:.1f} m"


def cuboid_text(name: str, boxes: Boxes3D, index: int, assumed: bool) -> str:
    """Format class name, score of the box where it has one, and distance as `chair 0.93 · 2.4 m`."""
    score = "" if boxes.scores is None else f" {boxes.scores[index].item():.2f}"
    return f"{name}{score} · {metres_text(distances(boxes)[index], assumed)}"
