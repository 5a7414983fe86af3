"""The clip of `scenekit demo`: a video with ids that last and what happens in it, and a map of what its frames show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenekit.cli import output
from scenekit.cli.predict_stream import Pairs, beside, paired, predictor
from scenekit.cli.stream_tracking import DEFAULT, Tracking

if TYPE_CHECKING:
    from scenekit.data.clip import Clip
    from scenekit.model.clips import ClipScene
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.visualization import ReportEntry

LEAST = 0.2
"""Smallest score of an object of the clip: what scores little continues a track, and begins none."""

SMOOTH = 0.3
"""Seconds over which values of an object are averaged."""


@dataclass(frozen=True)
class DemoClip:
    """What the demo has made of a clip."""

    files: list[Path] = field(default_factory=list)
    """The files; none where the package that writes videos is missing."""
    whole: ClipScene | None = None
    """What the tasks of clips predict, if the model has any."""
    entries: list[ReportEntry] = field(default_factory=list)
    """What the report shows of these."""

    def values(self) -> dict[str, Any]:
        """Return the values of the whole clip as plain JSON.

        Returns:
            Values by name of their key.
        """
        if self.whole is None:
            return {}
        scene = self.whole.whole
        return {key.name: key.field.encode(value, scene.vocabulary) for key, value in scene.values.items()}


def save_clip(network: SceneModel, folder: Path, index: int = 0) -> DemoClip:
    """Track the objects of a held-out synthetic clip, and merge them into a map where the model has 3D boxes.

    The frames come with their camera, pose and depth, as on a robot. Tasks of clips, such as events, read all frames
    first; each drawn frame then shows what happens at its time.

    Args:
        network: The model; it has objects.
        folder: Gets clip.mp4, the frames with what is predicted; clip.json, the values of the whole clip; world.png,
            the map from above, and world.json.
        index: Number of the clip in the test split.

    Returns:
        The files, and what the report shows.
    """
    if find_spec("av") is None:
        output.print_note("no clip: videos need the package av: pip install 'scenekit[video]'")
        return DemoClip()
    import scenekit as sk

    data = sk.clips("synthetic_clips", split="test")
    clip, world, video = data[index], sk.World(), folder / "clip.mp4"
    whole, files = whole_of(network, clip), [video]
    pairs, middle = beside(tracked(network, clip), {} if whole is None else whole.whole.values), None
    with sk.VideoWriter(video) as writer:
        for number, (scene, frame) in enumerate(output.progress(pairs, "predicting a clip", len(clip))):
            writer.write(np.asarray(scene.draw(frame)), None if frame.moment is None else frame.moment.time)
            if sk.World.reads in scene:
                world.add(scene)
            middle = scene if number == len(clip) // 2 else middle
    if len(world):
        output.save_image(world.draw(), folder / "world.png")
        world.save(folder / "world.json")
        files += [folder / "world.png", folder / "world.json"]
    if whole is None or middle is None:
        return DemoClip(files)
    whole.save(folder / "clip.json")
    entry = entry_of(middle, clip, sk.ClipSamples(data).scene(index))
    return DemoClip([*files, folder / "clip.json"], whole, [entry])


def whole_of(network: SceneModel, clip: Clip) -> ClipScene | None:
    """Predict the values of a whole clip.

    Args:
        network: The model.
        clip: The clip.

    Returns:
        The values; None where the model has no task of clips.
    """
    from scenekit.model.clips import predict_clip

    if not network.clip_tasks:
        return None
    frames = output.progress(clip.frames, "reading a clip", len(clip))
    return predict_clip(network, frames, network.clip_tasks, LEAST)


def entry_of(scene: Scene, clip: Clip, ground_truth: Scene) -> ReportEntry:
    """Draw the values of a whole clip over one of its frames.

    Args:
        scene: What is predicted of the frame, with the values of the clip.
        clip: The clip.
        ground_truth: That of the whole clip.

    Returns:
        The entry of the report.
    """
    from PIL import Image

    from scenekit.io.images import read_image, rounded
    from scenekit.visualization import ReportEntry, draw_layers
    from scenekit.visualization.draw import drawn_tasks

    assert scene.moment is not None, "frames of clips have moments"
    number, timeless = scene.moment.number, replace(scene, moment=None)  # without a time all of the clip is drawn
    image = Image.fromarray(rounded(read_image(clip.frames[number].image)).permute(1, 2, 0).numpy())
    layers = draw_layers(timeless, image, [name for name, spec in drawn_tasks(timeless).items() if spec.of_clips])
    known = {**clip.scenes[number].values, **ground_truth.values}
    there = replace(clip.scenes[number], values=known, moment=None)
    return ReportEntry(f"clip, frame {number}", image, timeless, layers, ground_truth=there)


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
