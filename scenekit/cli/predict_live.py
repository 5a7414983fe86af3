"""The options of `scenekit predict` for streams: a budget of time, rates of tasks, statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output, stream_stats
from scenekit.cli.predict_stream import Pairs, with_camera
from scenekit.cli.stream_sources import FrameSource
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.streaming.statistics import StreamStats
    from scenekit.structures.cameras import Camera


BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Of each image or frame run the tasks that fit into this time, such as 200ms: those of --tasks in their "
        "order, else the cheapest first; of a video, others take turns.",
    ),
]
RatesOption = Annotated[
    str | None,
    typer.Option("--rates", metavar="TASK=N,...", help="Run tasks of a video on every n-th frame, as captions=10."),
]
LiveOption = Annotated[
    bool,
    typer.Option("--live", help="Run the file of a video as if it were live: frames that come too early are dropped."),
]
StatsOption = Annotated[
    str | None,
    typer.Option(
        "--stats", metavar="[FILE]", help="In the end print counts and times of a video, or write them to this .json."
    ),
]


@dataclass(frozen=True)
class LiveOptions:
    """What is asked of a stream beside its scenes."""

    budget: str | None = None
    """Value of --budget."""
    rates: str | None = None
    """Value of --rates."""
    live: bool = False
    """Whether recordings run as if they were live."""
    stats: str | None = None
    """Value of --stats."""
    collected: list[tuple[str, StreamStats]] = field(default_factory=list)
    """The name of each source so far, and its statistics."""

    @property
    def used(self) -> bool:
        """Whether one of them is set."""
        return self.live or any(value is not None for value in (self.budget, self.rates, self.stats))

    def check(self) -> None:
        """Check what can be known before a model is loaded.

        Raises:
            InputError: A time, a rate or a target is invalid.
        """
        stream_stats.check_target(self.stats)
        parsed_rates(self.rates)
        if self.budget is not None:
            from scenekit.model.ledger import seconds_of

            seconds_of(self.budget)

    def named(self) -> dict[str, object]:
        """Return the options that are for videos alone.

        Returns:
            Values by option.
        """
        return {"--rates": self.rates, "--live": self.live, "--stats": self.stats}

    def scenes(
        self,
        network: SceneModel,
        tasks: Sequence[str] | None,
        threshold: float,
        camera: float | Camera | None,
        source: FrameSource,
    ) -> Pairs:
        """Predict the scenes of a source as a stream.

        Args:
            network: The model.
            tasks: Names of tasks; all if None.
            threshold: Smallest score of an object.
            camera: The camera, or its focal length in pixels, if known.
            source: The open source.

        Yields:
            Scenes with their frames.

        Raises:
            InputError: There is no such task, nothing fits the budget, or the source breaks off.
        """
        import scenekit as sk

        if self.budget is not None and not self.collected:
            output.print_note("measuring what each task costs, on the first frame")
        live = bool(getattr(source, "live", False))
        stream = sk.stream(
            network,
            source if camera is None else map(partial(with_camera, camera=camera), source),
            tasks=tasks,
            threshold=threshold,
            budget=self.budget,
            rates=parsed_rates(self.rates),
            drop=live or self.live,
            paced=self.live and not live,
            on_error="raise",
        )
        try:
            with stream:
                for scene in stream:
                    if isinstance(scene, sk.Scene):
                        yield scene, stream.frame
        finally:  # also after Ctrl-C, which is how the stream of a camera ends
            skipped = 0 if camera is None else source.damaged  # which a stream reads of a source itself
            self.collected.append((source.source, stream.stats.with_skipped(skipped)))

    @contextmanager
    def reported(self, aside: bool) -> Iterator[None]:
        """Print or write the statistics in the end, also after Ctrl-C.

        Args:
            aside: Whether standard output has other results.

        Yields:
            Nothing.
        """
        try:
            yield
        finally:
            stream_stats.report(self.collected, self.stats, aside)


def parsed_rates(text: str | None) -> dict[str, Any] | None:
    """Parse the option --rates.

    Args:
        text: Such as "captions=10,meshes=30"; None for none.

    Returns:
        Numbers of frames by task.

    Raises:
        InputError: It is something else.
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or any(not number.strip().isdecimal() for _, _, number in pairs):
        raise InputError(f"--rates: expected numbers of frames by task, such as captions=10,meshes=30, got {text!r}")
    return {name.strip(): int(number) for name, _, number in pairs}
