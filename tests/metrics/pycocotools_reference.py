"""The official evaluator, and random data sets to hold against it."""

import contextlib
import functools
import io
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HEIGHT, WIDTH, K = 240, 320, 17
NAMES = {
    "bbox": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    "keypoints": ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"),
}
NAMES["segm"] = NAMES["bbox"]


class HonoringIgnore(COCOeval):
    """pycocotools overwrites the field `ignore` by `iscrowd`; this one puts it back."""

    def _prepare(self) -> None:
        wanted = {i: annotation.get("ignore", 0) for i, annotation in self.cocoGt.anns.items()}
        super()._prepare()
        for i, annotation in self.cocoGt.anns.items():
            annotation["ignore"] = int(bool(annotation["ignore"]) or bool(wanted[i]))


def official(truth: dict[str, Any], results: list[dict[str, Any]], kind: str, sigmas: Any = None) -> dict[str, float]:
    """Metrics by name from pycocotools; its -1 ("nothing to measure") as NaN, `AP/NAME` per class."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = truth
        ground.createIndex()
        found = ground.loadRes(results) if results else empty(ground)
        run = HonoringIgnore(ground, found, kind)
        if sigmas is not None:
            run.params.kpt_oks_sigmas = np.array(sigmas)
        run.evaluate()
        run.accumulate()
        run.summarize()
    metrics = dict(zip(NAMES[kind], run.stats, strict=True))
    for k, category in enumerate(run.params.catIds):
        precision = run.eval["precision"][:, :, k, 0, -1]
        metrics[f"AP/{ground.cats[category]['name']}"] = precision.mean() if precision.max() > -1 else -1
    return {name: float("nan") if value == -1 else float(value) for name, value in metrics.items()}


def empty(ground: COCO) -> COCO:
    """An empty table of results, which pycocotools cannot load."""
    found = COCO()
    found.dataset = {**ground.dataset, "annotations": []}
    found.createIndex()
    return found


@functools.cache
def random_files(seed: int, images: int = 12, classes: int = 4) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and results with boxes, masks and keypoints; to be left unchanged, for it is drawn once.

    With crowds, ignored objects, objects without keypoints, tied scores, an image without ground truth, one without
    results, one with more than 100 results, a class without ground truth and one without results.
    """
    draw = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        for _ in range(0 if image == 1 else draw.integers(1, 8)):
            box = random_box(draw)
            keypoints = random_keypoints(draw, box)
            annotations.append(
                {
                    **shapes(box),
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "keypoints": keypoints,
                    "category_id": int(draw.integers(1, classes)),
                    "area": float(box[2] * box[3] * draw.uniform(0.4, 1)),
                    "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
                    "iscrowd": int(draw.random() < 0.15),
                    "ignore": int(draw.random() < 0.1),
                }
            )
            for _ in range(0 if image == 2 else draw.integers(0, 4)):
                results.append(noisy(draw, annotations[-1], classes))
        for _ in range(130 if image == 3 else 0 if image == 2 else 3):
            box = random_box(draw)
            results.append(result(draw, box, random_keypoints(draw, box), image, int(draw.integers(2, classes + 1))))
    return {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "categories": [{"id": c, "name": f"c{c}"} for c in range(1, classes + 1)],
        "annotations": annotations,
    }, results


def random_box(draw: np.random.Generator) -> list[float]:
    """x, y, width, height inside the image; from 4 pixels to most of it, so that all area ranges occur."""
    size = np.exp(draw.uniform(np.log(4), np.log(200), 2))
    corner = draw.uniform(0, 1, 2) * (np.array([WIDTH, HEIGHT]) - size)
    return [float(v) for v in (*corner, *size)]


def random_keypoints(draw: np.random.Generator, box: list[float]) -> list[float]:
    """K points in the box; of one object in four none is labelled, of the others about two thirds."""
    xy = np.array(box[:2]) + draw.random((K, 2)) * np.array(box[2:])
    visibility = draw.integers(0, 3, K) * (draw.random() < 0.75)
    return [float(v) for v in np.concatenate((xy, visibility[:, None]), axis=1).ravel()]


def shapes(box: list[float]) -> dict[str, Any]:
    """The box, and an ellipse in it as mask."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    dx, dy = (x - box[0] - box[2] / 2) / (box[2] / 2), (y - box[1] - box[3] / 2) / (box[3] / 2)
    rle = coco_mask.encode(np.asfortranarray((dx**2 + dy**2 <= 1).astype(np.uint8)))
    return {"bbox": box, "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")}}


def noisy(draw: np.random.Generator, truth: dict[str, Any], classes: int) -> dict[str, Any]:
    """A result near an annotation, now and then of another class."""
    size = np.array(truth["bbox"][2:])
    box = np.array(truth["bbox"]) + draw.normal(0, 0.08, 4) * np.tile(size, 2)
    points = np.array(truth["keypoints"]).reshape(K, 3)
    points[:, :2] += draw.normal(0, 0.05, (K, 2)) * size
    category = truth["category_id"] if draw.random() < 0.85 else int(draw.integers(2, classes + 1))
    category = max(category, 2)  # class 1 is never found
    return result(draw, [float(v) for v in box], points.ravel().tolist(), truth["image_id"], category)


def result(
    draw: np.random.Generator, box: list[float], keypoints: list[float], image: int, category: int
) -> dict[str, Any]:
    """Scores have one digit, so that many are tied."""
    box = [*box[:2], max(box[2], 1.0), max(box[3], 1.0)]
    score = round(float(draw.random()), 1)
    return {**shapes(box), "image_id": image, "category_id": category, "keypoints": keypoints, "score": score}


def only(results: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Results with one of their three fields, as the official files have them."""
    fields = {"bbox", "segmentation", "keypoints"} - {field}
    return [{name: value for name, value in entry.items() if name not in fields} for entry in results]
