"""Mesh R-CNN's metrics of meshes, for images with any number of objects.

Letters: D detections, G ground-truth objects, P pairs, M metrics.
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
from scenekit.metrics.meshes import ShapeAP, Surface, surface_metrics
from scenekit.scene import Objects
from scenekit.structures import Meshes
from scenekit_plugins.meshes.comparison import LONGEST, SAMPLES, has_surface, longest_edges, middle_depths, surfaces

QUERIES = 2_000
"""Points of a surface that are looked up on the other one: means over them are those over all, to 1 percent."""

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
    """AP of shapes by Mesh R-CNN's protocol, and the similarity of matched shapes.

    Detections are ranked by the score of their mesh, or by that of the object where meshes have none. A detection is
    right if F1@0.3 with a free object of its class is above 50 %; best scores are matched first, and AP
    is the area under precision over recall, the mean over classes. The depth of an object does not follow from its
    shape: as in Mesh R-CNN meshes are compared at the ground-truth depth, which moves a mesh exactly by scaling it
    about the camera, until the middle of its depths is that of the target. "As placed" they stay where the model places
    them.

    The other metrics are means over detections that match an object in the image (IoU 0.5), in the unit in which
    the longest edge of the target's bounding box is 10; one without a mesh has F1 0 and no distance. AP of boxes, and
    of masks where both scenes have them, are by the same protocol. Objects without a mesh, and crowds, are ignored;
    where an image does not label every instance, so are detections far (IoU 0.3) from all objects.

    The points of a surface are drawn by the id of the image. Images without labels of meshes are skipped.

    Args:
        vocabulary: That of the model.
        samples: Points on each surface; values of F1 depend on it.
        queries: Points of a surface that are looked up on the other one; all, if None.
    """

    def __init__(self, vocabulary: sk.Vocabulary, samples: int = SAMPLES, queries: int | None = QUERIES) -> None:
        self.things = vocabulary.things
        self.samples, self.queries = samples, queries
        self.shapes = {kind: ShapeAP(self.things) for kind in KINDS}
        self.with_masks = False
        self.labels: list[Int[np.ndarray, " P"]] = []
        self.metrics: list[Float[np.ndarray, "P M"]] = []

    def update(self, sample: sk.Sample, prediction: sk.Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        supervision = sample.supervision
        if sk.MESHES in supervision.keys and sk.OBJECTS in supervision.streams:
            table = self._compared(sample, prediction)
            self._judge(sample, prediction, table)
            self._add_matched(sample.scene, prediction, table)

    def merge(self, other: MeshEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary and numbers of points.

        Raises:
            InputError: Classes or numbers of points differ.
        """
        mine, theirs = ((each.things, each.samples, each.queries) for each in (self, other))
        if mine != theirs:
            raise InputError("metrics of other classes, or from other numbers of samples, cannot be merged")
        for kind, shapes in self.shapes.items():
            shapes.merge(other.shapes[kind])
        self.with_masks |= other.with_masks
        self.labels += other.labels
        self.metrics += other.metrics

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            AP_mesh, AP_mesh as placed, AP_box, AP_mask (fractions), Chamfer-L2, normal consistencies, F1 (percent), the
            number of `matched` detections and of those `without mesh`; and AP_mesh and the means `per_category`.
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

    def _compared(self, sample: sk.Sample, prediction: sk.Scene) -> Float[np.ndarray, "D G M"]:
        """Compute the `COLUMNS` of detections and objects near them; F1 is 0, and others NaN, elsewhere."""
        targets, meshes = _on_cpu(sample.scene), _on_cpu(prediction)
        near = overlaps(prediction.objects, sample.scene.objects) > NEAR
        comparable = near & same_class(prediction.objects, sample.scene.objects)
        pairs = (comparable & has_surface(meshes)[:, None] & has_surface(targets)).nonzero()
        rows, columns = pairs.unbind(dim=1)
        generator = torch.Generator().manual_seed(sample.id)
        target_surfaces = self._surfaces(targets, columns, generator)
        predicted_surfaces = self._surfaces(meshes, rows, generator)
        scales, depths = LONGEST / longest_edges(targets), [middle_depths(each) for each in (meshes, targets)]
        table = np.full((len(meshes), len(targets), len(COLUMNS)), np.nan)
        table[..., COLUMNS.index("F1@0.1") :] = 0
        for row, column in pairs.tolist():
            pair, scale = (predicted_surfaces[row], target_surfaces[column]), float(scales[column])
            moved = scale * float(depths[1][column] / depths[0][row]) if depths[0][row] > 0 else scale
            metrics = surface_metrics(*pair, SHOWN, (moved, scale))
            placed = surface_metrics(*pair, SHOWN, (scale, scale), limit=max(SHOWN))
            table[row, column] = [metrics[name] for name in METRICS] + [placed[f"F1@{t:g}"] for t in SHOWN]
        return table

    def _surfaces(self, meshes: Meshes, rows: Int[Tensor, " P"], generator: torch.Generator) -> dict[int, Surface]:
        """Sample the surfaces of these rows, each once."""
        chosen = rows.unique().tolist()  # type: ignore[no-untyped-call]
        return dict(zip(chosen, surfaces(meshes[chosen], self.samples, self.queries, generator), strict=True))

    def _judge(self, sample: sk.Sample, prediction: sk.Scene, table: Float[np.ndarray, "D G M"]) -> None:
        """Add the detections of each kind, right or wrong."""
        objects, detections = sample.scene.objects, prediction.objects
        covered = torch.tensor([sample.supervision.covers(name) for name in self.things], dtype=torch.bool)
        ignored = ~_countable(sample.scene) | ~covered[objects.labels]
        kept = prediction.rows_with(sk.MESHES) & covered[detections.labels]
        annotated = sample.scene.rows_with(sk.MESHES) & has_surface(_on_cpu(sample.scene))
        kept &= ~ignored_detections(detections, objects, annotated)
        iou = overlaps(detections, objects)
        if sk.OBJECTS not in sample.supervision.exhaustive:
            kept &= (iou > NEAR).any(dim=1)
        counted, same = objects.labels[~ignored].numpy(), same_class(detections, objects).numpy()
        for kind, quality in self._qualities(sample.scene, prediction, table, iou).items():
            scores = _mesh_scores(prediction) if kind.startswith("mesh") else _scores(detections)
            order = by_score(scores)
            order = order[kept.numpy()[order]]
            labels, ranked = detections.labels.numpy()[order], scores.double().numpy()[order]
            matched = match((quality * same)[order], ignored.numpy(), np.array([RIGHT]))[0]
            counts = np.append(~ignored.numpy(), True)[matched]
            self.shapes[kind].update(counted, labels[counts], ranked[counts], (matched >= 0)[counts])

    def _qualities(
        self, scene: sk.Scene, prediction: sk.Scene, table: Float[np.ndarray, "D G M"], iou: Float[Tensor, "D G"]
    ) -> dict[str, Float[np.ndarray, "D G"]]:
        """Return the similarity of detections and objects, 0 to 1, by kind."""
        columns = {"mesh": "F1@0.3", "mesh as placed": "F1 as placed@0.3"}
        qualities = {kind: table[..., COLUMNS.index(column)] / 100 for kind, column in columns.items()}
        qualities["box"] = iou.double().numpy()
        if sk.MASKS in scene and sk.MASKS in prediction:
            self.with_masks = True
            qualities["mask"] = _mask_iou(prediction, scene)
        return qualities

    def _add_matched(self, scene: sk.Scene, prediction: sk.Scene, table: Float[np.ndarray, "D G M"]) -> None:
        """Add the metrics of the detections that match an object."""
        objects, detections = scene.objects, prediction.objects
        predicted = prediction.rows_with(sk.MESHES)
        columns, rows = matched_rows(objects, detections, _countable(scene), predicted, _scores(detections))
        self.labels.append(objects.labels[columns].numpy())
        self.metrics.append(table[rows.numpy(), columns.numpy()])


def _on_cpu(scene: sk.Scene) -> Meshes:
    """Return the meshes of the objects; empty ones in rows that have none."""
    meshes = scene[sk.MESHES]
    parts = (part.detach().cpu() for part in (meshes.verts, meshes.faces, meshes.verts_offset, meshes.faces_offset))
    return Meshes(*parts)


def _countable(scene: sk.Scene) -> Bool[Tensor, " G"]:
    """Return which objects count: not crowds, nor ignored objects, nor objects without a mesh."""
    objects = scene.objects
    return scene.rows_with(sk.MESHES) & has_surface(_on_cpu(scene)) & ~objects.crowd & ~objects.ignore


def _scores(detections: Objects) -> Float[Tensor, " D"]:
    return torch.ones(len(detections)) if detections.scores is None else detections.scores.detach().cpu()


def _mesh_scores(prediction: sk.Scene) -> Float[Tensor, " D"]:
    """Return the scores of the shapes, those of the objects where they have none."""
    scores = prediction[sk.MESHES].scores
    return _scores(prediction.objects) if scores is None else scores.detach().cpu().nan_to_num(0.0)


def _mask_iou(prediction: sk.Scene, scene: sk.Scene) -> Float[np.ndarray, "D G"]:
    detections, objects = list(prediction[sk.MASKS].rles), list(scene[sk.MASKS].rles)
    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    crowd = scene.objects.crowd.numpy().astype(np.uint8).tolist()
    iou: Float[np.ndarray, "D G"] = np.asarray(coco_mask.iou(detections, objects, crowd))
    return iou


def _means(metrics: Float[np.ndarray, "P M"]) -> dict[str, Any]:
    """Return the mean of each of the `COLUMNS`, over the pairs that have it."""
    means = {name: _mean(metrics[:, column]) for column, name in enumerate(COLUMNS)}
    return {**means, "matched": len(metrics), "without mesh": int(np.isnan(metrics[:, 0]).sum())}


def _mean(values: Float[np.ndarray, " P"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
