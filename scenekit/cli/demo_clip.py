"""The clip of `scenekit demo`: a video with ids that last, and a map of what its frames show."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenekit.cli import output

if TYPE_CHECKING:
    from scenekit.data.clip import Clip
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene

LEAST = 0.2
"""Smallest score of an object of the clip: what scores little continues a track, and begins none."""


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
    pairs = zip(clip.frames, tracked(network, clip), strict=True)
    world, video = sk.World(), folder / "clip.mp4"
    with sk.VideoWriter(video) as writer:
        for frame, scene in output.progress(pairs, "predicting a clip", len(clip)):
            writer.write(np.asarray(scene.draw(frame)), None if frame.moment is None else frame.moment.time)
            if sk.World.reads in scene:
                world.add(scene)
    if not len(world):
        return [video]
    output.save_image(world.draw(), folder / "world.png")
    world.save(folder / "world.json")
    return [video, folder / "world.png", folder / "world.json"]


def tracked(network: SceneModel, clip: Clip) -> Iterator[Scene]:
    """Yield the scenes of a clip with ids that last.

    Args:
        network: The model.
        clip: The clip.

    Yields:
        A scene for each frame.
    """
    import scenekit as sk

    network = sk.with_task(network, "appearance")
    whole = sk.Coverage.IMAGE  # what is drawn on every pixel hides whose id is where
    tasks = [task for task in network.tasks if network.specs[task].draw_covers is not whole]
    scenes = network.predict(iter(clip.frames), tasks=tasks, threshold=LEAST, on_error="raise")
    for scene in sk.track(scenes, smooth=0.3):
        assert isinstance(scene, sk.Scene), "an image that fails ends the prediction"
        yield scene
