"""Panoptic quality of files in the official layout (https://cocodataset.org/#format-data, panoptic segmentation).

A JSON file lists the segments of each image; a folder holds one PNG per image, with the ids as R + 256 G + 65536 B.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from scenekit.errors import InputError
from scenekit.io.records import Record, read_json, read_records
from scenekit.metrics.identities import Identity, by_identity, identity, ordered, reference
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.panoptic.quality import PanopticCategory, PanopticQuality, SegmentInfo

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
    for key, image in progress(images.items()):
        _add(quality, (image, target_maps), (predictions[key], predicted_maps))
    scores = quality.result()
    with collected(notes) as noted:
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


def _add(quality: PanopticQuality, ground_truth: tuple[Record, Path], prediction: tuple[Record, Path]) -> None:
    """Add one image; each side is its annotation and the folder of its map."""
    (target, target_folder), (predicted, predicted_folder) = ground_truth, prediction
    try:
        quality.update(
            read_id_map(target_folder / target.text("file_name")),
            _segments(target, quality.categories, is_truth=True),
            read_id_map(predicted_folder / predicted.text("file_name")),
            _segments(predicted, quality.categories, is_truth=False),
        )
    except InputError as error:
        raise InputError(f"image {target.data['image_id']}: {error}") from None


def _segments(annotation: Record, categories: Mapping[Identity, PanopticCategory], is_truth: bool) -> list[SegmentInfo]:
    """Return the segments of one image; areas and crowd flags are those of the ground truth, predictions have none."""
    return [
        SegmentInfo(
            _whole(record, "id"),
            reference(record, "category_id", categories),
            _whole(record, "area") if is_truth and record.data.get("area") is not None else None,
            bool(record.data.get("iscrowd")) and record.flag("iscrowd") if is_truth else False,
        )
        for record in annotation.records("segments_info", "segment")
    ]


def _whole(record: Record, name: str) -> int:
    """Return a required field that is a whole number."""
    value = identity(record, name)
    return record.integer(name) if isinstance(value, str) else value
