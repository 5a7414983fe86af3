"""The labels of one image, joined from its map of instances and its 3D boxes.

Letters: N objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from scenekit.keys import BOXES3D, MASKS, PANOPTIC, SEMANTIC, TRUNCATION, VISIBILITY, Key
from scenekit.scene import Objects
from scenekit.structures import Masks
from scenekit.structures.geometry import Size
from scenekit_datasets.cityscapes.boxes import Vehicle, VehicleFile
from scenekit_datasets.cityscapes.classes import VOCABULARY
from scenekit_datasets.cityscapes.segments import Segments
from scenekit_datasets.image_labels import Labels, boxes3d_of, clipped

VEHICLES = frozenset(VOCABULARY.things) - {"person", "rider"}
"""The classes that have 3D boxes."""


@dataclass(frozen=True)
class _Row:
    """An object: an instance of the map, a vehicle of the file of 3D boxes, or both."""

    id: int
    label: int
    crowd: bool = False
    ignore: bool = False
    vehicle: Vehicle | None = None
    box: tuple[float, float, float, float] | None = None
    """The box of an object that is not in the map."""


def labels_of(segments: Segments | None, vehicles: VehicleFile | None, size: Size) -> Labels:
    """Create the labels of an image from what it has.

    A vehicle without its number in the map is an object of its own, without a mask.

    Args:
        segments: The map of instances.
        vehicles: The 3D boxes.
        size: (height, width) of the image in pixels.

    Returns:
        Objects and labels.
    """
    instances = [] if segments is None else segments.instances
    masks = Masks((), size) if segments is None else segments.masks(instances)
    rows = [_Row(instance.id, instance.label, instance.crowd) for instance in instances]
    if vehicles is not None:
        rows = _with_vehicles(rows, vehicles, size)
    values: dict[Key[Any, Any], Any] = {}
    valid: dict[Key[Any, Any], Any] = {}
    if segments is not None:
        rest = len(rows) - len(masks)
        values[MASKS] = Masks((*masks.rles, *Masks.empty(rest, size).rles), size)
        valid[MASKS] = torch.tensor([row.box is None for row in rows], dtype=torch.bool)
        values[SEMANTIC] = segments.semantic
        values[PANOPTIC] = segments.panoptic([instance.id for instance in instances])
    if vehicles is not None:
        values.update(_spatial(rows))
        valid[BOXES3D] = torch.tensor([_box3d(row) is not None for row in rows], dtype=torch.bool)
    return Labels(_objects(rows, masks), values, valid, () if vehicles is None else vehicles.issues)


def _with_vehicles(rows: Sequence[_Row], vehicles: VehicleFile, size: Size) -> list[_Row]:
    """Add the vehicles to the rows that they belong to, or as rows of their own."""
    by_id = {vehicle.id: vehicle for vehicle in vehicles.vehicles if vehicle.id is not None}
    joined = [replace(row, vehicle=by_id.get(row.id)) for row in rows]
    known = {row.id for row in rows}
    for vehicle in vehicles.vehicles:
        box = clipped(vehicle.box, size)
        if vehicle.id not in known and vehicle.label is not None and box is not None:
            joined.append(_Row(-1 if vehicle.id is None else vehicle.id, vehicle.label, vehicle=vehicle, box=box))
    for region in vehicles.ignored:
        box = clipped(region.box, size)
        if region.id not in known and box is not None:
            joined += [_Row(-1, label, crowd=True, ignore=True, box=box) for label in _labels_of(region)]
    return joined


def _labels_of(region: Vehicle) -> Iterator[int]:
    """Yield the classes that a region may contain."""
    yield from (VOCABULARY.things.index(name) for name in sorted(VEHICLES)) if region.label is None else [region.label]


def _box3d(row: _Row) -> Any:
    return None if row.vehicle is None else row.vehicle.box3d


def _spatial(rows: Sequence[_Row]) -> dict[Key[Any, Any], Any]:
    unknown = float("nan")
    truncation = [unknown if row.vehicle is None else row.vehicle.truncation for row in rows]
    occlusion = [unknown if row.vehicle is None else row.vehicle.occlusion for row in rows]
    return {
        BOXES3D: boxes3d_of([_box3d(row) for row in rows]),
        TRUNCATION: torch.tensor(truncation, dtype=torch.float32),
        VISIBILITY: 1 - torch.tensor(occlusion, dtype=torch.float32),
    }


def _objects(rows: Sequence[_Row], masks: Masks) -> Objects:
    own = torch.tensor([row.box for row in rows if row.box is not None], dtype=torch.float32).reshape(-1, 4)
    area = (own[:, 2:] - own[:, :2]).prod(1)
    return Objects(
        torch.cat((masks.boxes, own)),
        torch.tensor([row.label for row in rows], dtype=torch.int64),
        ids=torch.tensor([row.id for row in rows], dtype=torch.int64),
        crowd=torch.tensor([row.crowd for row in rows], dtype=torch.bool),
        ignore=torch.tensor([row.ignore for row in rows], dtype=torch.bool),
        area=torch.cat((masks.area, area)),
    )
