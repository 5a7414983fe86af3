"""Initialization of a model with another one's weights: parameters by their names, and their entries by class names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar, cast

import torch
from torch import Tensor

from scenekit.errors import PluginError, listed
from scenekit.model.head import AxisNames, ParameterNames
from scenekit.model.scene_model import SceneModel

T = TypeVar("T")

NO_SUCH = "the source has no such parameter"

SHOWN = 6
"""Number of names of one kind that a line lists."""


@dataclass(frozen=True)
class Part:
    """The names of one parameter's entries, by whether they were transferred."""

    taken: tuple[str, ...]
    """Names whose entries were copied from the source."""
    fresh: tuple[str, ...]
    """Names whose entries keep their initial values."""


@dataclass(frozen=True)
class Transfer:
    """The result of a transfer, by names of the target's parameters and buffers; `str()` gives a summary."""

    taken: tuple[str, ...]
    """Parameters that were copied whole."""
    partly: Mapping[str, Part]
    """Parameters of which some entries were copied."""
    fresh: Mapping[str, str]
    """Parameters that keep their initial values, with the reason."""
    unused: tuple[str, ...]
    """Parameters of the source that the target does not have."""

    @property
    def share(self) -> float:
        """Of the target's parameters in stages and heads that both models have, the share that was taken (0 to 1)."""
        taken = {*self.taken, *self.partly}
        shared = {_part(name) for name in (*taken, *self.unused)}
        shared |= {_part(name) for name, reason in self.fresh.items() if reason != NO_SUCH}
        fresh = [name for name in self.fresh if _part(name) in shared]
        return len(taken) / max(len(taken) + len(fresh), 1)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        total = len(self.taken) + len(self.partly) + len(self.fresh)
        yield f"taken: {len(self.taken)} of {total} parameters"
        for where, part in _grouped(self.partly):
            yield f"partly taken: {where}: {listed(part.taken, SHOWN)}; fresh there: {listed(part.fresh, SHOWN)}"
        for where, reason in _grouped(self.fresh):
            yield f"fresh: {where}: {reason}"
        for where, _ in _grouped(dict.fromkeys(self.unused, "")):
            yield f"not used: {where}"


def transfer(source: SceneModel, target: SceneModel) -> Transfer:
    """Copy the weights of one model to another wherever they fit.

    A parameter is copied if the source has one of its name and shape. Along axes that a head or stage names (see
    `AxisNames`) each entry is copied by its name, whatever its position in the source; entries of new names keep their
    initial values. Entries along axes without names are copied by position.

    Args:
        source: The model whose weights are copied.
        target: The model that is changed.

    Returns:
        What was copied and what was not.

    Raises:
        PluginError: If a declaration of names does not fit its parameter.
    """
    theirs, own = source.state_dict(), target.state_dict()
    their_names, own_names = named_axes(source), named_axes(target)
    taken: list[str] = []
    partly: dict[str, Part] = {}
    fresh: dict[str, str] = {}
    for name, value in own.items():
        if name not in theirs:
            fresh[name] = NO_SUCH
            continue
        moved = _copy(theirs[name], value, their_names.get(name, ()), own_names.get(name, ()))
        if isinstance(moved, str):
            fresh[name] = moved
        elif moved.fresh:
            partly[name] = moved
        else:
            taken.append(name)
    return Transfer(tuple(taken), partly, fresh, tuple(name for name in theirs if name not in own))


def named_axes(model: SceneModel) -> dict[str, tuple[AxisNames, ...]]:
    """Return the named axes of a model's parameters.

    Args:
        model: The model.

    Returns:
        Axes by the parameters' names in the state dict.

    Raises:
        PluginError: If a declaration names no parameter, or does not fit the parameter's size.
    """
    parts = {f"{kind}.{name}": part for kind in ("stages", "heads") for name, part in getattr(model, kind).items()}
    state = model.state_dict()
    named: dict[str, tuple[AxisNames, ...]] = {}
    for prefix, part in parts.items():
        for name, axes in cast(ParameterNames, getattr(part, "axis_names", {})).items():
            if f"{prefix}.{name}" not in state:
                raise PluginError(f"axis_names of {prefix} names {name!r}, but there is no such parameter")
            for axis in axes:
                _check_fits(axis, state[f"{prefix}.{name}"], f"{prefix}.{name}")
            named[f"{prefix}.{name}"] = tuple(axes)
    return named


def _check_fits(axis: AxisNames, value: Tensor, name: str) -> None:
    expected = len(axis.names) * axis.each
    if not 0 <= axis.axis < value.ndim or value.shape[axis.axis] != expected:
        raise PluginError(
            f"axis_names of {name}: {len(axis.names)} names with {axis.each} entries each need {expected} entries "
            f"along axis {axis.axis}, but the shape is {list(value.shape)}"
        )


def _copy(
    source: Tensor, target: Tensor, source_axes: Sequence[AxisNames], target_axes: Sequence[AxisNames]
) -> Part | str:
    """Copy into `target` (of a state dict) in place; return which names were copied, or the reason why none fits."""
    layout = [(axis.axis, axis.each) for axis in target_axes]
    if layout != [(axis.axis, axis.each) for axis in source_axes]:
        return "its entries are not named in the same way in the source"
    named = [axis.axis for axis in target_axes]
    if _without(source.shape, named) != _without(target.shape, named):
        return f"the shape is {list(source.shape)} in the source, {list(target.shape)} here"
    matches = [_matches(theirs, own) for theirs, own in zip(source_axes, target_axes, strict=True)]
    if not all(matches):
        return "the source has none of its names"
    values = source.to(target)
    places = [torch.arange(size) for size in target.shape]
    for theirs, own, match in zip(source_axes, target_axes, matches, strict=True):
        values = values.index_select(own.axis, _entries(theirs, match.values()).to(values.device))
        places[own.axis] = _entries(own, match)
    if named:
        target[torch.meshgrid(*places, indexing="ij")] = values
    else:
        target.copy_(values)
    fresh = (
        tuple(name for name in own.names if name not in match) for own, match in zip(target_axes, matches, strict=True)
    )
    return Part(_joined(tuple(match) for match in matches), _joined(fresh))


def _without(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    """Return the sizes of the other axes."""
    return [size for axis, size in enumerate(shape) if axis not in axes]


def _matches(source: AxisNames, target: AxisNames) -> dict[str, str]:
    """Return the names of the target that take entries, with the names of the source that have them."""
    if not (source.members and target.members):
        return {name: name for name in target.names if name in source.names}
    return {name: _nearest(group, source) for name, group in zip(target.names, target.members, strict=True)}


def _nearest(group: frozenset[str], source: AxisNames) -> str:
    """Return the name of the group that has the most of some members, or else of the one that has none."""
    shared = [(len(group & members), not members) for members in source.members]
    return source.names[shared.index(max(shared))]


def _entries(axis: AxisNames, names: Iterable[str]) -> Tensor:
    """Return the positions of these names along the axis: [names * each]."""
    first = torch.tensor([axis.names.index(name) for name in names]) * axis.each
    return (first[:, None] + torch.arange(axis.each)).flatten()


def _joined(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _grouped(values: Mapping[str, T]) -> Iterator[tuple[str, T]]:
    """Yield neighbors with the same value as one: `heads.masks.predictor.* (2 parameters)`."""
    groups: dict[tuple[str, T], list[str]] = defaultdict(list)
    for name, value in values.items():
        groups[_part(name), value].append(name)
    for (_, value), names in groups.items():
        yield names[0] if len(names) == 1 else f"{_common(names)}.* ({len(names)} parameters)", value


def _part(name: str) -> str:
    """Return the stage or head that a parameter belongs to."""
    return ".".join(name.split(".")[:2])


def _common(names: Sequence[str]) -> str:
    """Return the longest path that all names begin with."""
    columns = zip(*(name.split(".") for name in names), strict=False)
    return ".".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
