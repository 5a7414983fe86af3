"""What names of data sets mean: which are the same, and which are kinds of another."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from scenekit.config import Config, validated
from scenekit.io.files import read_text
from scenekit.io.yaml_text import load_yaml
from scenekit.recipe.renaming import LABELS
from scenekit.structures.vocabulary import BUILT_IN_LISTS

NAMES = Path(__file__).with_name("names.yaml")
"""The reviewed list of names."""

ENDINGS = ("other merged", "merged", "other", "stuff", "thing")
"""Endings of the names of COCO's stuff, and of classes of a label space, that do not say what it is."""

IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
    "leaves": "leaf",
    "shelves": "shelf",
    "knives": "knife",
    "wolves": "wolf",
    "scarves": "scarf",
    "loaves": "loaf",
    "buses": "bus",
    "skis": "ski",
    "taxis": "taxi",
    "potatoes": "potato",
    "tomatoes": "tomato",
}
"""Plurals and their singulars."""

SINGULAR = frozenset(
    {
        "bus",
        "gas",
        "glasses",
        "eyeglasses",
        "sunglasses",
        "goggles",
        "jeans",
        "pants",
        "shorts",
        "scissors",
        "stairs",
        "binoculars",
        "species",
        "series",
    }
)
"""Words that end as plurals do, and are none, or mean something else than their singular."""


class Lists(Config):
    """The reviewed list of names."""

    same: tuple[tuple[str, ...], ...] = ()
    """Class names of one meaning, the best one first."""
    merge: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Narrower names that become the broader class."""
    finer: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Narrower names that stay classes of their own."""
    ask: tuple[str, ...] = ()
    """Names of several meanings."""
    predicates: tuple[tuple[str, ...], ...] = ()
    """Predicates of one meaning."""
    attributes: tuple[tuple[str, ...], ...] = ()
    """Attributes of one meaning."""

    @property
    def groups(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Names of one meaning, by list."""
        return {
            LABELS: self.same,
            **{kind: getattr(self, kind) for kind in BUILT_IN_LISTS if kind in Lists.model_fields},
        }


class Meanings:
    """What the names of the lists mean.

    Args:
        lists: The names.
    """

    def __init__(self, lists: Lists) -> None:
        self.groups = lists.groups
        self._rank = {
            kind: {
                key_of(name, kind): (key_of(group[0], kind), rank)
                for group in groups
                for rank, name in enumerate(group)
            }
            for kind, groups in self.groups.items()
        }
        self.merge, self.finer = (self._below(kinds) for kinds in (lists.merge, lists.finer))
        self.ask = frozenset(self.of(name) for name in lists.ask)

    def of(self, name: str, kind: str = LABELS) -> str:
        """Return what a name means.

        Args:
            name: The name.
            kind: Its list.

        Returns:
            Text that is the same for all names of that meaning.
        """
        key = key_of(name, kind)
        return self._rank.get(kind, {}).get(key, (key, 0))[0]

    def rank(self, name: str, kind: str = LABELS) -> int:
        """Return which place a name has among those of its meaning.

        Args:
            name: The name.
            kind: Its list.

        Returns:
            0 for the best.
        """
        key = key_of(name, kind)
        return self._rank.get(kind, {}).get(key, (key, 0))[1]

    def _below(self, kinds: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {self.of(name): tuple(dict.fromkeys(map(self.of, narrower))) for name, narrower in kinds.items()}


@functools.cache
def meanings() -> Meanings:
    """Return the meanings of the reviewed list.

    Returns:
        The meanings.
    """
    return Meanings(validated(Lists, load_yaml(read_text(NAMES), str(NAMES), names=True), str(NAMES)))


def tidy(name: str) -> str:
    """Return a name in lower case, with single spaces as separators.

    Args:
        name: The name.

    Returns:
        Such as `tv monitor` for `TV_Monitor`.
    """
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # TvMonitor
    return " ".join(re.sub(r"[-_/.\s]+", " ", parts).split()).lower()


def key_of(name: str, kind: str = LABELS) -> str:
    """Return what is left of a name without case, separators, plurals, and for classes remarks.

    Args:
        name: The name.
        kind: Its list.

    Returns:
        Letters, such as `tvmonitor` for `TV Monitors`.
    """
    text = tidy(name)
    if kind == LABELS:
        text = tidy(re.sub(r"\(.*?\)", " ", text).partition(",")[0].replace("&", " and ")) or text
        for ending in ENDINGS:
            text = text.removesuffix(f" {ending}")
        text = " ".join(map(singular, text.split()))
    return text.replace(" ", "") or name


def singular(word: str) -> str:
    """Return the singular of an English noun.

    Args:
        word: A word in lower case.

    Returns:
        Its singular; the word itself where it is none of the usual plurals.
    """
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in SINGULAR or len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]
