"""What the names of a data set become, as people write it: an option of a data set, and a part of a label file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator

from scenekit.errors import InputError, nearest, repr_of
from scenekit.structures.label_map import CLASSES
from scenekit.structures.vocabulary import BUILT_IN_LISTS, POINTS, Vocabulary, names_if_any

Target: TypeAlias = str | tuple[str | None, ...] | None
"""What a name becomes: a class; null for nothing; or a list, the class and others that the object may be instead."""

LABELS = "labels"
"""The list of things and stuff."""

SKELETON = "points"
"""The list of the names of keypoints, in files."""

FURTHER = (*(kind for kind in BUILT_IN_LISTS if kind not in CLASSES), SKELETON)
"""The lists that every label space has beside its classes."""


def checked_name(value: object) -> object:
    """Return a name unchanged.

    Args:
        value: A name of a file.

    Returns:
        The name.

    Raises:
        ValueError: If YAML made something else than text of it; the message asks for quotes.
    """
    if isinstance(value, bool):
        raise ValueError("YAML reads on, off, yes and no as true or false; write this name in quotes")
    if not isinstance(value, str) or not value:
        raise ValueError("expected a name as text, in quotes if need be")
    return value


Name: TypeAlias = Annotated[str, BeforeValidator(checked_name)]


def _checked(value: object) -> object:
    """Return a renaming whose names are text."""
    if isinstance(value, Mapping):
        for name, target in value.items():
            _check_name(name)
            if isinstance(target, Mapping):
                if any(isinstance(below, Mapping) for below in target.values()):
                    raise ValueError(f"{name!r}: expected names and what they become")
                _checked(target)
            else:
                _check_target(name, target)
    return value


def _check_name(name: object) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise ValueError(f"{error}, got {repr_of(name)}") from None


def _check_target(name: str, target: object) -> None:
    entries = target if isinstance(target, list | tuple) else [target]
    try:
        for entry in entries:
            if entry is not None:
                _check_name(entry)
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None
    if not entries or len(set(entries)) < len(entries):
        raise ValueError(f"{name!r}: expected different classes, got {repr_of(target)}")


Renaming: TypeAlias = Annotated[dict[str, Target | dict[str, Target]], BeforeValidator(_checked)]
"""Class names with what they become; below the name of another list, such as predicates, the names of that list."""

Targets: TypeAlias = Mapping[str, Mapping[str, Target]]
"""By list ("labels" for classes), names with what they become."""


def targets_of(renaming: Mapping[str, Any]) -> dict[str, dict[str, Target]]:
    """Sort a renaming by lists.

    Args:
        renaming: A renaming.

    Returns:
        By list, names with what they become.
    """
    lists: dict[str, dict[str, Target]] = {LABELS: {}}
    for name, target in renaming.items():
        if isinstance(target, Mapping):
            lists.setdefault(LABELS if name in CLASSES else name, {}).update(target)
        else:
            lists[LABELS][name] = target
    return {kind: targets for kind, targets in lists.items() if targets}


def first_of(target: Target) -> str | None:
    """Return the class that a name becomes.

    Args:
        target: What it becomes.

    Returns:
        The class; None for nothing.
    """
    return target[0] if isinstance(target, tuple) else target


def others_of(target: Target) -> tuple[str, ...]:
    """Return the classes that an object of a name may be instead.

    Args:
        target: What the name becomes.

    Returns:
        Classes.
    """
    return tuple(name for name in target[1:] if name is not None) if isinstance(target, tuple) else ()


def circle_in(targets: Mapping[str, Target]) -> str | None:
    """Find names that become each other.

    Args:
        targets: Names with what they become.

    Returns:
        The circle as `a -> b -> a`; None where there is none.
    """
    for name in targets:
        chain = [name]
        while (following := first_of(targets.get(chain[-1]))) is not None and following != chain[-1]:
            chain.append(following)
            if following == name:
                return " -> ".join(chain)
            if len(chain) > len(targets):
                break
    return None


def followed(targets: Mapping[str, Target]) -> dict[str, Target]:
    """Return what names become in the end, where what they become is renamed, too.

    Args:
        targets: Names with what they become, without circles.

    Returns:
        Names with what they become.
    """
    ends = dict(targets)
    for name in targets:
        while (following := first_of(ends[name])) in targets and following != name and following is not None:
            ends[name] = targets[following]
    return ends


def problems_of(renaming: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a renaming, whatever it renames.

    Args:
        renaming: A renaming.

    Yields:
        A sentence each.
    """
    for targets in targets_of(renaming).values():
        if circle := circle_in(targets):
            yield f"the names become each other in a circle, {circle}; let each become a name that stays"


def check_known(targets: Targets, vocabulary: Vocabulary, origin: str) -> None:
    """Check that a data set has the names that are to be renamed.

    Args:
        targets: By list, names with what they become.
        vocabulary: That of the data set.
        origin: What the error message begins with.

    Raises:
        InputError: If it lacks one; the message names the nearest.
    """
    for kind, renamed in targets.items():
        known = names_of(vocabulary, kind)
        for name in renamed:
            if name not in known:
                raise InputError(f"{origin}: the data set has no {name!r} among its names{nearest(name, known)}")


def names_of(vocabulary: Vocabulary, kind: str) -> tuple[str, ...]:
    """Return the names of a list as files call it.

    Args:
        vocabulary: A vocabulary.
        kind: The list: "labels", "points", or as for `Vocabulary.names`.

    Returns:
        The names; none where the vocabulary lacks the list.
    """
    if kind in (SKELETON, POINTS):
        return () if vocabulary.skeleton is None else vocabulary.skeleton.points
    return names_if_any(vocabulary, kind)
