"""Checks of options that data sets of synthetic scenes and of clips share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.keys import Key
from scenekit_datasets.roots import keys_named

SPLIT_SEEDS = {"val": 1, "test": 2}
FIRST_TRAIN_SEED = 1000
"""Seeds of train begin here, so that they differ from those of val and test."""


def checked_length(what: str, lengths: Mapping[str, int], most: int, split: str, length: int | None) -> int:
    """Return the length of a split.

    Args:
        what: What the data set holds, such as "scenes".
        lengths: Default length by split; only train may be longer.
        most: The most that train may have.
        split: Name of the split.
        length: The length that is asked for; None for the default.

    Returns:
        The length.

    Raises:
        InputError: If there is no such split, or it is not that long.
    """
    if split not in lengths:
        raise InputError(f"synthetic {what} have no split {split!r}{nearest(split, tuple(lengths))}")
    if length is None:
        return lengths[split]
    longest = most if split == "train" else lengths[split]
    if not 1 <= length <= longest:
        raise InputError(f"length of the {split} split of synthetic {what} must be 1 to {longest}, got {length}")
    return length


def checked_seed(split: str, seed: int) -> int:
    """Return the seed that scenes of a split are made from.

    Args:
        split: Name of the split.
        seed: The option, which is for train.

    Returns:
        The seed.

    Raises:
        InputError: If it is negative, or set for val or test.
    """
    if seed < 0 or (split != "train" and seed):
        raise InputError(f"seed must be 0 or more for train and is fixed for val and test, got {seed} for {split}")
    return SPLIT_SEEDS.get(split, FIRST_TRAIN_SEED + seed)


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    """Return the size of images.

    Args:
        size: (height, width) in pixels.

    Returns:
        The same.

    Raises:
        InputError: If it is no such pair, or a side is too small or too large.
    """
    if len(size) != 2 or not all(isinstance(side, int) and 32 <= side <= 4096 for side in size):
        raise InputError(f"size must be (height, width), each a whole number from 32 to 4096, got {tuple(size)}")
    return size[0], size[1]


def checked_keys(what: str, names: Sequence[str], known: Sequence[Key[Any, Any]]) -> tuple[Key[Any, Any], ...]:
    """Return the keys of labels that are asked for.

    Args:
        what: What the data set holds, such as "scenes".
        names: Names of keys.
        known: Keys that the data set has.

    Returns:
        The keys, in the order of those that are known.

    Raises:
        InputError: If a name is unknown.
    """
    wanted = keys_named(names, known, f"synthetic {what} have")
    return tuple(key for key in known if key in wanted)
