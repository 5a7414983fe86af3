"""The baseline that every table must show: how often each predicate held between two labels, and no network.

Zellers et al., Neural Motifs, CVPR 2018, section 5. Letters: C things, Q predicates with "no relation".
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from scenekit_plugins.relations.counts import PredicateCounts


def frequency_logits(
    counts: PredicateCounts, labels: Int[Tensor, " N"], pairs: Int[Tensor, "K 2"], exclusive: bool = True
) -> Float[Tensor, "K Q"]:
    """Logits that stand for the smoothed share of each predicate between the labels of each pair.

    `exclusive`: their softmax is the share; else the sigmoid of each is.
    """
    subject, target = labels[pairs].unbind(1)
    shares = counts.probabilities()[subject, target]
    return shares.log() if exclusive else shares.logit()
