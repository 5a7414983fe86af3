"""A detector of one stage, as a plugin would bring it: every cell of a grid is an object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from scenekit.detection import DetectorConfig, build_pooler
from scenekit.hooks import Config, DetectorSpec, Origin, registry
from scenekit.keys import FEATURES, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import Targets
from scenekit.structures import Regions


class Grid(Provider):
    """Labels pooled features by one linear layer; with targets its regions are the ground-truth boxes."""

    name, requires, provides = "grid", (FEATURES,), (OBJECTS,)

    def __init__(self, core: Core, keeps_given: bool) -> None:
        super().__init__()
        self.pooler = build_pooler(DetectorConfig())
        self.classify = nn.Linear(core.channels, len(core.vocabulary.things))
        self.keeps_given = keeps_given

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        if OBJECTS in board.given and self.keeps_given:
            regions = board.given[OBJECTS]
        elif targets is not None:
            truth = targets.streams[OBJECTS].regions
            regions = replace(truth, matched=torch.arange(len(truth)), labels=None)
        else:
            regions = self.cells(board)
        logits = self.classify(board.pool(regions, 7).mean((2, 3)))
        scores, labels = logits.softmax(1).max(1)
        whole = replace(regions, scores=scores.detach(), labels=labels, parent=regions.root, rows=regions.root_rows)
        board.put(OBJECTS, whole)
        if targets is None:
            return {}
        return {"label": nn.functional.cross_entropy(logits, targets.streams[OBJECTS].regions.labels)}

    def cells(self, board: Board) -> Regions:
        """A box of 16 x 16 pixels at every place."""
        height, width = board.images.padded_size
        corners = torch.cartesian_prod(torch.arange(0, width, 16), torch.arange(0, height, 16)).float()
        boxes = torch.cat((corners, corners + 16), 1).repeat(len(board.images), 1)
        return Regions(boxes, torch.arange(len(board.images)).repeat_interleave(len(corners)))


@contextmanager
def installed(keeps_given: bool = True) -> Iterator[None]:
    """The detector `grid` among those that are installed."""
    spec = DetectorSpec("grid", "a cell an object", lambda core, _: [Grid(core, keeps_given)], Config)
    known = registry().records["detector"]
    known["grid"] = [(spec, Origin("grid", "scenekit-grid", "0.1"))]
    try:
        yield
    finally:
        del known["grid"]
