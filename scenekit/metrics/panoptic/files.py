"""Panoptic quality of files in the official layout (https://cocodataset.org/#format-data, panoptic segmentation).

A JSON file lists the segments of each image; a folder holds one PNG per image, with the ids as R + 256 G + 65536 B.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from scenekit.errors import InputError, listed
from scenekit.io.records import Record, read_json, read_records
from scenekit.metrics.identities import Identity, by_identity, ordered, reference
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.panoptic.quality import VOID, PanopticCategory, PanopticQuality, SegmentInfo

SHOWN = 3
"""How many contradictions of the ground truth a note spells out."""

Images = Iterable[tuple[Identity, Record]]

Progress = Callable[[Images], Images]


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
    quality = PanopticQuality(_categories(data, ground_truth), crowds)
    predictions = _annotations(read_json(prediction), prediction)
    images = _annotations(data, ground_truth)
    _check_images(images, predictions, prediction)
    contradictions: list[str] = []
    for key, image in progress(images.items()):
        contradictions += _add(quality, (image, target_maps), (predictions[key], predicted_maps))
    scores = quality.result()
    with collected(notes) as noted:
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


def _categories(data: Any, path: Path) -> dict[Identity, PanopticCategory]:
    categories = by_identity(read_records(data, path, "categories", "category"))
    return {
        i: PanopticCategory(record.text("name"), record.flag("isthing", required=True))
        for i, record in categories.items()
    }


def _annotations(data: Any, path: Path) -> dict[Identity, Record]:
    return by_identity(read_records(data, path, "annotations", "annotation"), "image_id")


def _check_images(ground_truth: Mapping[Identity, Record], predictions: Mapping[Identity, Record], path: Path) -> None:
    if missing := ordered(ground_truth.keys() - predictions.keys()):
        raise InputError(
            f"{path} has no prediction for image {missing[0]} ({len(missing)} of {len(ground_truth)} are missing)"
        )
    if unknown := ordered(predictions.keys() - ground_truth.keys()):
        raise InputError(f"{path} has a prediction for image {unknown[0]}, which the ground truth does not list")


def _add(quality: PanopticQuality, ground_truth: tuple[Record, Path], prediction: tuple[Record, Path]) -> list[str]:
    """Add one image, each side its annotation and the folder of its map; return contradictions of the ground truth."""
    (target, target_folder), (predicted, predicted_folder) = ground_truth, prediction
    try:
        ids = read_id_map(target_folder / target.text("file_name"))
        quality.update(
            ids,
            _segments(target, quality.categories, crowds=True),
            read_id_map(predicted_folder / predicted.text("file_name")),
            _segments(predicted, quality.categories, crowds=False),
        )
        return list(contradictions_of(target, ids))
    except InputError as error:
        raise InputError(f"image {target.data['image_id']}: {error}") from None


def _segments(annotation: Record, categories: Mapping[Identity, PanopticCategory], crowds: bool) -> list[SegmentInfo]:
    """Return the segments of one image; only those of the ground truth may be crowds."""
    return [
        SegmentInfo(
            record.integer("id"),
            reference(record, "category_id", categories),
            crowd=record.flag("iscrowd") if crowds else False,
        )
        for record in annotation.records("segments_info", "segment")
    ]
