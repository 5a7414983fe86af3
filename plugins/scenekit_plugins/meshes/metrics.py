"""What measures meshes: Mesh R-CNN's metrics, for as many objects in an image as there are.

Letters: D detections, G true objects, P pairs, M metrics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pycocotools import mask as coco_mask
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.matching import by_score, ignored_detections, matched_rows, overlaps, same_class
from scenekit.metrics.common import match
from scenekit.metrics.meshes.average_precision import ShapeAP, surface_metrics
from scenekit.scene import Objects
from scenekit.structures import Meshes
from scenekit_plugins.meshes.comparison import LONGEST, SAMPLES, has_surface, longest_edges, middle_depths, surfaces

QUERIES = 2_000
"""So many points of a surface are looked up on the other one: means over them are those over all, to 1 percent."""

SHOWN = (0.1, 0.3, 0.5)
"""Thresholds of F1 that are reported."""

METRICS = ("Chamfer-L2", "NormalConsistency", "AbsNormalConsistency", *(f"F1@{t:g}" for t in SHOWN))
PLACED = tuple(f"F1 as placed@{t:g}" for t in SHOWN)
COLUMNS = (*METRICS, *PLACED)

RIGHT = float(np.nextafter(0.5, 1))
"""A shape is right from an F1@0.3 above one half, a box or mask from such an IoU."""

NEAR = 0.3
"""IoU in the image above which a detection may be of an object; it is compared with no other."""

KINDS = ("mesh", "mesh as placed", "box", "mask")


class MeshEvaluator:
    """AP of shapes by Mesh R-CNN's protocol, and how alike the shapes are that were found.

    A detection is right if F1@0.3 with a free object of its class is above 50 %; best scores choose first, and AP is
    the area under precision over recall, the mean over classes. How deep an object lies cannot be told from its shape:
    as in Mesh R-CNN meshes are compared at the true depth, which moves a mesh exactly by scaling it about the camera,
    until the middle of its depths is that of the true one. "As placed" they stay where the model puts them.

    The other metrics are means over detections that stand for an object in the image (IoU 0.5), in the unit in which
    the longest edge of the true bounding box is 10; one without a mesh has F1 0 and no distance. AP of boxes, and of
    masks where both scenes have them, are by the same protocol. Objects without a mesh, and crowds, are ignored; where
    an image does not label every instance, so are detections far (IoU 0.3) from all objects.

    Surfaces are sampled at `samples` points, `queries` of which (all, if None) are looked up; the same for the same id
    of an image.
    """

    def __init__(self, vocabulary: sk.Vocabulary, samples: int = SAMPLES, queries: int | None = QUERIES) -> None:
        self.things = vocabulary.things
        self.samples, self.queries = samples, queries
        self.shapes = {kind: ShapeAP(self.things) for kind in KINDS}
        self.with_masks = False
        self.labels: list[Int[np.ndarray, " P"]] = []
        self.metrics: list[Float[np.ndarray, "P M"]] = []

    def update(self, truth: sk.Sample, prediction: sk.Scene) -> None:
        """Take in one image; one without labels of meshes is passed over."""
        claims = truth.supervision
        if sk.MESHES in claims.keys and sk.OBJECTS in claims.streams:
            table = self._compared(truth, prediction)
            self._judge(truth, prediction, table)
            self._describe(truth.scene, prediction, table)

    def merge(self, other: MeshEvaluator) -> None:
        """Take in everything that another evaluator saw."""
        mine, theirs = ((each.things, each.samples, each.queries) for each in (self, other))
        if mine != theirs:
            raise InputError("metrics of other classes, or from other numbers of samples, cannot be merged")
        for kind, shapes in self.shapes.items():
            shapes.merge(other.shapes[kind])
        self.with_masks |= other.with_masks
        self.labels += other.labels
        self.metrics += other.metrics

    def result(self) -> dict[str, Any]:
        """AP_mesh, AP_mesh as placed, AP_box, AP_mask (fractions), Chamfer-L2, normal consistencies, F1 (percent), how
        many were `matched`, how many of these were `without mesh`; and AP_mesh and the means `per_category`.
        """
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *self.labels])
        metrics = np.concatenate([np.zeros((0, len(COLUMNS))), *self.metrics])
        ap = {kind: shapes.result() for kind, shapes in self.shapes.items() if kind != "mask" or self.with_masks}
        per_category = {
            name: {"AP_mesh": ap["mesh"][name], **_means(metrics[labels == label])}
            for label, name in enumerate(self.things)
        }
        means = {f"AP_{kind}": _mean(np.array([*values.values()])) for kind, values in ap.items()}
        return {**means, **_means(metrics), "per_category": per_category}

    def _compared(self, truth: sk.Sample, prediction: sk.Scene) -> Float[np.ndarray, "D G M"]:
        """The `COLUMNS` of detections and the objects that they may be of; F1 is 0, and others NaN, elsewhere."""
        true, found = _on_cpu(truth.scene), _on_cpu(prediction)
        near = overlaps(prediction.objects, truth.scene.objects) > NEAR
        asked = near & same_class(prediction.objects, truth.scene.objects)
        pairs = (asked & has_surface(found)[:, None] & has_surface(true)).nonzero()
        rows, columns = pairs.unbind(dim=1)
        generator = torch.Generator().manual_seed(truth.id)
        wanted, given = columns.unique().tolist(), rows.unique().tolist()  # type: ignore[no-untyped-call]
        true_surfaces = dict(zip(wanted, surfaces(true[wanted], self.samples, self.queries, generator), strict=True))
        found_surfaces = dict(zip(given, surfaces(found[given], self.samples, self.queries, generator), strict=True))
        scales, depths = LONGEST / longest_edges(true), [middle_depths(meshes) for meshes in (found, true)]
        table = np.full((len(found), len(true), len(COLUMNS)), np.nan)
        table[..., COLUMNS.index("F1@0.1") :] = 0
        for row, column in pairs.tolist():
            pair, scale = (found_surfaces[row], true_surfaces[column]), float(scales[column])
            moved = scale * float(depths[1][column] / depths[0][row]) if depths[0][row] > 0 else scale
            metrics = surface_metrics(*pair, SHOWN, (moved, scale))
            placed = surface_metrics(*pair, SHOWN, (scale, scale), limit=max(SHOWN))
            table[row, column] = [metrics[name] for name in METRICS] + [placed[f"F1@{t:g}"] for t in SHOWN]
        return table

    def _judge(self, truth: sk.Sample, prediction: sk.Scene, table: Float[np.ndarray, "D G M"]) -> None:
        """Which detections are right, of each kind."""
        objects, detections = truth.scene.objects, prediction.objects
        covered = _covered(truth, self.things)
        ignored = ~_countable(truth.scene) | ~covered[objects.labels]
        kept = prediction.rows_with(sk.MESHES) & covered[detections.labels]
        told = truth.scene.rows_with(sk.MESHES) & has_surface(_on_cpu(truth.scene))
        kept &= ~ignored_detections(detections, objects, told)
        iou = overlaps(detections, objects)
        if sk.OBJECTS not in truth.supervision.exhaustive:
            kept &= (iou > NEAR).any(dim=1)
        scores = _scores(detections)
        order = by_score(scores)
        order = order[kept.numpy()[order]]
        labels, ranked = detections.labels.numpy()[order], scores.double().numpy()[order]
        counted, same = objects.labels[~ignored].numpy(), same_class(detections, objects).numpy()
        for kind, quality in self._qualities(truth.scene, prediction, table, iou).items():
            taken = match((quality * same)[order], ignored.numpy(), np.array([RIGHT]))[0]
            matters = np.append(~ignored.numpy(), True)[taken]
            self.shapes[kind].update(counted, labels[matters], ranked[matters], (taken >= 0)[matters])

    def _qualities(
        self, true: sk.Scene, found: sk.Scene, table: Float[np.ndarray, "D G M"], iou: Float[Tensor, "D G"]
    ) -> dict[str, Float[np.ndarray, "D G"]]:
        """How well detections fit objects, 0 to 1, by kind."""
        columns = {"mesh": "F1@0.3", "mesh as placed": "F1 as placed@0.3"}
        qualities = {kind: table[..., COLUMNS.index(column)] / 100 for kind, column in columns.items()}
        qualities["box"] = iou.double().numpy()
        if sk.MASKS in true and sk.MASKS in found:
            self.with_masks = True
            qualities["mask"] = _mask_iou(found, true)
        return qualities

    def _describe(self, true: sk.Scene, found: sk.Scene, table: Float[np.ndarray, "D G M"]) -> None:
        """Keep the metrics of the detections that stand for an object."""
        objects, detections = true.objects, found.objects
        answered = found.rows_with(sk.MESHES)
        columns, rows = matched_rows(objects, detections, _countable(true), answered, _scores(detections))
        self.labels.append(objects.labels[columns].numpy())
        self.metrics.append(table[rows.numpy(), columns.numpy()])


def _on_cpu(scene: sk.Scene) -> Meshes:
    """The meshes of the objects; those that a row does not really carry are empty."""
    meshes = scene[sk.MESHES]
    parts = (part.detach().cpu() for part in (meshes.verts, meshes.faces, meshes.verts_offset, meshes.faces_offset))
    return Meshes(*parts)


def _countable(true: sk.Scene) -> Bool[Tensor, " G"]:
    """Which objects count: not crowds, nor what evaluation shall pass over, nor what has no mesh."""
    objects = true.objects
    return true.rows_with(sk.MESHES) & has_surface(_on_cpu(true)) & ~objects.crowd & ~objects.ignore


def _covered(truth: sk.Sample, things: tuple[str, ...]) -> Bool[Tensor, " C"]:
    """Which classes the labels cover."""
    classes = truth.supervision.classes
    return torch.tensor([classes is None or name in classes for name in things], dtype=torch.bool)


def _scores(detections: Objects) -> Float[Tensor, " D"]:
    return torch.ones(len(detections)) if detections.scores is None else detections.scores.detach().cpu()


def _mask_iou(found: sk.Scene, true: sk.Scene) -> Float[np.ndarray, "D G"]:
    detections, objects = list(found[sk.MASKS].rles), list(true[sk.MASKS].rles)
    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    crowd = true.objects.crowd.numpy().astype(np.uint8).tolist()
    iou: Float[np.ndarray, "D G"] = np.asarray(coco_mask.iou(detections, objects, crowd))
    return iou


def _means(metrics: Float[np.ndarray, "P M"]) -> dict[str, Any]:
    """Of each of the `COLUMNS`, over the pairs that have it."""
    means = {name: _mean(metrics[:, column]) for column, name in enumerate(COLUMNS)}
    return {**means, "matched": len(metrics), "without mesh": int(np.isnan(metrics[:, 0]).sum())}


def _mean(values: Float[np.ndarray, " P"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
