"""The 150 classes of ADE20K's benchmarks, and their numbers in the files.

`ade150.json` has their names (the first synonym of objectInfo150.txt), which of them the 100 classes of the instance
challenge are, and the indices in the full release that each stands for (mapFromADE.txt); all in official order.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenekit.io.records import read_json
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Classes:
    """The classes by their numbers in the files; 0 is no class in any of them."""

    vocabulary: Vocabulary
    """The classes with instances as things, the others as stuff."""
    maps: Mapping[int, int]
    """Labels by number in maps of the scene parsing challenge: 1 to 150."""
    instances: Mapping[int, int]
    """Labels by number in maps of the instance challenge: 1 to 100."""
    full: Mapping[int, int]
    """Labels by index in the full release."""


@functools.cache
def classes() -> Classes:
    """Read the classes.

    Returns:
        The classes.
    """
    data = read_json(Path(__file__).with_name("ade150.json"))
    things = [data["names"][number - 1] for number in data["things"]]
    vocabulary = Vocabulary(tuple(things), tuple(name for name in data["names"] if name not in things))
    labels = [vocabulary.label(name) for name in data["names"]]
    return Classes(
        vocabulary,
        {number: label for number, label in enumerate(labels, start=1)},
        {number: label for label, number in enumerate(range(1, len(things) + 1))},
        {index: label for label, indices in zip(labels, data["full"], strict=True) for index in indices},
    )
