"""Which ordered pairs of objects are worth a look.

Letters: N objects of the batch, M candidate pairs, K pairs that are kept, C things, G numbers of a pair's geometry.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.head import BACKGROUND, AxisNames, ParameterNames
from scenekit_plugins.relations.geometry import PAIR_NUMBERS

EMBEDDED, HIDDEN = 16, 64


def all_pairs(image_index: Int[Tensor, " N"]) -> Int[Tensor, "M 2"]:
    """Every ordered pair (subject, object) of different objects of one image."""
    same = image_index[:, None] == image_index
    same = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    return same.nonzero()


def place_in_group(group: Int[Tensor, " M"]) -> Int[Tensor, " M"]:
    """Of each row how many rows of its group come before it."""
    order = group.argsort(stable=True)
    grouped = group[order].contiguous()
    places = torch.arange(len(group), device=group.device) - torch.searchsorted(grouped, grouped)
    return torch.empty_like(places).scatter_(0, order, places)


def best_of_group(score: Float[Tensor, " M"], group: Int[Tensor, " M"], limit: int) -> Int[Tensor, " K"]:
    """Rows of the `limit` best of each group, group by group and best first; of equal ones the first."""
    order = score.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    return order[place_in_group(group[order]) < limit]


class PairScorer(nn.Module):
    """How likely two objects relate at all, from their labels and boxes alone: cheap enough for every pair.

    The relation proposals of Yang et al., Graph R-CNN, ECCV 2018, with geometry.
    """

    def __init__(self, things: tuple[str, ...]) -> None:
        super().__init__()
        self.subject = nn.Linear(len(things) + 1, EMBEDDED, bias=False)
        self.object = nn.Linear(len(things) + 1, EMBEDDED, bias=False)
        self.net = nn.Sequential(
            nn.Linear(2 * EMBEDDED + PAIR_NUMBERS, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, 1)
        )
        labels = (AxisNames((*things, BACKGROUND), axis=1),)
        self.axis_names: ParameterNames = {"subject.weight": labels, "object.weight": labels}

    def forward(
        self, classes: Float[Tensor, "N _"], pairs: Int[Tensor, "M 2"], geometry: Float[Tensor, "M G"]
    ) -> Float[Tensor, " M"]:
        """Logits of relatedness; `classes` are probabilities of the labels, background last."""
        subject, target = self.subject(classes)[pairs[:, 0]], self.object(classes)[pairs[:, 1]]
        logits: Tensor = self.net(torch.cat((subject, target, geometry), dim=1))
        return logits[:, 0]
