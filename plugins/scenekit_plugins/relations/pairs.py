"""Selection of ordered pairs of objects.

Letters: N objects of the batch, M candidate pairs, K selected pairs, C things, G numbers of a pair's geometry.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.head import BACKGROUND, AxisNames, ParameterNames
from scenekit_plugins.relations.geometry import PAIR_NUMBERS

EMBEDDED, HIDDEN = 16, 64


def all_pairs(image_index: Int[Tensor, " N"]) -> Int[Tensor, "M 2"]:
    """Return every ordered pair (subject, object) of different objects of one image.

    Args:
        image_index: Image of each object.

    Returns:
        Rows of subjects and objects.
    """
    same = image_index[:, None] == image_index
    same = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    return same.nonzero()


def pairs_of_one(count: int, device: torch.device) -> Int[Tensor, "M 2"]:
    """Return every ordered pair of different objects of a single image.

    Args:
        count: Number of objects.
        device: Where the result is to be.

    Returns:
        Rows of subjects and objects.
    """
    places = torch.arange(count * (count - 1), device=device)
    subject, target = places // max(count - 1, 1), places % max(count - 1, 1)
    return torch.stack((subject, target + (target >= subject)), dim=1)


def place_in_group(group: Int[Tensor, " M"]) -> Int[Tensor, " M"]:
    """Count the preceding rows of each row's group.

    Args:
        group: Group of each row.

    Returns:
        The counts.
    """
    order = group.argsort(stable=True)
    grouped = group[order].contiguous()
    places = torch.arange(len(group), device=group.device) - torch.searchsorted(grouped, grouped)
    return torch.empty_like(places).scatter_(0, order, places)


def best_of_group(score: Float[Tensor, " M"], group: Int[Tensor, " M"], limit: int) -> Int[Tensor, " K"]:
    """Return the best rows of each group, group by group and best first; of equal ones the first.

    Args:
        score: Score of each row.
        group: Group of each row.
        limit: Number of rows per group.

    Returns:
        The rows.
    """
    order = score.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    return order[place_in_group(group[order]) < limit]


class PairScorer(nn.Module):
    """A network that scores whether objects are related, from labels and boxes only: cheap enough for every pair.

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
        """Compute logits of relatedness; `classes` are probabilities of the labels, background last."""
        subject, target = self.subject(classes)[pairs[:, 0]], self.object(classes)[pairs[:, 1]]
        logits: Tensor = self.net(torch.cat((subject, target, geometry), dim=1))
        return logits[:, 0]
