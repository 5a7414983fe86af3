"""COCO average precision of boxes, masks and keypoints, computed by faster-coco-eval (equal to pycocotools).

Letters: N objects or predictions of one image, K keypoints.

Protocol: https://cocodataset.org/#detection-eval and #keypoints-eval. Crowd objects may be matched by any number of
predictions, which then count neither way; objects outside an area range, and for keypoints those without a labelled
keypoint, are ignored likewise, but once each.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Bool, Float, Int
from pycocotools import mask as coco_mask

from scenekit.errors import InputError, warn_once
from scenekit.io.coco_masks import box_mask
from scenekit.metrics.common import to_numpy, unique_names

_log = logging.getLogger(__name__)

Kind = Literal["bbox", "segm", "keypoints"]
ImageId = int | str

COCO_SIGMAS = tuple(
    k / 10
    for k in (0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89)
)
"""Falloff of OKS for the 17 keypoints of COCO persons."""

_BOX_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
_KEYPOINT_NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
METRICS: Mapping[Kind, tuple[str, ...]] = {"bbox": _BOX_NAMES, "segm": _BOX_NAMES, "keypoints": _KEYPOINT_NAMES}
"""Names of the metrics over all classes, in the order of the official program."""

MAX_DETECTIONS: Mapping[Kind, int] = {"bbox": 100, "segm": 100, "keypoints": 20}
"""How many detections of each image and class count, best first, by the official protocol."""


@dataclass(frozen=True)
class CocoObjects:
    """Ground truth or predictions of one image; arrays, lists or torch tensors.

    Attributes:
        labels: [N].
        boxes: [N 4] xyxy pixels.
        masks: N run-length encodings `{"size": [H, W], "counts": bytes or str}`. None for an object of the ground truth
            without a mask: its box is a crowd region.
        keypoints: [N K 3], x, y in pixels and visibility (0 not labelled, 1 hidden, 2 visible; of predictions not
            read).
        scores: [N], of predictions.
        crowd: [N], of ground truth: groups of objects, which any number of predictions may match without counting.
        ignore: [N], of ground truth: objects that count neither when they are matched nor when they are missed.
        area: [N] pixels, of ground truth; default: of the mask for "segm", else of the box.
    """

    labels: Any
    boxes: Any = None
    masks: Sequence[Mapping[str, Any] | None] | None = None
    keypoints: Any = None
    scores: Any = None
    crowd: Any = None
    ignore: Any = None
    area: Any = None


class CocoAP:
    """Accumulates images, compactly, and computes their AP at the end.

    Args:
        kind: "bbox", "segm" or "keypoints".
        categories: Names of the labels: a mapping, or a sequence for labels from 0.
        sigmas: The OKS falloffs per keypoint (COCO's k_i / 2), by default those of COCO's 17.
        max_detections: How many detections of each image and class count, best first; by default the official
            `MAX_DETECTIONS`. Recall at this limit is named by it, as AR300.

    Example:
        ```python
        from scenekit.metrics.coco import CocoAP, CocoObjects

        ap = CocoAP("bbox", ["cat", "dog"])
        ap.update(1, (480, 640), CocoObjects([0], [[0, 0, 50, 50]]), CocoObjects([0], [[0, 0, 50, 40]], scores=[0.9]))
        ap.result()["AP50"]
        ```
    """

    def __init__(
        self,
        kind: Kind,
        categories: Mapping[int, str] | Sequence[str],
        sigmas: Sequence[float] | None = None,
        max_detections: int | None = None,
    ) -> None:
        self.max_detections = max_detections
        self.kind: Kind = kind
        self.categories = dict(categories if isinstance(categories, Mapping) else enumerate(categories))
        self.sigmas = tuple(sigmas) if sigmas else COCO_SIGMAS
        self._images: dict[ImageId, _Image] = {}

    def __len__(self) -> int:
        return len(self._images)

    def update(self, image_id: ImageId, size: tuple[int, int], targets: CocoObjects, prediction: CocoObjects) -> None:
        """Add one image.

        Args:
            image_id: Its id.
            size: Height and width in pixels.
            targets: The ground truth.
            prediction: The predictions, with scores.

        Raises:
            InputError: The image was added before, an array has the wrong shape or NaN, a label is unknown, a mask has
                another size, or what this kind of AP needs is missing.
        """
        if image_id in self._images:
            raise InputError(f"image {image_id!r} was added twice")
        reader = _Reader(self.kind, self.categories, len(self.sigmas), size)
        self._images[image_id] = _Image(size, reader.targets(targets), reader.prediction(prediction))

    def merge(self, other: "CocoAP") -> None:
        """Add the images of another instance; one that both have (samplers repeat some) counts once.

        Args:
            other: One of the same kind, categories, sigmas and limit of detections.

        Raises:
            InputError: They differ.
        """
        if other._settings() != self._settings():
            raise InputError("AP of different kinds, categories, sigmas or limits of detections cannot be merged")
        self._images = {**other._images, **self._images}

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            Those named in `METRICS[kind]` as fractions, and `per_class`: names to AP and AP50. NaN where there is no
            ground truth (COCO's -1).
        """
        targets, prediction = self.tables()
        for note in crowded(targets, self.kind, self.max_detections):
            warn_once(_log, f"the ground truth {note}")
        return average_precision(targets, prediction, self.kind, self.sigmas, self.max_detections)

    def tables(self) -> tuple[COCO, COCO]:
        """Return what was added.

        Returns:
            COCO tables of the ground truth and of the predictions.
        """
        # Equal scores keep the order of the images, so that it must not depend on which process added them.
        ordered = sorted(self._images.items(), key=lambda item: (isinstance(item[0], str), item[0]))
        images = [image for _, image in ordered]
        targets = self._coco(images, [image.targets for image in images])
        return targets, self._coco(images, [image.prediction for image in images])

    def _settings(self) -> tuple[Any, ...]:
        return self.kind, self.categories, self.sigmas, self.max_detections

    def _coco(self, images: "Sequence[_Image]", rows: "Sequence[_Rows]") -> COCO:
        sizes = [{"id": i, "height": image.size[0], "width": image.size[1]} for i, image in enumerate(images, 1)]
        annotations = [{"image_id": i, **row} for i, table in enumerate(rows, 1) for row in table.annotations()]
        for number, annotation in enumerate(annotations, 1):  # not from 0, which COCO takes for "unmatched"
            annotation["id"] = number
        categories = [{"id": label, "name": name} for label, name in self.categories.items()]
        return COCO({"images": sizes, "annotations": annotations, "categories": categories})


def average_precision(
    targets: COCO, prediction: COCO, kind: Kind, sigmas: Sequence[float], max_detections: int | None = None
) -> dict[str, Any]:
    """Compute the metrics of two COCO tables.

    Args:
        targets: The ground truth.
        prediction: The results.
        kind: "bbox", "segm" or "keypoints".
        sigmas: The OKS falloffs per keypoint.
        max_detections: See `CocoAP`.

    Returns:
        See `CocoAP.result`.
    """
    run = COCOeval_faster(targets, prediction, kind, kpt_oks_sigmas=list(sigmas))
    labels = sorted(targets.cats)
    run.params.catIds = labels
    run.params.maxDets = _limits(kind, max_detections)
    run.evaluate()
    run.accumulate()
    # [IoU threshold, recall, category, area range, number of detections]: all areas, most detections
    precision = run.eval["precision"][:, :, :, 0, -1]
    names = unique_names({label: targets.cats[label]["name"] for label in labels})
    per_class = {
        name: {"AP": _mean(precision[:, :, k]), "AP50": _mean(precision[0, :, k])}
        for k, name in enumerate(names.values())
    }
    return {**_totals(run), "per_class": per_class}


def crowded(targets: COCO, kind: Kind, max_detections: int | None = None) -> Iterator[str]:
    """Describe the ground truth that cannot be matched in full, since only so many detections count.

    Args:
        targets: The ground truth.
        kind: "bbox", "segm" or "keypoints".
        max_detections: See `CocoAP`.

    Yields:
        At most one clause, about the image with most objects of a class.
    """
    limit = _limits(kind, max_detections)[-1]
    cells = Counter((a["image_id"], a["category_id"]) for a in targets.anns.values() if not a["iscrowd"])
    beyond = {cell: count for cell, count in cells.items() if count > limit}
    if beyond:
        (_, category), most = max(beyond.items(), key=lambda item: item[1])
        yield (
            f"has {len({image for image, _ in beyond})} images with more than {limit} objects of a class (one has "
            f"{most} of {targets.cats[category]['name']!r}), but no more than {limit} detections of an image and a "
            "class count; set max_detections (--max-dets) higher"
        )


def _limits(kind: Kind, max_detections: int | None) -> list[int]:
    """Return the numbers of detections at which recall is measured, the last of which limits all metrics."""
    most = MAX_DETECTIONS[kind] if max_detections is None else max_detections
    if most < 1:
        raise InputError(f"max_detections must be at least 1, got {most}")
    return [most] if kind == "keypoints" else sorted({min(n, most) for n in (1, 10, most)})


def _totals(run: COCOeval_faster) -> dict[str, float]:
    """Return the metrics over all classes; precision is [threshold, recall, class, area, limit], recall has no 2nd."""
    precision, recall, params = run.eval["precision"], run.eval["recall"], run.params
    areas = {label[0]: a for a, label in enumerate(params.areaRngLbl) if a}
    by_threshold = {"50": 0, "75": 5}
    ap = {f"AP{name}": _mean(precision[t, :, :, 0, -1]) for name, t in by_threshold.items()}
    ap |= {f"AP{name}": _mean(precision[:, :, :, a, -1]) for name, a in areas.items()}
    if params.iouType == "keypoints":
        ar = {"AR": _mean(recall[:, :, 0, -1])}
        ar |= {f"AR{name}": _mean(recall[t, :, 0, -1]) for name, t in by_threshold.items()}
    else:
        ar = {f"AR{most}": _mean(recall[:, :, 0, m]) for m, most in enumerate(params.maxDets)}
    ar |= {f"AR{name}": _mean(recall[:, :, a, -1]) for name, a in areas.items()}
    return {"AP": _mean(precision[:, :, :, 0, -1]), **ap, **ar}


def _mean(values: npt.NDArray[np.float64]) -> float:
    """Return the mean of the defined values (COCO marks the others by -1)."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")


@dataclass(frozen=True)
class _Rows:
    """The objects of one image: float64 columns, boxes as COCO's x, y, width, height."""

    labels: Int[np.ndarray, " N"]
    area: Float[np.ndarray, " N"]
    crowd: Bool[np.ndarray, " N"]
    ignore: Bool[np.ndarray, " N"]
    boxes: Float[np.ndarray, "N 4"] | None
    masks: tuple[Mapping[str, Any], ...] | None
    keypoints: Float[np.ndarray, "N K 3"] | None
    scores: Float[np.ndarray, " N"] | None

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Yield one COCO annotation per row, without ids."""
        for i, label in enumerate(self.labels.tolist()):
            row: dict[str, Any] = {"category_id": label, "area": float(self.area[i]), "iscrowd": int(self.crowd[i])}
            if self.boxes is not None:
                row["bbox"] = self.boxes[i].tolist()
            if self.masks is not None:
                row["segmentation"] = dict(self.masks[i])
            if self.keypoints is not None:
                row["keypoints"] = self.keypoints[i].ravel().tolist()
                row["num_keypoints"] = int((self.keypoints[i, :, 2] > 0).sum())
            if self.scores is not None:
                row["score"] = float(self.scores[i])
            if self.ignore[i]:
                # This makes COCO ignore a row without the many matches of a crowd: it overwrites the field `ignore`.
                row |= {"area": float("inf")} if self.keypoints is None else {"num_keypoints": 0}
            yield row


@dataclass(frozen=True)
class _Image:
    size: tuple[int, int]
    targets: _Rows
    prediction: _Rows


@dataclass(frozen=True)
class _Reader:
    """Checks the objects of one image and keeps the columns that `kind` needs."""

    kind: Kind
    categories: Mapping[int, str]
    K: int
    size: tuple[int, int]

    def targets(self, objects: CocoObjects) -> _Rows:
        return self._rows("ground-truth", objects, boxes=self.kind != "segm", area=objects.area)

    def prediction(self, objects: CocoObjects) -> _Rows:
        if objects.scores is None:
            raise InputError("predictions need scores")
        return self._rows("predicted", objects, boxes=self.kind == "bbox", area=None)

    def _rows(self, whose: str, objects: CocoObjects, boxes: bool, area: Any) -> _Rows:
        labels = self._labels(whose, objects.labels)
        N = len(labels)
        xywh = _xywh(_column(f"{whose} boxes", objects.boxes, (N, 4))) if boxes else None
        masks, crowd = None, _flags("crowd", objects.crowd, N)
        if self.kind == "segm":
            masks = self._masks(whose, objects, N)
            crowd = crowd | np.array([rle is None for rle in objects.masks or ()], dtype=bool)
        points = _column(f"{whose} keypoints", objects.keypoints, (N, self.K, 3)) if self.kind == "keypoints" else None
        return _Rows(
            labels,
            _area(xywh, masks, points) if area is None else _column(f"{whose} areas", area, (N,)),
            crowd,
            _flags("ignore", objects.ignore, N),
            xywh,
            masks,
            points,
            None if objects.scores is None else _column(f"{whose} scores", objects.scores, (N,)),
        )

    def _labels(self, whose: str, values: Any) -> Int[np.ndarray, " N"]:
        labels = to_numpy(values)
        if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
            raise InputError(f"{whose} labels must be integers [N], not {labels.dtype} {list(labels.shape)}")
        if unknown := set(labels.tolist()) - self.categories.keys():
            raise InputError(f"{whose} label {min(unknown)} is not among the {len(self.categories)} categories")
        return labels.astype(np.int64)

    def _masks(self, whose: str, objects: CocoObjects, N: int) -> tuple[Mapping[str, Any], ...]:
        masks = objects.masks
        if masks is None or len(masks) != N:
            raise InputError(f"{N} {whose} masks expected, got {'none' if masks is None else len(masks)}")
        missing = [n for n, rle in enumerate(masks) if rle is None]
        if missing and objects.scores is not None:
            raise InputError(f"{whose} mask number {missing[0]} is missing; only ground truth may lack masks")
        boxes = _xywh(_column(f"{whose} boxes", objects.boxes, (N, 4))).tolist() if missing else ()
        regions = {n: box_mask(boxes[n], self.size) for n in missing}
        for rle in masks:
            if rle is not None and tuple(rle["size"]) != tuple(self.size):
                raise InputError(
                    f"a {whose} mask has the size {list(rle['size'])}, its image {list(self.size)} (height, width)"
                )
        return tuple(regions[n] if rle is None else rle for n, rle in enumerate(masks))


def _column(name: str, values: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the values as float64 of exactly this shape, all finite."""
    if values is None:
        raise InputError(f"{name} are missing; expected an array of shape {list(shape)}")
    array = to_numpy(values).astype(np.float64)
    if array.size == 0 and shape[0] == 0:
        return array.reshape(shape)
    if array.shape != shape:
        raise InputError(f"{name} must have the shape {list(shape)}, not {list(array.shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} hold NaN or infinite values")
    return array


def _flags(name: str, values: Any, N: int) -> Bool[np.ndarray, " N"]:
    return np.zeros(N, dtype=bool) if values is None else _column(f"{name} flags", values, (N,)) != 0


def _xywh(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 4"]:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)


def _area(
    boxes: Float[np.ndarray, "N 4"] | None,
    masks: Sequence[Mapping[str, Any]] | None,
    points: Float[np.ndarray, "N K 3"] | None,
) -> Float[np.ndarray, " N"]:
    """Return the areas of the masks where they count, else of the boxes, else of the extent of the keypoints."""
    if masks is not None:
        return np.array([float(coco_mask.area(rle)) for rle in masks], dtype=np.float64)
    if boxes is not None:
        sides = boxes[:, 2:]
    else:
        assert points is not None, "a row has masks, boxes or keypoints"
        sides = points[:, :, :2].max(axis=1) - points[:, :, :2].min(axis=1)
    area: Float[np.ndarray, " N"] = sides[:, 0] * sides[:, 1]
    return area
