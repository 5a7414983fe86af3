"""The clip of `scenekit demo`: a video with ids that last, and a map of what its frames show."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenekit.cli import output
from scenekit.cli.predict_stream import Pairs, paired, predictor
from scenekit.cli.stream_tracking import DEFAULT, Tracking

if TYPE_CHECKING:
    from scenekit.data.clip import Clip
    from scenekit.model.scene_model import SceneModel

LEAST = 0.2
"""Smallest score of an object of the clip: what scores little continues a track, and begins none."""

SMOOTH = 0.3
"""Seconds over which values of an object are averaged."""


def save_clip(network: SceneModel, folder: Path, index: int = 0) -> list[Path]:
    """Track the objects of a held-out synthetic clip, and merge them into a map where the model has 3D boxes.

    The frames come with their camera, pose and depth, as on a robot.

    Args:
        network: The model; it has objects.
        folder: Gets clip.mp4, the frames with what is predicted, world.png, the map from above, and world.json.
        index: Number of the clip in the test split.

    Returns:
        The files; none where the package that writes videos is missing.
    """
    if find_spec("av") is None:
        output.print_note("no clip: videos need the package av: pip install 'scenekit[video]'")
        return []
    import scenekit as sk

    clip = sk.clips("synthetic_clips", split="test")[index]
    world, video = sk.World(), folder / "clip.mp4"
    with sk.VideoWriter(video) as writer:
        for scene, frame in output.progress(tracked(network, clip), "predicting a clip", len(clip)):
            writer.write(np.asarray(scene.draw(frame)), None if frame.moment is None else frame.moment.time)
            if sk.World.reads in scene:
                world.add(scene)
    if not len(world):
        return [video]
    output.save_image(world.draw(), folder / "world.png")
    world.save(folder / "world.json")
    return [video, folder / "world.png", folder / "world.json"]


def tracked(network: SceneModel, clip: Clip) -> Pairs:
    """Yield the scenes of a clip with ids that last.

    Args:
        network: The model.
        clip: The clip.

    Yields:
        Scenes with their frames.
    """
    from scenekit.hooks import Coverage

    tracking = Tracking.of(DEFAULT, SMOOTH)
    assert tracking is not None, "a name of a tracker asks for tracking"
    network, _ = tracking.prepared(network, None)
    # What is drawn on every pixel hides which id is where.
    tasks = [task for task in network.tasks if network.specs[task].draw_covers is not Coverage.IMAGE]
    yield from tracking.pairs(partial(paired, predictor(network, tasks, LEAST, None)), iter(clip.frames))
