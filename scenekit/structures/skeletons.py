"""Skeletons: the named keypoints of a kind of object, alone and of several kinds together."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from scenekit.errors import InputError, nearest
from scenekit.structures.sides import flipped_names


@dataclass(frozen=True)
class Skeleton:
    """Named keypoints of one kind of object."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    points: tuple[str, ...]
    """Names of the keypoints."""
    edges: tuple[tuple[str, str], ...] = ()
    """Limbs to draw, as pairs of names."""
    mirror: tuple[tuple[str, str], ...] = ()
    """(left, right) names that are exchanged by a flip; by default those that name a side, such as left_eye."""
    sigmas: tuple[float, ...] = ()
    """OKS falloff per keypoint (COCO's k_i / 2)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mirror", name_pairs("the mirror pairs of a skeleton", self.mirror))
        refuse_unknown("the edges and mirror pairs of a skeleton", self.edges + self.mirror, self.points)
        if not self.mirror:
            object.__setattr__(self, "mirror", flipped_names(tuple(self.points)).pairs)
        if self.sigmas and len(self.sigmas) != len(self.points):
            raise InputError(f"a skeleton of {len(self.points)} points needs as many sigmas, got {len(self.sigmas)}")
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise InputError(f"the sigmas of a skeleton must be finite numbers above 0, got {list(self.sigmas)}")

    @property
    def mirror_order(self) -> tuple[int, ...]:
        """Keypoint that each one becomes in a flipped image, as indices."""
        return flipped_names(self.points, self.mirror).order


@functools.lru_cache
def union(skeletons: tuple[Skeleton, ...]) -> Skeleton | None:
    """Return the union of skeletons by the names of their points.

    Args:
        skeletons: The skeletons.

    Returns:
        Each point once, without falloffs where one of them has none; None without a skeleton.

    Raises:
        InputError: A point has another falloff or mirror point in each of two skeletons.
    """
    different = list(dict.fromkeys(skeletons))
    if len(different) <= 1:
        return next(iter(different), None)
    points = tuple(dict.fromkeys(name for skeleton in different for name in skeleton.points))
    sigmas: dict[str, float] = {}
    partners: dict[str, str] = {}
    for skeleton in different:
        own = dict(zip(skeleton.points, skeleton.sigmas, strict=False))
        _add_agreeing(sigmas, own, "sigma")
        _add_agreeing(partners, {a: b for pair in skeleton.mirror for a, b in (pair, pair[::-1])}, "mirror point")
    return Skeleton(
        points,
        tuple(dict.fromkeys(edge for skeleton in different for edge in skeleton.edges)),
        tuple(dict.fromkeys(pair for skeleton in different for pair in skeleton.mirror)),
        tuple(sigmas[name] for name in points) if len(sigmas) == len(points) else (),
    )


def _add_agreeing(known: dict[str, Any], more: Mapping[str, Any], what: str) -> None:
    for name, value in more.items():
        if known.setdefault(name, value) != value:
            raise InputError(
                f"the keypoint {name!r} has the {what} {known[name]!r} in one skeleton and {value!r} in another; "
                "rename it in one, or give both the same"
            )


def name_pairs(what: str, pairs: Any) -> tuple[tuple[str, str], ...]:
    """Return pairs of names as tuples.

    Args:
        what: What they are, for the error message.
        pairs: Tuples or lists of two names.

    Returns:
        The pairs.

    Raises:
        InputError: One is something else.
    """
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(w, str) and w for w in pair):
            raise InputError(f"{what} must be pairs of names such as (left, right), got {pair!r}")
    return tuple((left, right) for left, right in pairs)


def refuse_unknown(what: str, groups: Iterable[Sequence[str]], known: Collection[str]) -> None:
    """Check that names are among those that there are.

    Args:
        what: What uses the names, for the error message.
        groups: Names, such as pairs of them.
        known: The names that there are.

    Raises:
        InputError: One is not; the message names the nearest.
    """
    present = set(known)
    for name in (name for group in groups for name in group):
        if name not in present:
            raise InputError(f"{what} name {name!r}{nearest(name, known)}")
