"""Classes that the same images cover, in groups with an objectness each.

An anchor in an image of KITTI may lie on a chair without an annotation. As an object of the classes that KITTI
covers it is a negative, as one of the classes that COCO covers besides it is none. So there is an objectness for each
group of classes that the same images cover, whose negatives are from these images alone. Classes that no image covers
exhaustively share the last objectness; nothing says what is background for them, so every exhaustive image does.

Letters: B images, C classes, G groups, S sampled anchors.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from scenekit.data.sample import Supervision
from scenekit.detection.config import DetectorConfig
from scenekit.keys import OBJECTS
from scenekit.model.head import AxisNames
from scenekit.model.targets import StreamTruth

MOST = 16
"""Number of groups above which images differ too much to be grouped, as where each names its own classes."""

REST = "(all other classes)"
"""Name of the group of the classes that no group names."""


def coverage_groups(claims: Iterable[Supervision]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of classes that the same images cover exhaustively.

    Where images differ too much, as in a federated data set, only what several of them cover alike counts.

    Args:
        claims: What images of the training data supervise, with named classes.

    Returns:
        The groups, the largest first; none where one objectness is enough: every image covers the same, or no two do.
    """
    known = [it for it in claims if OBJECTS in it.streams]
    every = frozenset[str]().union(*(it.classes or () for it in known))
    images = Counter(it.classes or frozenset() for it in known if OBJECTS in it.exhaustive)
    for least in (1, 2):
        whole = [covered for covered, count in images.items() if count >= least]
        covered = frozenset[str]().union(*whole)
        groups: dict[tuple[bool, ...], list[str]] = defaultdict(list)
        for name in sorted(covered):
            groups[tuple(name in each for each in whole)].append(name)
        if len(groups) <= MOST:
            alike = len(groups) < 2 and every == covered
            return () if alike else tuple(sorted(map(tuple, groups.values()), key=lambda it: (-len(it), it)))
    return ()


def grouped(config: DetectorConfig, claims: Iterable[Supervision]) -> DetectorConfig:
    """Return the options of the detector with the groups of its data.

    Args:
        config: Options of the detector.
        claims: What images of the training data supervise, with named classes.

    Returns:
        The changed options.
    """
    return config.model_copy(update={"rpn": config.rpn.model_copy(update={"groups": coverage_groups(claims)})})


class ObjectnessGroups(nn.Module):
    """The groups of the classes of a stream: one for all of them where none is named.

    Args:
        classes: Names of the classes.
        groups: Groups of them; names that are none of the classes are skipped.
    """

    needed: Bool[Tensor, "G C"]
    """Classes that an image covers if it has negatives of a group."""
    group_of: Int[Tensor, " C"]
    """The group of each class."""

    def __init__(self, classes: Sequence[str], groups: Sequence[Sequence[str]]) -> None:
        super().__init__()
        named = [frozenset(group) & frozenset(classes) for group in groups]
        self.members = tuple(group for group in named if group)
        if not self.members or frozenset(classes) - frozenset().union(*self.members):
            self.members = (*self.members, frozenset())
        needed = [[name in group for name in classes] for group in self.members]
        place = {name: place for place, group in enumerate(self.members) for name in group}
        group_of = [place.get(name, len(self.members) - 1) for name in classes]
        self.register_buffer("needed", torch.tensor(needed).view(len(self.members), len(classes)), persistent=False)
        self.register_buffer("group_of", torch.tensor(group_of, dtype=torch.int64), persistent=False)

    def __len__(self) -> int:
        return len(self.members)

    def axis_names(self, each: int) -> AxisNames:
        """Return what the outputs of a layer stand for that has some for each group.

        Args:
            each: Outputs of a group.

        Returns:
            The groups, so that a model with others takes over the one that has the most of their classes.
        """
        names = tuple(", ".join(sorted(group)) or REST for group in self.members)
        return AxisNames(names, each=each, members=self.members)

    def complete(self, ground_truth: StreamTruth) -> Bool[Tensor, "B G"]:
        """Return of which groups every instance in an image is annotated.

        Args:
            ground_truth: Ground truth of the stream.

        Returns:
            Whether each image has negatives of each group.
        """
        if len(self) == 1 and not self.members[0]:
            return ground_truth.exhaustive[:, None]
        lacking = (self.needed & ~ground_truth.covered[:, None]).any(dim=2)
        return ground_truth.exhaustive[:, None] & ~lacking

    def positives(self, ground_truth: StreamTruth, matched: Int[Tensor, " S"]) -> Bool[Tensor, "S G"]:
        """Return of which group each anchor is a positive.

        Args:
            ground_truth: Ground truth of the stream.
            matched: Row of the ground truth of each anchor, -1 for background.

        Returns:
            True for one group of each matched anchor.
        """
        found = torch.zeros(len(matched), len(self), dtype=torch.bool, device=matched.device)
        rows = (matched >= 0).nonzero()[:, 0]
        labels = ground_truth.regions.labels
        if len(self) == 1 or labels is None:
            found[rows] = True
        else:
            found[rows, self.group_of[labels[matched[rows]]]] = True
        return found
