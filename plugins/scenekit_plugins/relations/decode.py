"""Ranked relations of each image from predicted logits.

Letters: N objects of the batch, C things, K pairs of one image, Q predicates with "no relation" first.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.structures import Regions, Relations
from scenekit_plugins.relations.predictor import Graph
from scenekit_plugins.relations.triplets import best_labels, ranked, suppressed_labels, suppressed_labels_of_valid

Labels = tuple[Int[Tensor, " N"], Float[Tensor, " N"]]
"""Labels of objects, and their scores."""


def best_relations(
    scores: Float[Tensor, " N"], pairs: Int[Tensor, "K 2"], probabilities: Float[Tensor, "K Q"], limit: int
) -> Relations:
    """Return the best triplets of one image, by score of subject * predicate * object, best first.

    Args:
        scores: Scores of the objects.
        pairs: Rows of subjects and objects.
        probabilities: Probabilities of the predicates.
        limit: Number of triplets.

    Returns:
        The relations.
    """
    best = ranked(scores, pairs, probabilities)
    subject, target = best.pairs[:limit].unbind(1)
    return Relations(subject, target, best.predicate[:limit] - 1, best.score[:limit], best.probabilities[:limit, 1:])


def best_of_padded(
    scores: Float[Tensor, " N"], graph: Graph, probabilities: Float[Tensor, "K Q"], limit: int, labels: Labels | None
) -> Relations:
    """Return the best triplets of one image with a fixed number of objects, in rows of the regions they are taken from.

    Args:
        scores: Scores of the objects.
        graph: The objects, some of them padding, and the pairs.
        probabilities: Probabilities of the predicates.
        limit: Number of triplets.
        labels: New labels of the objects and their scores.

    Returns:
        The relations; those of padding come last, with a score and probabilities of 0, and rows of -1.
    """
    valid = graph.objects.valid
    assert valid is not None
    if labels is not None:
        labels = labels[0].where(valid, -1), labels[1].where(valid, 0.0)
    found = best_relations(scores.where(valid, 0.0), graph.pairs, probabilities, limit)
    named = named_by_root(found, graph.objects, labels)
    there = valid[found.subject] & valid[found.object]
    columns = {name: getattr(named, name).where(there, -1) for name in ("subject", "object", "predicate")}
    assert named.probabilities is not None
    return replace(named, **columns, probabilities=named.probabilities.where(there[:, None], 0.0))


def named_by_root(relations: Relations, objects: Regions, labels: Labels | None) -> Relations:
    """Convert relations between rows of a subset of regions to relations between rows of the regions it is taken from.

    Args:
        relations: Relations of the subset.
        objects: The subset.
        labels: New labels of the subset and their scores.

    Returns:
        The relations; new labels are -1 for regions outside of the subset.
    """
    rows = objects.root_rows
    moved = replace(relations, subject=rows[relations.subject], object=rows[relations.object])
    if labels is None:
        return moved
    names, scores = labels
    full_names = names.new_full((len(objects.root),), -1).index_put((rows,), names)
    full_scores = scores.new_zeros(len(objects.root)).index_put((rows,), scores)
    return replace(moved, labels=full_names, label_scores=full_scores)


def known_labels(objects: Regions) -> Labels:
    """Return the labels and scores of regions; without scores they are 1.

    Args:
        objects: The regions.

    Returns:
        Labels and scores.
    """
    assert objects.labels is not None
    scores = torch.ones_like(objects.boxes[:, 0]) if objects.scores is None else objects.scores
    return objects.labels, scores


def new_labels(objects: Regions, logits: Float[Tensor, "N _"], distinct: bool) -> Labels:
    """Return the most probable label of each object and its probability.

    Unless the objects are distinct, those of one label must not overlap, as in Scene-Graph-Benchmark for detections;
    one without a remaining label keeps its own.

    Args:
        objects: The objects.
        logits: Logits of their labels, background last.
        distinct: Whether the objects are known to be different ones.

    Returns:
        Labels and scores.
    """
    shares = logits.float().softmax(dim=1)
    shares = torch.cat((torch.zeros_like(shares[:, :1]), shares[:, :-1]), dim=1)  # background first, and impossible
    labels = best_labels(shares) - 1
    if not distinct and objects.class_boxes is not None and objects.labels is not None:
        boxes = torch.cat((objects.boxes[:, None], objects.class_boxes), dim=1)
        if objects.valid is not None:
            labels = suppressed_labels_of_valid(shares, boxes, objects.valid) - 1
        else:
            for image in set(objects.image_index.tolist()):
                rows = (objects.image_index == image).nonzero()[:, 0]
                labels[rows] = suppressed_labels(shares[rows], boxes[rows]) - 1
        labels = torch.where(labels < 0, objects.labels, labels)
    return labels, shares.gather(1, labels[:, None] + 1)[:, 0]
