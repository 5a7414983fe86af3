"""Targets of pairs, sampling of pairs, and losses.

Letters: N objects of the batch, G ground-truth objects, K pairs, T related pairs of the ground truth, P predicates, Q =
P + 1 with "no relation" first, B images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from scenekit.keys import OBJECTS, RELATIONS
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.losses import covered_cross_entropy, effective_number, safe_mean
from scenekit.ops.rng import generator
from scenekit.ops.sampling import sample_balanced
from scenekit.structures import Regions
from scenekit.structures.images import ImageBatch
from scenekit_plugins.relations.config import RelationConfig
from scenekit_plugins.relations.counts import PredicateCounts
from scenekit_plugins.relations.pairs import all_pairs, best_of_group

SAME_OBJECT = 0.5
"""Smallest IoU of a region with a ground-truth object that it shows, whatever its label."""


@dataclass(frozen=True, eq=False)
class TargetRelations:
    """Relations of a batch's ground truth, by pairs of rows; relations of an object to itself are left out."""

    codes: Int[Tensor, " T"]
    """Pairs as subject * G + object, ascending and unique."""
    predicates: Bool[Tensor, "T P"]
    """Which predicates hold."""
    labelled: Bool[Tensor, " B"]
    """Images that are annotated with relations."""
    count: int
    """Number of ground-truth objects."""

    @classmethod
    def of(cls, targets: Targets, predicates: int) -> TargetRelations:
        """Collect relations from packed targets, in which each image names rows of its own.

        Args:
            targets: Targets of the batch.
            predicates: Number of predicates.

        Returns:
            The relations.
        """
        regions = targets.streams[OBJECTS].regions
        labelled = targets.valid[RELATIONS]
        columns = [torch.zeros((3, 0), dtype=torch.int64, device=labelled.device)]
        for image, relations in enumerate(targets[RELATIONS]):
            if relations is not None and labelled[image]:
                start = int((regions.image_index < image).sum())
                subject, target = relations.subject + start, relations.object + start
                columns.append(torch.stack((subject, target, relations.predicate)))
        triplets = torch.cat(columns, dim=1)
        subject, target, predicate = triplets[:, triplets[0] != triplets[1]]
        codes, rows = torch.unique(subject * len(regions) + target, return_inverse=True)
        holds = torch.zeros((len(codes), predicates), dtype=torch.bool, device=codes.device)
        holds[rows, predicate] = True
        return cls(codes, holds, labelled, len(regions))

    def between(self, subject: Int[Tensor, " K"], target: Int[Tensor, " K"]) -> Bool[Tensor, "K P"]:
        """Look up the predicates between rows of the ground truth; none for rows of -1.

        Args:
            subject: Rows of the subjects.
            target: Rows of the objects.

        Returns:
            Which predicates hold.
        """
        holds = torch.zeros((len(subject), self.predicates.shape[1]), dtype=torch.bool, device=subject.device)
        if len(self.codes) == 0 or len(subject) == 0:
            return holds
        codes = torch.where((subject >= 0) & (target >= 0), subject * self.count + target, -1)
        place = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        return self.predicates[place] & (self.codes[place] == codes)[:, None]


@dataclass(frozen=True, eq=False)
class PairTargets:
    """Ground truth of some pairs."""

    predicates: Bool[Tensor, "K P"]
    """Which predicates hold."""
    annotated: Bool[Tensor, " K"]
    """Whether the pair is annotated."""

    @classmethod
    def of(
        cls, relations: TargetRelations, objects: Regions, pairs: Int[Tensor, "K 2"], exhaustive: Bool[Tensor, " B"]
    ) -> PairTargets:
        """Return the ground truth of pairs of matched regions.

        Pairs of two regions of one object are unknown, and those of unmatched ones where not all objects are annotated.

        Args:
            relations: Relations of the ground truth.
            objects: Regions with `matched`.
            pairs: Rows of subjects and objects.
            exhaustive: Images in which all objects are annotated.

        Returns:
            The ground truth of the pairs.
        """
        assert objects.matched is not None
        subject, target = objects.matched[pairs].unbind(1)
        image = objects.image_index[pairs[:, 0]]
        matched = (subject >= 0) & (target >= 0)
        annotated = relations.labelled[image] & (matched | exhaustive[image]) & ~(matched & (subject == target))
        return cls(relations.between(subject, target), annotated)

    @property
    def related(self) -> Bool[Tensor, " K"]:
        """Pairs with at least one predicate."""
        return self.predicates.any(dim=1)


def count_pairs(counts: PredicateCounts, relations: TargetRelations, ground_truth: StreamTruth) -> None:
    """Count predicates of every ordered pair of ground-truth objects, without crowds.

    Args:
        counts: Counts that are changed.
        relations: Relations of the ground truth.
        ground_truth: Objects of the ground truth.
    """
    rows = (relations.labelled[ground_truth.regions.image_index] & ~ground_truth.crowd).nonzero()[:, 0]
    pairs = rows[all_pairs(ground_truth.regions.image_index[rows])]
    assert ground_truth.regions.labels is not None
    subject, target = ground_truth.regions.labels[pairs].unbind(1)
    counts.add(subject, target, relations.between(pairs[:, 0], pairs[:, 1]))


def sampled_pairs(
    ground_truth: PairTargets, image: Int[Tensor, " K"], images: ImageBatch, config: RelationConfig, purpose: str
) -> Int[Tensor, " S"]:
    """Sample pairs for training, in each image with its own seed.

    Args:
        ground_truth: Ground truth of the pairs.
        image: Image of each pair.
        images: Images of the batch.
        config: Options of the head.
        purpose: What the random numbers are for.

    Returns:
        Rows of the pairs.
    """
    chosen = [torch.zeros(0, dtype=torch.int64, device=image.device)]
    for index in range(len(images)):
        own = ground_truth.annotated & (image == index)
        source = generator(0 if images.seeds is None else images.seeds[index], purpose)
        count, share = config.pair_samples, config.foreground_fraction
        chosen.append(sample_balanced(own & ground_truth.related, own & ~ground_truth.related, count, share, source))
    return torch.cat(chosen)


def predicate_loss(
    logits: Float[Tensor, "K Q"], predicates: Bool[Tensor, "K P"], counts: PredicateCounts, config: RelationConfig
) -> Float[Tensor, ""]:
    """Compute the mean over pairs of the cross-entropy with the ground truth.

    "softmax": against the predicates that hold in equal shares, or "no relation". "sigmoid": the sum over predicates of
    the binary cross-entropies.

    Args:
        logits: Logits of the predicates.
        predicates: Which predicates hold.
        counts: Counts for weights against the long tail.
        config: Options of the head.

    Returns:
        The loss.
    """
    frequencies = counts.frequencies()
    if config.long_tail == "logit_adjustment":
        logits = logits + config.adjustment * log_prior(frequencies)
    weights = torch.ones_like(frequencies)
    if config.long_tail == "class_balanced":
        weights = balanced_weights(frequencies, config.balance)
    if config.predicates == "sigmoid":
        errors = F.binary_cross_entropy_with_logits(logits[:, 1:], predicates.to(logits), reduction="none")
        return safe_mean((errors * weights[1:]).sum(dim=1))
    columns = torch.cat((~predicates.any(dim=1, keepdim=True), predicates), dim=1).to(logits)
    target = columns / columns.sum(dim=1, keepdim=True)
    return safe_mean(-(target * weights * logits.log_softmax(dim=1)).sum(dim=1))


def log_prior(frequencies: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
    """Compute the log of the share of each class, with one more of each (Menon et al., ICLR 2021, equation 10).

    Args:
        frequencies: Counts of the classes.

    Returns:
        The logarithms.
    """
    return ((frequencies + 1) / (frequencies + 1).sum()).log()


def balanced_weights(frequencies: Float[Tensor, " Q"], beta: float) -> Float[Tensor, " Q"]:
    """Compute (1 - beta) / (1 - beta^n) of each class, of mean 1 (Cui et al., CVPR 2019, equation 7); n is at least 1.

    Args:
        frequencies: Counts n of the classes.
        beta: Beta of the effective number.

    Returns:
        The weights.
    """
    weights = 1 / effective_number(frequencies.clamp(min=1).double(), beta)
    return (weights / weights.mean()).to(frequencies)


def relatedness_loss(logits: Float[Tensor, " M"], ground_truth: PairTargets) -> Float[Tensor, ""]:
    """Compute the binary cross-entropy of whether pairs are related, a mean over annotated pairs.

    Args:
        logits: Logits of relatedness.
        ground_truth: Ground truth of the pairs.

    Returns:
        The loss.
    """
    errors = F.binary_cross_entropy_with_logits(logits, ground_truth.related.to(logits), reduction="none")
    return safe_mean(errors[ground_truth.annotated])


def label_loss(logits: Float[Tensor, "N _"], objects: Regions, ground_truth: StreamTruth) -> Float[Tensor, ""]:
    """Compute the cross-entropy with the label of the object that a region shows, whatever its own label.

    A region without an object, or with one that a better region shows, is background where all objects are annotated.

    Args:
        logits: Logits of the labels, background last.
        objects: The regions.
        ground_truth: Objects of the ground truth.

    Returns:
        The loss.
    """
    labels = shown_labels(objects, ground_truth)
    known = ground_truth.supervised[objects.image_index] & (
        (labels >= 0) | ground_truth.exhaustive[objects.image_index]
    )
    return safe_mean(
        covered_cross_entropy(logits[known], labels[known], ground_truth.covered[objects.image_index[known]])
    )


def shown_labels(objects: Regions, ground_truth: StreamTruth) -> Int[Tensor, " N"]:
    """Return the label of the ground-truth object of greatest IoU, at least `SAME_OBJECT`; -1 without one.

    Of several regions of one object only the one with the best score has its label: the others are duplicates (Hu et
    al., Relation Networks for Object Detection, CVPR 2018).

    Args:
        objects: The regions.
        ground_truth: Objects of the ground truth.

    Returns:
        Label of each region.
    """
    labels = torch.full_like(objects.image_index, -1)
    if len(ground_truth.regions) == 0 or len(objects) == 0:
        return labels
    assert ground_truth.regions.labels is not None
    overlap = box_iou(objects.boxes, ground_truth.regions.boxes)
    possible = (objects.image_index[:, None] == ground_truth.regions.image_index) & ~ground_truth.crowd
    best, row = overlap.masked_fill(~possible, -1.0).max(dim=1)
    showing = (best >= SAME_OBJECT).nonzero()[:, 0]
    score = best if objects.scores is None else objects.scores
    chosen = showing[best_of_group(score[showing], row[showing], 1)]
    return labels.index_put((chosen,), ground_truth.regions.labels[row[chosen]])
