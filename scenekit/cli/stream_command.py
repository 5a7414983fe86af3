"""`scenekit predict` on streams: checks all that can be known, then loads the model, then runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from scenekit.cli import predict_stream
from scenekit.cli.predict_live import LiveOptions
from scenekit.cli.predict_stream import Pairs
from scenekit.cli.stream_clips import ClipRun, parted, print_unasked
from scenekit.cli.stream_sinks import Targets
from scenekit.cli.stream_sources import FrameSource, Kind, Selection
from scenekit.cli.stream_tracking import Tracking

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.structures.cameras import Camera


@dataclass(frozen=True)
class StreamCommand:
    """What is asked of the frames of all sources."""

    targets: Targets
    """Where the scenes go."""
    live: LiveOptions
    """Budget, rates and statistics."""
    tracking: Tracking | None
    """How objects are tracked, if they are."""
    load: Callable[[], SceneModel]
    """Loads the model."""
    tasks: list[str] | None
    """Names of tasks; all if None."""
    threshold: float
    """Smallest score of an object."""
    camera: float | Camera | None
    """The camera, or its focal length in pixels, if known."""

    def run(self, kind: Kind, names: Sequence[str], stems: Sequence[str], selection: Selection) -> None:
        """Predict the scenes of all frames; what has been opened is closed, also where something is refused.

        Args:
            kind: Kind of the sources.
            names: Their names.
            stems: Names of their files in a folder, without suffix.
            selection: Which frames.

        Raises:
            InputError: Something is refused, a source breaks off, or a file cannot be written.
        """
        self.targets.check_tracks(self.tracking is not None)
        with ExitStack() as stack:
            stack.callback(kind.release)
            predict_stream.check(kind, names, stems, selection, self.targets)
            network = self.load()
            of_clips, tasks = parted(network, self.tasks)
            clips = ClipRun(network, of_clips, self.threshold, self.camera, self.targets)
            clips.check(kind, names, self.live)
            if tasks is None:
                print_unasked(network, kind, names)
            if self.tracking is not None:
                network, tasks = self.tracking.prepared(network, tasks)
            stack.enter_context(self.live.reported(self.targets.printed))
            scenes, values = self._scenes(network, tasks), partial(clips.values, kind, selection, len(names) == 1)
            predict_stream.StreamRun(kind, selection, self.targets, scenes, network.device, values).over(names, stems)

    def _scenes(self, network: SceneModel, tasks: list[str] | None) -> Callable[[FrameSource], Pairs]:
        """Return what predicts the scenes of a source, each with its frame."""
        asked = (network, tasks, self.threshold, self.camera)
        plain = partial(predict_stream.paired, predict_stream.predictor(*asked))
        scenes = partial(self.live.scenes, *asked) if self.live.used else plain
        return scenes if self.tracking is None else partial(self.tracking.pairs, scenes)


def loaded(model: str, across_classes: float | None, device: str) -> SceneModel:
    """Load a model.

    Args:
        model: Its name.
        across_classes: IoU above which objects of two classes are one thing; None for the model's own.
        device: Name of its device.

    Returns:
        The model.
    """
    import scenekit as sk
    from scenekit.cli.device import on_device
    from scenekit.weights.detector_options import with_suppression

    network = sk.load(model)
    if across_classes is not None:
        network = with_suppression(network, across_classes)
    return on_device(network, device)
