"""The file of a label space: its classes, and which names of which data set become them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config, validated
from scenekit.errors import InputError, listed, nearest, repr_of
from scenekit.io.files import read_text
from scenekit.io.yaml_text import load_yaml
from scenekit.recipe.renaming import (
    FURTHER,
    LABELS,
    Name,
    Renaming,
    Target,
    circle_in,
    first_of,
    others_of,
    targets_of,
)

ASK = "ask"
"""What stands in the place of an answer that is still to be given."""

SHOWN = 5
"""How many questions a message lists."""


class NameLists(Config):
    """Lists of names, as a vocabulary has them."""

    things: tuple[Name, ...] = ()
    """Classes of countable objects."""
    stuff: tuple[Name, ...] = ()
    """Classes of regions without instances."""
    predicates: tuple[Name, ...] = ()
    """Predicates of relations."""
    attributes: tuple[Name, ...] = ()
    """Attributes of objects."""
    points: tuple[Name, ...] = ()
    """Names of keypoints."""
    lists: dict[str, tuple[Name, ...]] = Field(default_factory=dict)
    """Further lists, those of plugins, by name."""

    @property
    def by_list(self) -> dict[str, tuple[str, ...]]:
        """All lists by name; "labels" are things, then stuff."""
        own = {kind: getattr(self, kind) for kind in FURTHER}
        return {LABELS: (*self.things, *self.stuff), **own, **self.lists}


class DataNames(NameLists):
    """The names of a data set, and what becomes of them."""

    rename: Renaming = Field(default_factory=dict)
    """Names that become a class of another name: `bike: bicycle`; null for nothing; a list such as `cup: [cup, mug]`
    where the objects may also be of further classes. Below `predicates:`, `attributes:` and so on, names of that list.
    All other names are classes of the same name.
    """

    @property
    def targets(self) -> dict[str, dict[str, Target]]:
        """What each name becomes, by list."""
        renamed = targets_of(self.rename)
        return {
            kind: {name: renamed.get(kind, {}).get(name, name) for name in names}
            for kind, names in self.by_list.items()
        }


class LabelSpace(NameLists):
    """The classes of several data sets together, and which of their names become which class."""

    kinds: dict[Name, Literal["thing", "stuff", "ask"]] = Field(default_factory=dict)
    """Classes that are things in some data sets and stuff in others, with the answer: thing or stuff."""
    data: dict[Name, DataNames] = Field(default_factory=dict)
    """The data sets, by the names that a recipe gives them."""

    @property
    def vocabulary(self) -> NameLists:
        """The lists of names of the label space, classes of `kinds` behind the others."""
        update = {
            "things": (*self.things, *(name for name, kind in self.kinds.items() if kind == "thing")),
            "stuff": (*self.stuff, *(name for name, kind in self.kinds.items() if kind != "thing")),
        }
        own = {name: getattr(self, name) for name in NameLists.model_fields}
        return NameLists.model_construct(**{**own, **update})

    @property
    def questions(self) -> tuple[str, ...]:
        """What is still to be answered, as places in the file."""
        kinds = [f"kinds.{name}" for name, kind in self.kinds.items() if kind == ASK]
        names = [
            f"data.{section}.rename.{'' if kind == LABELS else f'{kind}.'}{name}"
            for section, data in self.data.items()
            for kind, targets in targets_of(data.rename).items()
            for name, target in targets.items()
            if target == ASK
        ]
        return (*kinds, *names)

    @model_validator(mode="after")
    def _consistent(self) -> LabelSpace:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    @classmethod
    def load(cls, path: str | Path) -> LabelSpace:
        """Load the file of a label space.

        Args:
            path: Path of the YAML file.

        Returns:
            The label space.

        Raises:
            InputError: If the file cannot be read, or what it says contradicts itself.
        """
        return cls.parse(load_yaml(read_text(path), str(path), names=True), str(path))

    @classmethod
    def parse(cls, content: object, origin: str = "the label file") -> LabelSpace:
        """Validate plain data as a label space.

        Args:
            content: The content of a file as plain data.
            origin: What error messages begin with, such as the path of the file.

        Returns:
            The label space.

        Raises:
            InputError: If the content is not a label space.
        """
        if not isinstance(content, Mapping):
            raise InputError(f"{origin}: expected sections such as things, stuff and data, got {repr_of(content)}")
        return validated(cls, content, origin)

    def check_answered(self) -> None:
        """Check that no question is left.

        Raises:
            InputError: If one is; the message lists them.
        """
        if self.questions:
            raise InputError(
                f"not answered yet: {listed(self.questions, SHOWN)}; write the answer in the place of `{ASK}`"
            )

    def section(self, name: str) -> DataNames:
        """Return the names of a data set.

        Args:
            name: The name of its section.

        Returns:
            The section.

        Raises:
            InputError: If there is none; the message names the nearest.
        """
        if name not in self.data:
            raise InputError(
                f"data has no data set {name!r} (add it by `scenekit labels merge`, or name another section by the "
                f"option `labels` of the data set's entry){nearest(name, self.data)}"
            )
        return self.data[name]


def _problems(space: LabelSpace) -> Iterator[str]:
    """Yield what contradicts itself in a label space."""
    classes = space.vocabulary.by_list
    if both := next((name for name in space.vocabulary.things if name in space.vocabulary.stuff), None):
        yield f"{both!r} is among the things and the stuff; a class is one of them, leave it out of the other"
    for kind, names in classes.items():
        if twice := _repeated(names):
            yield f"{twice!r} is named twice among the {called(kind)}; leave one of them out"
    for section, data in space.data.items():
        yield from (f"data.{section}: {problem}" for problem in _problems_of(data, classes))


def _problems_of(data: DataNames, classes: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield what is wrong with the names of a data set, given the names of the label space."""
    named = data.by_list
    for kind, names in named.items():
        if twice := _repeated(names):
            yield f"{twice!r} is named twice among the {called(kind)}; leave one of them out"
    for kind, renamed in targets_of(data.rename).items():
        if kind not in named:
            yield f"rename: {kind!r} names no list; expected a class, or names below one of {', '.join(sorted(named))}"
            continue
        known = named[kind]
        for name in renamed:
            if name not in known:
                yield f"rename: {name!r} is none of its {called(kind)}{nearest(name, known)}"
        if circle := circle_in(renamed):
            yield f"rename: the names become each other in a circle, {circle}; let one of them stay"
    for kind, targets in data.targets.items():
        for name, target in targets.items():
            for wanted in (first_of(target), *others_of(target)):
                if wanted is not None and wanted != ASK and wanted not in classes.get(kind, ()):
                    yield _missing(name, wanted, kind, classes.get(kind, ()))


def _missing(name: str, wanted: str, kind: str, classes: tuple[str, ...]) -> str:
    """Return the message for a name that becomes something that is no class."""
    what = f"which is none of the {called(kind)} of the label space"
    if name == wanted:
        return f"{name!r} is not renamed and keeps its name, {what}{nearest(name, classes)}"
    return f"rename: {name!r} becomes {wanted!r}, {what}{nearest(wanted, classes)}"


def called(kind: str) -> str:
    """Return what messages call the names of a list.

    Args:
        kind: The list.

    Returns:
        "classes" for things and stuff, else the name of the list.
    """
    return "classes" if kind == LABELS else kind


def _repeated(names: tuple[str, ...]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def plain_space(space: LabelSpace) -> dict[str, Any]:
    """Return the content of a label space as plain data, without what is empty.

    Args:
        space: The label space.

    Returns:
        Nested mappings and lists; `LabelSpace.parse` gives an equal label space.
    """
    data = {name: _filled(section.model_dump(mode="json")) for name, section in space.data.items()}
    return {**_filled(space.model_dump(mode="json", exclude={"data"})), "data": data}


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value}
