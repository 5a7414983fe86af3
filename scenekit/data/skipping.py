"""Samples that turn out unusable when they are read: counted and reported; others stand in for them in training."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scenekit.data.datasets import SampleSet
from scenekit.data.sample import Sample
from scenekit.data.transforms import rng_for
from scenekit.errors import InputError, PluginError, SkippedSampleError, listed, summary, warn_once
from scenekit.io.files import write_atomically
from scenekit.io.records import read_json

_log = logging.getLogger(__name__)

MAX_SKIPPED = 0.5
"""Share of the samples that may be skipped: with more the data cannot be what was meant."""

ATTEMPTS = 20
"""How many other samples are tried in place of one."""

SHOWN = 10
"""How many skipped samples a report lists."""


@dataclass(frozen=True)
class Skipped:
    """A sample that is skipped."""

    origin: str
    """Name of its data set in messages."""
    index: int
    """Its number."""
    reason: str
    """The message of the error."""

    def __str__(self) -> str:
        return f"sample {self.index} of {self.origin}: {self.reason}"


@dataclass
class SkippedSamples:
    """The skipped samples of a run or an evaluation."""

    total: int
    """How many samples there are."""
    limit: float = MAX_SKIPPED
    """The share of them that may be skipped."""
    samples: dict[tuple[str, int], Skipped] = field(default_factory=dict)
    """Those that are skipped, each once."""

    def add(self, skipped: Skipped) -> None:
        """Add a sample; a warning names a new one.

        Args:
            skipped: The sample.

        Raises:
            InputError: More than the limit of all samples are skipped.
        """
        if self.samples.setdefault((skipped.origin, skipped.index), skipped) is skipped:
            warn_once(_log, f"{skipped}; skipped")
        if len(self.samples) > self.limit * self.total:
            raise InputError(
                f"{len(self.samples)} of {self.total} samples cannot be used, more than the limit of {self.limit:.0%} "
                f"(max_skipped): {listed(map(str, self.samples.values()), 3, '; ')}"
            )

    def report(self) -> None:
        """Warn of all skipped samples together: how many of each data set, and a line with the reason for each."""
        if self.samples:
            counts = Counter(origin for origin, _ in self.samples)
            each = ", ".join(f"{count} of {origin}" for origin, count in counts.items())
            reasons = listed(map(str, self.samples.values()), SHOWN, "\n  ")
            _log.warning("%d of %d samples were skipped (%s):\n  %s", len(self.samples), self.total, each, reasons)

    def save(self, path: Path) -> None:
        """Write the skipped samples as JSON, if there are any.

        Args:
            path: Path of the file.
        """
        if self.samples:
            data = {"total": self.total, "skipped": [asdict(sample) for sample in self.samples.values()]}
            write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())

    def load(self, path: Path) -> None:
        """Add the samples of a file that the run wrote before it stopped.

        Args:
            path: Path of the file, which need not be there.
        """
        if path.is_file():
            found = (Skipped(**entry) for entry in read_json(path)["skipped"])
            self.samples |= {(sample.origin, sample.index): sample for sample in found}


@contextmanager
def skipping(origin: str, index: int, add: Callable[[Skipped], None], strict: bool = False) -> Iterator[None]:
    """Skip a sample that cannot be read or used, whatever its data set raises but PluginError: one image ends no run.

    Args:
        origin: Name of the data set in messages.
        index: The number of the sample.
        add: Called with a sample that is skipped.
        strict: Whether only samples are skipped that the data set says to skip; other errors are raised.

    Yields:
        Nothing.
    """
    try:
        yield
    except SkippedSampleError as error:
        add(Skipped(origin, index, str(error)))
    except Exception as error:
        if strict or isinstance(error, PluginError):
            raise
        add(Skipped(origin, index, str(error) if isinstance(error, InputError) else summary(error)))


def usable(
    data: SampleSet, skipped: SkippedSamples, origin: str = "the data set", strict: bool = False
) -> Iterator[Sample]:
    """Yield the samples of a data set that can be used, in its order.

    Args:
        data: The data set.
        skipped: Where the others are added.
        origin: Its name in messages.
        strict: Whether only samples are skipped that the data set says to skip; other errors are raised.

    Yields:
        The samples.

    Raises:
        InputError: A sample is refused and `strict` is set, or more samples are skipped than the limit.
    """
    for index in range(len(data)):
        sample = None
        with skipping(origin, index, skipped.add, strict):
            sample = data[index]
        if sample is not None:
            yield sample


def candidates(index: int, count: int, seed: int, epoch: int, source: int) -> Iterator[int]:
    """Yield a sample and those that are tried in its place; they depend on the arguments alone.

    Args:
        index: The number of the sample.
        count: The number of samples of its data set.
        seed: The seed of the run.
        epoch: How many times the sample was drawn before.
        source: The number of its data set.

    Yields:
        Numbers of samples, each once.
    """
    yield index
    others = rng_for(seed, epoch, index, f"replacement/{source}").sample(range(count), min(count, ATTEMPTS))
    yield from (other for other in others if other != index)
