"""Labels of whole images: relations, described regions, maps in PNG files, depth and the camera.

Letters: H W pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.errors import InputError, warn_once
from scenekit.fields.semantic import IGNORE
from scenekit.io.coco_masks import run_lengths
from scenekit.io.records import Record, brief, by_id, is_number
from scenekit.metrics.panoptic.files import read_id_map
from scenekit.scene import Objects
from scenekit.structures import Camera, Captions, Masks, Panoptic, Relations, Segment
from scenekit.structures.geometry import Size
from scenekit_datasets.coco.labels import Frame, Row, matrix_of, place_of, texts_of
from scenekit_datasets.label_maps import read_label_map
from scenekit_datasets.roots import Faulty, located_file, report

if TYPE_CHECKING:
    from scenekit_datasets.coco.records import Segmentation

_log = logging.getLogger(__name__)

UNLABELLED = (0, 255)
"""Values of a label map for unlabelled pixels, unless they are ids of categories."""

MILLIMETRE = 0.001


def relations_of(record: Record, rows: Sequence[Row], frame: Frame, faulty: Faulty = "refuse") -> Relations:
    """Read `relations` of an image: ids of two of its annotations and the name of a predicate.

    Args:
        record: Entry of the image.
        rows: Its annotations.
        frame: Size and vocabulary.
        faulty: Whether to refuse relations of missing annotations or to skip them.

    Returns:
        The relations.

    Raises:
        InputError: If a relation is invalid.
    """
    place = {row.record.data["id"]: n for n, row in enumerate(rows)}
    triples, issues = [], []
    for relation in record.records("relations", "relation"):
        ends = (relation.integer("subject_id"), relation.integer("object_id"))
        missing = [(name, end) for name, end in zip(("subject_id", "object_id"), ends, strict=True) if end not in place]
        if missing:
            name, end = missing[0]
            issues.append(
                f"{record}: {relation.noun} {relation.index}: {name!r} is {end}, which is not an object of this image"
            )
            continue
        try:
            predicate = place_of(relation.text("predicate"), frame.vocabulary.predicates, record, "relations")
        except InputError as error:
            issues.append(str(error))
        else:
            triples.append((place[ends[0]], place[ends[1]], predicate))
    report(issues, faulty)
    return Relations(*torch.tensor(triples, dtype=torch.int64).reshape(-1, 3).unbind(1))


def phrases_of(record: Record) -> tuple[Objects, Captions]:
    """Read `phrases` of an image: described regions.

    Args:
        record: Entry of the image.

    Returns:
        (regions, captions).

    Raises:
        InputError: If a phrase is invalid.
    """
    entries = record.records("phrases", "phrase")
    boxes = torch.tensor([entry.numbers("bbox", 4) for entry in entries], dtype=torch.float32).reshape(-1, 4)
    boxes = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1)
    texts = tuple(texts_of(entry) for entry in entries)
    return Objects(boxes, torch.zeros(len(boxes), dtype=torch.int64)), Captions(texts)


def camera_of(record: Record) -> Camera | None:
    """Read `camera` of an image: K in three rows, or fx, fy, cx, cy in pixels.

    Args:
        record: Entry of the image.

    Returns:
        The camera, None where the entry has none.

    Raises:
        InputError: If it is invalid.
    """
    value = record.data.get("camera")
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 4:
        fx, fy, cx, cy = record.numbers("camera", 4)
        matrix = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)
    else:
        matrix = matrix_of(record, "camera")
    try:
        camera = Camera(matrix)
        camera.check((record.integer("height"), record.integer("width")))
    except InputError as error:
        raise InputError(f"{record}: 'camera': {error}") from None
    return camera


def label_map(path: Path, labels: Mapping[int, int], size: Size, offset: int = 0) -> Int[Tensor, "H W"]:
    """Read a PNG whose values (plus an offset) are ids of categories.

    Args:
        path: The file.
        labels: Labels by category id.
        size: (height, width) of the image in pixels.
        offset: Category ids minus values of the map.

    Returns:
        The label of each pixel.

    Raises:
        InputError: If the file cannot be read, has another size, or holds unknown values.
    """
    values = read_label_map(path, size)
    table = np.full(65536, -2, dtype=np.int64)
    table[list(UNLABELLED)] = IGNORE
    for id, label in labels.items():
        if 0 <= id - offset < len(table):
            table[id - offset] = label
    out = table[values]
    if (out == -2).any():
        raise InputError(
            f"{path}: the value {values[out == -2][0]} is neither the id of a category nor 0 or 255 for unlabelled"
        )
    return torch.from_numpy(out)


def rasterized(rows: Sequence[Row], size: Size) -> Int[Tensor, "H W"]:
    """Draw the masks of all annotations into a semantic map, later ones over earlier ones.

    Args:
        rows: The annotations.
        size: (height, width) of the image in pixels.

    Returns:
        The label of each pixel.
    """
    out = torch.full(size, IGNORE)
    for row in rows:
        if row.record.data.get("segmentation"):
            out[Masks((run_lengths(row.record, "segmentation", size),), size).dense[0]] = row.label
    return out


def depth_of(path: Path, scale: float, size: Size) -> Float[Tensor, "H W"]:
    """Read a PNG of 16 bits as depth.

    Args:
        path: The file.
        scale: Metres per unit of its values; the value 0 is unknown.
        size: (height, width) of the image in pixels.

    Returns:
        Metres along z, NaN where unknown.

    Raises:
        InputError: If the file cannot be read or the scale is invalid.
    """
    check_scale(path, scale)
    values = torch.from_numpy(read_label_map(path, size).astype(np.float32))
    return torch.where(values > 0, values * scale, torch.nan)


def panoptic_of(segmentation: Segmentation, frame: Frame, place: Mapping[int, int]) -> Panoptic:
    """Read a panoptic map and its segments.

    Args:
        segmentation: The entry of the segments.
        frame: Size and vocabulary.
        place: Row of the objects by id of a segment or annotation.

    Returns:
        The panoptic segmentation.

    Raises:
        InputError: If map and segments do not agree.
    """
    record = segmentation.record
    path = located_file(record.text("file_name"), segmentation.maps)
    ids = read_id_map(path)
    if ids.shape != tuple(frame.size):
        raise InputError(f"{path} is of size {list(ids.shape)}, its image of {list(frame.size)} (height, width)")
    infos = by_id(record.records("segments_info", "segment")).values()
    segments = tuple(_segment(info, segmentation, frame, place) for info in infos)
    known = {0, *(segment.id for segment in segments)}
    if unknown := sorted(set(np.unique(ids).tolist()) - known):
        raise InputError(f"{path} holds the segment {unknown[0]}, which 'segments_info' of {record} does not list")
    return Panoptic(torch.from_numpy(ids), segments)


def around_segments(objects: Objects, panoptic: Panoptic, record: Record) -> Objects:
    """Return objects with the boxes and areas of their segments in the map; other ones of the file are logged once.

    Args:
        objects: The objects, one for each segment of a thing, as the file describes them.
        panoptic: The segments.
        record: Their entry, for the warning.

    Returns:
        The objects.
    """
    masks = segment_masks(panoptic, len(objects))
    boxes, area = masks.boxes.to(objects.boxes), masks.area.to(objects.area)
    if bool((area != objects.area).any() | ((boxes - objects.boxes).abs() > 1).any()):
        warn_once(
            _log, f"{record.path}: 'area' or 'bbox' of segments contradict their maps, from which they are computed"
        )
    return replace(objects, boxes=boxes, area=area)


def _segment(info: Record, segmentation: Segmentation, frame: Frame, place: Mapping[int, int]) -> Segment:
    category = segmentation.categories[info.reference("category_id", segmentation.categories)]
    thing = category.is_thing is not False
    named = info.data.get(segmentation.named_by) is not None
    row = place.get(info.integer(segmentation.named_by)) if thing and named else None
    label = frame.vocabulary.label(category.name)
    return Segment(info.integer("id"), label, thing, object=row, crowd=info.flag("iscrowd"))


def semantic_of(panoptic: Panoptic) -> Int[Tensor, "H W"]:
    """Convert a panoptic to a semantic segmentation.

    Args:
        panoptic: The panoptic segmentation.

    Returns:
        The label of each pixel.
    """
    out = torch.full(panoptic.ids.shape, IGNORE)
    for segment in panoptic.segments:
        out[panoptic.ids == segment.id] = segment.label
    return out


def segment_masks(panoptic: Panoptic, count: int) -> Masks:
    """Return the masks of segments that are objects.

    Args:
        panoptic: The panoptic segmentation.
        count: Number of objects.

    Returns:
        One mask per object.
    """
    size = (panoptic.ids.shape[0], panoptic.ids.shape[1])
    dense = torch.zeros((count, *size), dtype=torch.bool)
    for segment in panoptic.segments:
        if segment.object is not None:
            dense[segment.object] = panoptic.ids == segment.id
    return Masks.from_dense(dense)


def check_scale(where: object, scale: Any) -> None:
    """Check the scale of a depth map.

    Args:
        where: Beginning of the message.
        scale: Metres per unit of its values.

    Raises:
        InputError: If it is not a number above 0.
    """
    if not is_number(scale) or scale <= 0:
        raise InputError(f"{where}: its 'scale', metres a step, must be a number above 0, not {brief(scale)}")


def file_of(record: Record, field: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a file, given as text or as the `file_name` of an object with more fields.

    Args:
        record: Entry of the image.
        field: Field that holds it.

    Returns:
        (name, fields of the object).

    Raises:
        InputError: If it is neither.
    """
    value = record.get(field)
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("file_name"), str):
        return value["file_name"], value
    raise InputError(f"{record}: {field!r} must be a file name or an object with 'file_name', not {brief(value)}")
