"""The fitting of R-CNN's SVMs and box regression after the gradient steps.

Letters: N regions of one image, C foreground classes, M negatives, D features of the SVMs, E features of box
regression.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.detection.assign import ground_truth_of
from scenekit.detection.crops.linear import fit_ridge, fit_svm
from scenekit.detection.crops.network import CropFeatures
from scenekit.detection.crops.rcnn import RCNN
from scenekit.errors import InputError, listed
from scenekit.keys import OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import intersection_over_area
from scenekit.ops.rng import generator
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

_log = logging.getLogger(__name__)

HARD = -1.0
"""Margin above which a negative violates the margin."""
CROWD = 0.5
"""Part of a region's area inside a crowd above which it is no negative."""
SHOWN = 10
"""Number of class names that a message lists."""

Packed = tuple[ImageBatch, Targets]


@dataclass(frozen=True, eq=False)
class ImageRegions:
    """The proposals of one training image, and what they are examples of."""

    number: int
    """Number of the image in a run over the data."""
    seed: int
    """Seed of its random numbers."""
    batch: ImageBatch
    """The batch with the image."""
    proposals: Regions
    """Its proposals."""
    objects: Regions
    """Its ground truth without crowds."""
    overlaps: Float[Tensor, "N C"]
    """Greatest IoU of each proposal with an object of each class."""
    nearest: Int[Tensor, "N C"]
    """The row of that object in `objects`."""
    negative: Bool[Tensor, "N C"]
    """Whether a proposal is a negative of a class."""


@dataclass
class Negatives:
    """Features of negatives, each once."""

    features: Float[Tensor, "M D"]
    """Features."""
    classes: Bool[Tensor, "M C"]
    """The classes that each is a negative of."""
    keys: list[tuple[int, int]] = field(default_factory=list)
    """Number of the image, and of the region in it."""

    def add(
        self, image: int, rows: Int[Tensor, " K"], features: Float[Tensor, "K D"], classes: Bool[Tensor, "K C"]
    ) -> None:
        """Add those regions of an image that are not here yet."""
        known = set(self.keys)
        keys = [(image, row) for row in rows.tolist()]
        new = [place for place, key in enumerate(keys) if key not in known]
        self.keys += [keys[place] for place in new]
        self.features = torch.cat((self.features, features[new]))
        self.classes = torch.cat((self.classes, classes[new]))

    def keep_hardest(self, count: int, margins: Float[Tensor, "M C"]) -> None:
        """Drop all but those with the greatest margins for a class that they are negatives of."""
        hardness = margins.masked_fill(~self.classes, -torch.inf).amax(dim=1)
        rows = hardness.argsort(descending=True, stable=True)[:count].sort().values
        self.features, self.classes = self.features[rows], self.classes[rows]
        self.keys = [self.keys[row] for row in rows.tolist()]


@dataclass
class Examples:
    """What one run over the data collects, by class where it is a list."""

    positives: list[list[Float[Tensor, "_ D"]]]
    """Features of the ground-truth boxes."""
    negatives: Negatives
    """Random negatives."""
    regressed: list[list[tuple[float, Float[Tensor, " E"], Float[Tensor, " 4"]]]]
    """A random number, the features of a proposal, and the offsets to its object."""


@torch.no_grad()
def fit_rcnn(model: SceneModel, data: Iterable[Packed]) -> None:
    """Fit an SVM and a box regression per class, and store them in the model.

    Positives of an SVM are the ground-truth boxes of its class, negatives are proposals that overlap none of them by
    much. It is first fitted with random negatives, then again with the hard ones of all images. Box regression learns
    from the proposals that overlap an object well. All random numbers depend on the seeds of the images alone.

    Args:
        model: A model with the detector `rcnn`, in evaluation mode.
        data: Batches of the training data; the same ones each time that they are iterated.

    Raises:
        InputError: A class has no positives or no negatives.
    """
    stage = model.stages["detection"]
    assert isinstance(stage, RCNN)
    examples = _collected(model, stage, data)
    positives = [torch.cat(features) for features in examples.positives]
    scale = stage.options.svm.feature_norm / max(_mean_norm([*positives, examples.negatives.features]), 1e-12)
    _fit_svms(stage, positives, examples.negatives, scale)
    for _ in range(stage.options.svm.mining_passes):
        _mine(model, stage, data, examples.negatives)
        _fit_svms(stage, positives, examples.negatives, scale)
    _fit_regression(stage, examples)
    stage.fitted.fill_(True)


def _collected(model: SceneModel, stage: RCNN, data: Iterable[Packed]) -> Examples:
    """Collect positives, random negatives and examples of regression from all images."""
    classes, net = stage.classes, stage.net
    negatives = Negatives(torch.zeros(0, net.dim), torch.zeros(0, classes, dtype=torch.bool))
    found = Examples([[] for _ in range(classes)], negatives, [[] for _ in range(classes)])
    for image in _images(model, stage, data):
        assert image.objects.labels is not None
        top = stage.net(image.batch.pixels, image.objects).top.float().cpu()
        for label in torch.unique(image.objects.labels).tolist():
            found.positives[label].append(top[(image.objects.labels == label).cpu()])
        _add_negatives(stage, image, found.negatives)
        _add_regressed(stage, image, found)
    _check(stage, found)
    return found


def _add_negatives(stage: RCNN, image: ImageRegions, negatives: Negatives) -> None:
    rows = image.negative.any(dim=1).nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=generator(image.seed, stage.name, "negatives"))
    rows = rows[order[: stage.options.svm.start_negatives].to(rows.device)]
    features = _features(stage, image, rows).top
    negatives.add(image.number, rows, features.float().cpu(), image.negative[rows].cpu())


def _add_regressed(stage: RCNN, image: ImageRegions, found: Examples) -> None:
    options = stage.options.regression
    pairs = (image.overlaps >= options.overlap).nonzero()
    rows, place = torch.unique(pairs[:, 0], return_inverse=True)
    features = _features(stage, image, rows).trunk.float().cpu()
    objects = image.nearest[pairs[:, 0], pairs[:, 1]]
    offsets = stage.coder.encode(image.objects.boxes[objects], image.proposals.boxes[pairs[:, 0]]).float().cpu()
    drawn = torch.rand(len(pairs), generator=generator(image.seed, stage.name, "regression")).tolist()
    for label, number, row, offset in zip(pairs[:, 1].tolist(), drawn, place.tolist(), offsets, strict=True):
        found.regressed[label].append((number, features[row], offset))
        if len(found.regressed[label]) > 2 * options.samples:
            found.regressed[label] = _drawn(found.regressed[label], options.samples)


def _drawn(
    examples: list[tuple[float, Tensor, Tensor]], count: int
) -> list[tuple[float, Float[Tensor, " E"], Float[Tensor, " 4"]]]:
    """Return those with the smallest random numbers: a sample, however many there are."""
    return sorted(examples, key=lambda example: example[0])[:count]


def _mine(model: SceneModel, stage: RCNN, data: Iterable[Packed], negatives: Negatives) -> None:
    """Add negatives that violate a margin, from all images."""
    limit = stage.options.svm.negatives
    for image in _images(model, stage, data):
        rows = image.negative.any(dim=1).nonzero()[:, 0]
        features = _features(stage, image, rows).top.float()
        hard = ((stage.margins(features) > HARD) & image.negative[rows]).any(dim=1)
        negatives.add(image.number, rows[hard], features[hard].cpu(), image.negative[rows[hard]].cpu())
        if len(negatives.keys) > 2 * limit:
            negatives.keep_hardest(limit, _margins(stage, negatives))
    negatives.keep_hardest(limit, _margins(stage, negatives))


def _margins(stage: RCNN, negatives: Negatives) -> Float[Tensor, "M C"]:
    return stage.margins(negatives.features.to(stage.svm_weight.device)).cpu()


def _features(stage: RCNN, image: ImageRegions, rows: Int[Tensor, " K"]) -> CropFeatures:
    features: CropFeatures = stage.net(image.batch.pixels, image.proposals.subset(rows))
    return features


def _images(model: SceneModel, stage: RCNN, data: Iterable[Packed]) -> Iterator[ImageRegions]:
    """Yield the annotated images with their proposals, up to the limit of the options."""
    proposing = next(name for name in model.plan.order if stage.proposals in model.plan.steps[name].provides)
    limit, number = stage.options.fit_images, 0
    for batch, targets in data:
        proposals: Regions = model(batch, tasks=(proposing,)).board[stage.proposals]
        ground_truth = ground_truth_of(targets, OBJECTS, batch, stage.classes)
        for index in range(len(batch)):
            if bool(ground_truth.supervised[index]):
                yield _image(stage, batch, proposals, ground_truth, index, number)
            number += 1
            if number == limit:
                return


def _image(
    stage: RCNN, batch: ImageBatch, proposals: Regions, ground_truth: StreamTruth, index: int, number: int
) -> ImageRegions:
    own, every = proposals.of_image(index), ground_truth.regions
    here = every.image_index == index
    objects, crowds = every.subset(here & ~ground_truth.crowd), every.boxes[here & ground_truth.crowd]
    overlaps, nearest = _overlaps(own, objects, stage.classes)
    covered = ground_truth.covered[index].expand(stage.classes) & ground_truth.exhaustive[index]
    negative = (overlaps < stage.options.svm.negative) & covered
    if len(crowds) and len(own):
        negative &= (intersection_over_area(own.boxes, crowds).amax(dim=1) <= CROWD)[:, None]
    seed = number if batch.seeds is None else batch.seeds[index]
    return ImageRegions(number, seed, batch, own, objects, overlaps, nearest, negative)


def _overlaps(proposals: Regions, objects: Regions, classes: int) -> tuple[Float[Tensor, "N C"], Int[Tensor, "N C"]]:
    """Return the greatest IoU with an object of each class, and the row of that object; 0 and 0 without one."""
    assert objects.labels is not None
    overlaps = proposals.boxes.new_zeros(len(proposals), classes)
    nearest = torch.zeros_like(overlaps, dtype=torch.int64)
    iou = box_iou(proposals.boxes, objects.boxes)
    for label in torch.unique(objects.labels).tolist():
        rows = (objects.labels == label).nonzero()[:, 0]
        overlaps[:, label], best = iou[:, rows].max(dim=1)
        nearest[:, label] = rows[best]
    return overlaps, nearest


def _check(stage: RCNN, found: Examples) -> None:
    """Raise InputError for classes that no SVM can be fitted for."""
    lacking = [name for name, features in zip(stage.names, found.positives, strict=True) if not features]
    if lacking:
        raise InputError(
            f"rcnn: no SVM can be fitted for {listed(lacking, SHOWN)}: no training image shows such an object (crowds "
            "do not count); remove the class from the data set, add images, or raise fit_images if it is set"
        )
    surrounded = found.negatives.classes.any(dim=0).tolist()
    if lacking := [name for name, some in zip(stage.names, surrounded, strict=True) if not some]:
        raise InputError(
            f"rcnn: no SVM can be fitted for {listed(lacking, SHOWN)}: no proposal is a negative of it; negatives need "
            "images that annotate all objects of the class, and proposals beside them"
        )


def _fit_svms(stage: RCNN, positives: list[Tensor], negatives: Negatives, scale: float) -> None:
    options = stage.options.svm
    for label, own in enumerate(positives):
        others = negatives.features[negatives.classes[:, label]]
        weight, bias = fit_svm(own * scale, others * scale, c=options.c, positive_weight=options.positive_weight)
        stage.svm_weight[label] = weight * scale
        stage.svm_bias[label] = bias


def _fit_regression(stage: RCNN, examples: Examples) -> None:
    options = stage.options.regression
    for label, found in enumerate(examples.regressed):
        own = _drawn(found, options.samples)
        if not own:
            _log.warning(
                "rcnn: no proposal overlaps an object of class %r by %.2f; its boxes are not refined",
                stage.names[label],
                options.overlap,
            )
            continue
        features, offsets = torch.stack([row for _, row, _ in own]), torch.stack([offset for *_, offset in own])
        scale = options.feature_norm / max(_mean_norm([features]), 1e-12)
        weight, bias = fit_ridge(features * scale, offsets, options.strength)
        stage.box_weight[label], stage.box_bias[label] = weight * scale, bias


def _mean_norm(parts: list[Tensor]) -> float:
    return float(torch.cat([part.norm(dim=1) for part in parts]).mean())
