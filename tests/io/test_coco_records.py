"""Entries of COCO-style files as different programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.coco_masks import run_lengths
from scenekit.io.coco_records import CocoReader, area_of, unused_roots
from scenekit.io.records import Record

SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]
"""A polygon of 4 by 3 pixels."""


def record(**data: Any) -> Record:
    return Record(data, Path("a.json"), "annotation", 0)


def annotation(reader: CocoReader | None = None, **data: Any) -> Record:
    entry = {"id": 1, "image_id": 2, "category_id": 3, "bbox": [0, 0, 4, 5], **data}
    return (reader or CocoReader()).annotation(record(**entry))


def test_ids_as_whole_floats_and_as_digits() -> None:
    reader = CocoReader()
    assert reader.image(record(id="7")).data["id"] == reader.image(record(id=7.0)).data["id"] == 7
    assert annotation(reader, id="4", image_id=7.0, category_id="03").data["category_id"] == 3


def test_ids_as_texts_are_the_same_in_all_entries() -> None:
    reader = CocoReader()
    ids = [reader.image(record(id=name)).data["id"] for name in ("aachen_1", "bonn_2")]
    assert annotation(reader, image_id="bonn_2").data["image_id"] == ids[1] != ids[0]
    assert reader.panoptic(record(image_id="aachen_1", file_name="a.png", segments_info=[])).data["image_id"] == ids[0]
    assert [reader.images.name(id) for id in (*ids, 7)] == ["aachen_1", "bonn_2", 7]


@pytest.mark.parametrize("value", [True, 1.5, None, [1], {}, "", 2**64])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(InputError, match="'id' must be an integer"):
        CocoReader().image(record(id=value))


def test_a_box_is_that_of_the_mask_where_there_is_none() -> None:
    mask = coco_mask.merge(coco_mask.frPyObjects([SQUARE], 8, 10))
    compressed = {"size": [8, 10], "counts": mask["counts"].decode()}
    for segmentation in ([SQUARE], SQUARE, compressed):
        for box in (None, []):
            assert annotation(bbox=box, segmentation=segmentation).data["bbox"] == [2, 1, 4, 3]


def test_an_area_is_that_of_the_mask_or_the_box() -> None:
    mask = run_lengths(annotation(segmentation=[SQUARE]), "segmentation", (8, 10))
    assert area_of(annotation(area=3), mask) == 3
    assert area_of(annotation(area=None), mask) == 12
    assert area_of(annotation(segmentation=[]), None) == 20
    with pytest.raises(InputError, match="'area' must be 0 or more, not -1"):
        area_of(annotation(area=-1), mask)


def test_neither_a_box_nor_a_mask() -> None:
    with pytest.raises(InputError, match="annotation id 1 has neither 'bbox'"):
        annotation(bbox=None)
    result = {"image_id": 2, "category_id": 3, "score": 1, "keypoints": [1, 2, 2]}
    assert "bbox" not in CocoReader().annotation(record(**result), numbered=False).data


def test_fields_that_are_null_are_as_if_they_were_missing() -> None:
    read = annotation(iscrowd=None, area=None, segmentation=None, keypoints=None)
    assert set(read.data) == {"id", "image_id", "category_id", "bbox"}


def test_panoptic_segments() -> None:
    info = {"id": "26001", "category_id": 26.0, "iscrowd": None, "annotation_id": "5"}
    read = CocoReader().panoptic(record(image_id=1, file_name="1.png", segments_info=[info]))
    assert read.data["segments_info"] == [{"id": 26001, "category_id": 26, "annotation_id": 5, "iscrowd": 0}]


def test_categories_that_only_name_a_group() -> None:
    entries = [
        record(id=0, name="fish", supercategory="none"),
        record(id=1, name="fish", supercategory="fish"),
        record(id=2, name="trap", supercategory="fish"),
        record(id=3, name="person", supercategory="person"),
    ]
    assert unused_roots(entries, used={1, 2}) == entries[:1]
    assert unused_roots(entries, used={0, 1}) == [] == unused_roots(entries, used=())


@pytest.mark.parametrize(("written", "read"), [([[]], None), ([[], []], None), ([[], SQUARE], [SQUARE])])
def test_empty_polygons_are_none(written: list[list[int]], read: list[list[int]] | None) -> None:
    """Programs write [[]] for an object with a box alone."""
    assert annotation(segmentation=written).data.get("segmentation") == read
