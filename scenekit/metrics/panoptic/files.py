"""Panoptic quality of files in the official layout (https://cocodataset.org/#format-data, panoptic segmentation).

A JSON file lists the segments of each image; a folder holds one PNG per image, with the ids as R + 256 G + 65536 B.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from scenekit.errors import InputError, listed
from scenekit.io.coco_records import Classes, CocoReader, classes_of
from scenekit.io.records import Record, read_json, read_records
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.panoptic.quality import VOID, PanopticCategory, PanopticQuality, SegmentInfo

SHOWN = 3
"""How many contradictions of the ground truth a note spells out."""

Progress = Callable[[Iterable[Record]], Iterable[Record]]


def score_panoptic_files(
    ground_truth: Path,
    target_maps: Path,
    prediction: Path,
    predicted_maps: Path,
    crowds: Literal["last", "all"] = "last",
    progress: Progress = iter,
    notes: Notes | None = None,
) -> dict[str, Any]:
    """Compute panoptic quality of files.

    Every image of the ground truth needs a prediction, which may be empty, and no other image may have one.

    Args:
        ground_truth: JSON of the ground truth; categories are those that it lists.
        target_maps: The folder of its PNG files.
        prediction: JSON of the predictions.
        predicted_maps: The folder of their PNG files.
        crowds: Which crowd segments make predictions on them ignored; see `PanopticQuality`.
        progress: May wrap the loop over the images.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        See `PanopticQuality.result`.

    Raises:
        InputError: Names the file and the entry that is wrong.
    """
    for folder in (target_maps, predicted_maps):
        if not folder.is_dir():
            raise InputError(f"{folder}: expected a folder of PNG files; there is no such folder")
    data = read_json(ground_truth)
    reader = CocoReader()
    classes = _classes(data, ground_truth, reader)
    quality = PanopticQuality(_categories(classes), crowds)
    predictions = _annotations(read_json(prediction), prediction, reader, classes)
    images = _annotations(data, ground_truth, reader, classes)
    _check_images(images, predictions, prediction, reader)
    contradictions: list[str] = []
    for image in progress(images.values()):
        id = image.data["image_id"]
        with _naming(reader.images.name(id)):
            contradictions += _add(quality, (image, target_maps), (predictions[id], predicted_maps))
    scores = quality.result()
    with collected(notes) as noted:
        for category, reason in classes.notes:
            noted.add(category, reason)
        if contradictions:
            examples = listed(contradictions, SHOWN, "; ")
            noted.add(ground_truth, f"contradicts its maps: {examples}; areas are counted in the maps")
        if not scores["n"]:
            noted.add(ground_truth, f"has no segment that counts; {NOTHING}")
    return scores


def read_id_map(path: Path) -> Int[np.ndarray, "H W"]:
    """Read the segment ids of a panoptic PNG.

    Args:
        path: An RGB image that holds ids as R + 256 G + 65536 B.

    Returns:
        The id of each pixel.

    Raises:
        InputError: The file cannot be read or is not an RGB image.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise InputError(f"{path}: a panoptic map has the ids in R, G and B; this image is {image.mode}")
            red, green, blue = np.moveaxis(np.asarray(image, dtype=np.int64)[..., :3], -1, 0)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path} as an image: {error}") from None
    ids: Int[np.ndarray, "H W"] = red + 256 * green + 65536 * blue
    return ids


def contradictions_of(annotation: Record, ids: Int[np.ndarray, "H W"]) -> Iterator[str]:
    """Yield where the segments that an annotation lists contradict its map.

    Args:
        annotation: The entry, with `segments_info`.
        ids: The id of each pixel.

    Yields:
        A message for each segment without a pixel or of another `area`, and for each id that is not listed.
    """
    counts = dict(zip(*(values.tolist() for values in np.unique(ids, return_counts=True)), strict=True))
    counts.pop(VOID, None)
    for segment in annotation.records("segments_info", "segment"):
        id, stated = segment.integer("id"), segment.data.get("area")
        pixels = counts.pop(id, 0)
        if not pixels:
            yield f"{segment}: the segment {id} has no pixels in its map"
        elif stated is not None and segment.number("area") != pixels:
            yield f"{segment}: 'area' is {stated}, its map has {pixels} pixels"
    yield from (f"{annotation}: its map has {n} pixels of {id}, which is not listed" for id, n in counts.items())


def _classes(data: Any, path: Path, reader: CocoReader) -> Classes:
    return classes_of(map(reader.category, read_records(data, path, "categories", "category")), used=())


def _categories(classes: Classes) -> dict[int, PanopticCategory]:
    """Return the classes by the id of their first category."""
    return {
        id: PanopticCategory(entry.data["name"], entry.flag("isthing", required=True))
        for id, entry in classes.entries.items()
        if id == entry.data["id"]
    }


def _annotations(data: Any, path: Path, reader: CocoReader, classes: Classes) -> dict[int, Record]:
    """Return the entries of images by id; the category of a segment is that of its class."""
    records = [reader.panoptic(record) for record in read_records(data, path, "annotations", "annotation")]
    for segment in (segment for record in records for segment in record.records("segments_info", "segment")):
        category = reader.categories.reference(segment, "category_id", classes.entries)
        segment.data["category_id"] = classes.entries[category].data["id"]
    return reader.images.index(records, "image_id")


def _check_images(
    ground_truth: Mapping[int, Record], predictions: Mapping[int, Record], path: Path, reader: CocoReader
) -> None:
    if missing := sorted(ground_truth.keys() - predictions.keys()):
        first = reader.images.name(missing[0])
        raise InputError(
            f"{path} has no prediction for image {first} ({len(missing)} of {len(ground_truth)} are missing)"
        )
    if unknown := sorted(predictions.keys() - ground_truth.keys()):
        first = reader.images.name(unknown[0])
        raise InputError(f"{path} has a prediction for image {first}, which the ground truth does not list")


@contextmanager
def _naming(image: int | str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"image {image}: {error}") from None


def _add(quality: PanopticQuality, ground_truth: tuple[Record, Path], prediction: tuple[Record, Path]) -> list[str]:
    """Add one image, each side its annotation and the folder of its map; return contradictions of the ground truth."""
    (target, target_folder), (predicted, predicted_folder) = ground_truth, prediction
    ids = read_id_map(target_folder / target.text("file_name"))
    predicted_ids = read_id_map(predicted_folder / predicted.text("file_name"))
    quality.update(ids, _segments(target, crowds=True), predicted_ids, _segments(predicted, crowds=False))
    return list(contradictions_of(target, ids))


def _segments(annotation: Record, crowds: bool) -> list[SegmentInfo]:
    """Return the segments of one image; only those of the ground truth may be crowds."""
    return [
        SegmentInfo(record.data["id"], record.data["category_id"], crowd=record.flag("iscrowd") if crowds else False)
        for record in annotation.records("segments_info", "segment")
    ]
