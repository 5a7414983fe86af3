"""Where Mesh R-CNN's parameters are in our networks."""

from __future__ import annotations

import re

Names = tuple[tuple[str, str], ...]
"""How their names and ours begin, {} for a number; theirs count from 1 in `fc` and `fcn`. The rest is the same."""

VOXELS: Names = (("voxel_fcn{}.norm.", "convs.{}.1."), ("voxel_fcn{}.", "convs.{}.0."))
MASKS: Names = (("mask_fcn{}.", "convs.{}.0."),)
EXTENT: Names = (("z_fc{}.", "fcs.{}.0."), ("z_pred.", "predictor."))
REFINEMENT: Names = (("stages.{}.verts_offset.", "stages.{}.offset."),)


def ours(name: str, names: Names) -> str:
    """Our name of their parameter."""
    return _translated(name, [(theirs, own, -_first(theirs)) for theirs, own in names])


def theirs(name: str, names: Names) -> str:
    """Their name of our parameter."""
    return _translated(name, [(own, theirs, _first(theirs)) for theirs, own in names])


def _first(name: str) -> int:
    return 1 if "fc" in name else 0


def _translated(name: str, names: list[tuple[str, str, int]]) -> str:
    for before, after, step in names:
        if found := re.match(re.escape(before).replace(r"\{\}", r"(\d+)"), name):
            return after.format(*(int(number) + step for number in found.groups())) + name[found.end() :]
    return name
