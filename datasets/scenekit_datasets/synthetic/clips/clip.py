"""The fully labelled clip, and the function that generates clip `index` of seed `seed`.

Letters: N labelled objects of a frame, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from scenekit_datasets.synthetic.clips.camera import pose_of
from scenekit_datasets.synthetic.clips.events import Event
from scenekit_datasets.synthetic.clips.plan import Change, Planned, plan_clip
from scenekit_datasets.synthetic.render import pixel_rays
from scenekit_datasets.synthetic.scene import SyntheticScene, annotated

VERSION = 2
"""Is increased whenever the same (seed, index) would give another clip; part of the name of cached files."""

LEAST = 12 / (240 * 320)
"""Objects that show less than this part of the image are absent from a frame (12 pixels of 240 x 320)."""

FRAMES, RATE = 40, 8.0
"""Default number of frames, and frames per second."""


@dataclass(frozen=True, eq=False)
class SyntheticFrame:
    """One frame of a clip."""

    time: float
    """Seconds from the start of the clip."""
    pose: Float[np.ndarray, "4 4"]
    """Camera to world in metres; the world has x right, y away from the camera and z up, the ground at z = 0."""
    ids: Int[np.ndarray, " N"]
    """Identity of each object of the scene, the same throughout the clip and its visits."""
    scene: SyntheticScene
    """Image and labels."""


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """Frames with every kind of label, and what happens."""

    frames: tuple[SyntheticFrame, ...]
    """The frames."""
    events: tuple[Event, ...]
    """What happens, by its start."""
    changes: tuple[Change, ...] = ()
    """What is different at visit 1 from the end of visit 0."""


def render_frame(planned: Planned, number: tuple[int, int, int], time: float, size: tuple[int, int]) -> SyntheticFrame:
    """Render and annotate one frame.

    Args:
        planned: The plan.
        number: Seed, index and frame.
        time: Seconds from the start of the clip.
        size: (height, width) of the image in pixels.

    Returns:
        The frame.
    """
    plan = planned.plan
    renderer = plan.renderer(time)
    surface = renderer.surface(pixel_rays(size, plan.stage.view.focal * size[1]))
    count = len(renderer.objects)
    areas = np.bincount(surface.owner[(surface.owner >= 0) & (surface.owner < count)], minlength=count)
    shown = np.flatnonzero(areas >= max(LEAST * size[0] * size[1], 1.0))
    scene = annotated(renderer, surface, size, number, shown=shown.tolist())
    return SyntheticFrame(time, pose_of(renderer.stage.view), np.array(plan.present, dtype=np.int64)[shown], scene)


def generate_clip(
    seed: int,
    index: int,
    size: tuple[int, int] = (240, 320),
    frames: int = FRAMES,
    rate: float = RATE,
    still: bool = False,
    visit: int = 0,
) -> SyntheticClip:
    """Generate a clip with all labels; the same arguments give the same clip on every machine.

    The size of the images changes neither what happens nor where things are; frames and rate matter by the length of
    the clip alone.

    Args:
        seed: Seed of the clip.
        index: Index of the clip.
        size: (height, width) of the images in pixels.
        frames: Number of frames.
        rate: Frames per second.
        still: Whether nothing moves but the camera, which then shows the objects from several sides.
        visit: 0, or 1 for a later visit to the place in which visit 0 ends: nothing moves but the camera, on a way of
            its own, and some objects have been moved, added or removed since.

    Returns:
        The clip.

    Raises:
        InputError: If embree is missing.
    """
    planned = plan_clip(seed, index, frames / rate, still, visit)
    made = [render_frame(planned, (seed, index, number), number / rate, size) for number in range(frames)]
    return SyntheticClip(tuple(made), planned.events, planned.changes)
