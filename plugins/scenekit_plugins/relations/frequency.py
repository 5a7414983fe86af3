"""The baseline of every evaluation: frequencies of predicates between two labels, without a network.

Zellers et al., Neural Motifs, CVPR 2018, section 5. Letters: C things, Q predicates with "no relation".
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from scenekit_plugins.relations.counts import PredicateCounts


def frequency_logits(
    counts: PredicateCounts, labels: Int[Tensor, " N"], pairs: Int[Tensor, "K 2"], exclusive: bool = True
) -> Float[Tensor, "K Q"]:
    """Compute logits of the smoothed share of each predicate between the labels of each pair.

    Args:
        counts: Counts of predicates.
        labels: Labels of the objects.
        pairs: Rows of subjects and objects.
        exclusive: Whether the softmax of the logits is the share; otherwise the sigmoid of each is.

    Returns:
        The logits.
    """
    subject, target = labels[pairs].unbind(1)
    shares = counts.probabilities()[subject, target]
    return shares.log() if exclusive else shares.logit()
