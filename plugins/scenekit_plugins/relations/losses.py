"""What the ground truth says of pairs, which pairs to learn from, and how.

Letters: N objects of the batch, G ground-truth objects, K pairs, T true pairs, P predicates, Q = P + 1 with "no
relation" first, B images.
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
"""IoU from which a region shows a ground-truth object, whatever it was taken for."""


@dataclass(frozen=True, eq=False)
class TrueRelations:
    """The relations of a batch by pairs of ground-truth rows; relations of an object to itself are left out.

    `codes` are subject * G + object, rising and unique; `predicates` all that hold there; `labelled` the images that
    say anything of relations.
    """

    codes: Int[Tensor, " T"]
    predicates: Bool[Tensor, "T P"]
    labelled: Bool[Tensor, " B"]
    count: int

    @classmethod
    def of(cls, targets: Targets, predicates: int) -> TrueRelations:
        """From packed targets, in which each image names rows of its own."""
        regions = targets.streams[OBJECTS].regions
        labelled = targets.valid[RELATIONS]
        columns = [torch.zeros((3, 0), dtype=torch.int64, device=labelled.device)]
        for image, relations in enumerate(targets[RELATIONS]):
            if relations is not None and labelled[image]:
                start = int((regions.image_index < image).sum())
                subject, target = relations.subject + start, relations.object + start
                columns.append(torch.stack((subject, target, relations.predicate)))
        subject, target, predicate = torch.cat(columns, dim=1)[:, _proper(torch.cat(columns, dim=1))]
        codes, rows = torch.unique(subject * len(regions) + target, return_inverse=True)
        holds = torch.zeros((len(codes), predicates), dtype=torch.bool, device=codes.device)
        holds[rows, predicate] = True
        return cls(codes, holds, labelled, len(regions))

    def between(self, subject: Int[Tensor, " K"], target: Int[Tensor, " K"]) -> Bool[Tensor, "K P"]:
        """What holds between rows of the ground truth; nothing for rows of -1."""
        holds = torch.zeros((len(subject), self.predicates.shape[1]), dtype=torch.bool, device=subject.device)
        if len(self.codes) == 0 or len(subject) == 0:
            return holds
        codes = torch.where((subject >= 0) & (target >= 0), subject * self.count + target, -1)
        place = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        return self.predicates[place] & (self.codes[place] == codes)[:, None]


def _proper(rows: Int[Tensor, "3 _"]) -> Bool[Tensor, " _"]:
    return rows[0] != rows[1]


@dataclass(frozen=True, eq=False)
class PairTruth:
    """Of some pairs: which predicates hold, and whether the ground truth says anything of the pair."""

    predicates: Bool[Tensor, "K P"]
    known: Bool[Tensor, " K"]

    @classmethod
    def of(
        cls, true: TrueRelations, objects: Regions, pairs: Int[Tensor, "K 2"], exhaustive: Bool[Tensor, " B"]
    ) -> PairTruth:
        """Pairs of two regions of one object are unknown, and those of unmatched ones where not all is labelled."""
        assert objects.matched is not None
        subject, target = objects.matched[pairs].unbind(1)
        image = objects.image_index[pairs[:, 0]]
        matched = (subject >= 0) & (target >= 0)
        known = true.labelled[image] & (matched | exhaustive[image]) & ~(matched & (subject == target))
        return cls(true.between(subject, target), known)

    @property
    def related(self) -> Bool[Tensor, " K"]:
        """Pairs between which something holds."""
        return self.predicates.any(dim=1)


def count_pairs(counts: PredicateCounts, true: TrueRelations, truth: StreamTruth) -> None:
    """Every ordered pair of objects of the ground truth, groups apart."""
    rows = (true.labelled[truth.regions.image_index] & ~truth.crowd).nonzero()[:, 0]
    pairs = rows[all_pairs(truth.regions.image_index[rows])]
    assert truth.regions.labels is not None
    subject, target = truth.regions.labels[pairs].unbind(1)
    counts.add(subject, target, true.between(pairs[:, 0], pairs[:, 1]))


def sampled_pairs(
    truth: PairTruth, image: Int[Tensor, " K"], images: ImageBatch, config: RelationConfig, purpose: str
) -> Int[Tensor, " S"]:
    """Rows of the pairs to learn from, drawn for each image by its own seed."""
    chosen = [torch.zeros(0, dtype=torch.int64, device=image.device)]
    for index in range(len(images)):
        own = truth.known & (image == index)
        source = generator(0 if images.seeds is None else images.seeds[index], purpose)
        count, share = config.pair_samples, config.foreground_fraction
        chosen.append(sample_balanced(own & truth.related, own & ~truth.related, count, share, source))
    return torch.cat(chosen)


def predicate_loss(
    logits: Float[Tensor, "K Q"], predicates: Bool[Tensor, "K P"], counts: PredicateCounts, config: RelationConfig
) -> Float[Tensor, ""]:
    """Mean over pairs of the cross-entropy with what holds.

    "softmax": against the true predicates in equal shares, or "no relation". "sigmoid": the sum over predicates of the
    binary cross-entropies.
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
    wanted = columns / columns.sum(dim=1, keepdim=True)
    return safe_mean(-(wanted * weights * logits.log_softmax(dim=1)).sum(dim=1))


def log_prior(frequencies: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
    """Log of the share of each class, each seen once more (Menon et al., ICLR 2021, equation 10)."""
    return ((frequencies + 1) / (frequencies + 1).sum()).log()


def balanced_weights(frequencies: Float[Tensor, " Q"], beta: float) -> Float[Tensor, " Q"]:
    """(1 - beta) / (1 - beta^n) of each class, of mean 1 (Cui et al., CVPR 2019, equation 7); seen once at least."""
    weights = 1 / effective_number(frequencies.clamp(min=1).double(), beta)
    return (weights / weights.mean()).to(frequencies)


def relatedness_loss(logits: Float[Tensor, " M"], truth: PairTruth) -> Float[Tensor, ""]:
    """Binary cross-entropy of whether anything holds, mean over the pairs that are known."""
    errors = F.binary_cross_entropy_with_logits(logits, truth.related.to(logits), reduction="none")
    return safe_mean(errors[truth.known])


def label_loss(logits: Float[Tensor, "N _"], objects: Regions, truth: StreamTruth) -> Float[Tensor, ""]:
    """Cross-entropy with the label of the object that a region shows, whatever it was taken for.

    A region that shows none, or one that another shows already, is background where all objects are labelled.
    """
    labels = shown_labels(objects, truth)
    known = truth.supervised[objects.image_index] & ((labels >= 0) | truth.exhaustive[objects.image_index])
    return safe_mean(covered_cross_entropy(logits[known], labels[known], truth.covered[objects.image_index[known]]))


def shown_labels(objects: Regions, truth: StreamTruth) -> Int[Tensor, " N"]:
    """The label of the ground-truth object of greatest IoU, at least `SAME_OBJECT`; -1 where there is none.

    Of several regions that show one object only that with the best score has its label: in the light of the others, the
    rest are duplicates (Hu et al., Relation Networks for Object Detection, CVPR 2018).
    """
    labels = torch.full_like(objects.image_index, -1)
    if len(truth.regions) == 0 or len(objects) == 0:
        return labels
    assert truth.regions.labels is not None
    overlap = box_iou(objects.boxes, truth.regions.boxes)
    possible = (objects.image_index[:, None] == truth.regions.image_index) & ~truth.crowd
    best, row = overlap.masked_fill(~possible, -1.0).max(dim=1)
    showing = (best >= SAME_OBJECT).nonzero()[:, 0]
    score = best if objects.scores is None else objects.scores
    chosen = showing[best_of_group(score[showing], row[showing], 1)]
    return labels.index_put((chosen,), truth.regions.labels[row[chosen]])
