"""Classification of regions by a network on their warped crops.

Letters: N regions of the batch, C foreground classes, K = C + 1 with background.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.detection.crops.config import CropDetectorConfig
from scenekit.detection.crops.network import CropNet
from scenekit.detection.pooler import RoIPooler
from scenekit.detection.region_stage import RegionStage
from scenekit.keys import IMAGES, OBJECTS, PROPOSALS
from scenekit.model.board import Board
from scenekit.model.build import build_network
from scenekit.model.head import BACKGROUND, AxisNames, Core, rows_by_name, unlabelled_loss
from scenekit.model.targets import StreamTruth
from scenekit.ops.losses import covered_cross_entropy, safe_mean
from scenekit.structures.regions import Regions


class CropStage(RegionStage):
    """Softmax over classes and background on warped crops, without box regression; its loss is `classification`.

    The network is its own: each region is a forward pass. Heads of tasks pool from the shared pyramid, if there is one.

    Args:
        core: Vocabulary and input of the model.
        config: Options of the detector.

    Attributes:
        passes: Forward passes of the network per image in the latest batch, the mean over its images.
    """

    passes: float = 0.0

    def __init__(self, core: Core, config: CropDetectorConfig) -> None:
        super().__init__(core, config.detection, OBJECTS, PROPOSALS)
        self.requires = (IMAGES, PROPOSALS)
        self.pooler = RoIPooler(config.pooler)
        self.net = CropNet(build_network(config.trunk, core.input, "model.detector_options.trunk"), config.crops)
        self.classification = nn.Linear(self.net.dim, self.classes + 1)
        nn.init.normal_(self.classification.weight, std=0.01)
        nn.init.zeros_(self.classification.bias)
        self.axis_names = rows_by_name({"classification": AxisNames((*self.names, BACKGROUND))})

    def predict(self, board: Board, regions: Regions) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute class logits of regions, and offsets of zero.

        Args:
            board: The board with the images.
            regions: The regions.

        Returns:
            Logits and offsets.
        """
        logits = self.classify(board, regions)
        return logits, regions.boxes.new_zeros(len(regions), self.classes, 4)

    def classify(self, board: Board, regions: Regions) -> Float[Tensor, "N K"]:
        """Compute class logits of regions.

        Args:
            board: The board with the images.
            regions: The regions.

        Returns:
            The logits, background last.
        """
        self.count(board, regions)
        logits: Tensor = self.classification(self.net(board.images.pixels, regions).top)
        return logits.float()

    def count(self, board: Board, regions: Regions) -> None:
        """Count forward passes.

        Args:
            board: The board with the images.
            regions: Regions whose crops go through the network.
        """
        self.passes = len(regions) / max(len(board.images), 1)

    def learn(self, board: Board, regions: Regions, ground_truth: StreamTruth) -> tuple[Regions, dict[str, Tensor]]:
        """Compute the mean of cross-entropy by coverage.

        Args:
            board: The board with the images.
            regions: Sampled regions with `labels` and `matched`.
            ground_truth: Ground truth of the stream.

        Returns:
            The regions, and the loss `classification`.
        """
        if len(regions) == 0:
            return regions, {"classification": unlabelled_loss(self)["unlabelled"]}
        assert regions.labels is not None
        covered = ground_truth.covered[regions.image_index].expand(-1, self.classes)
        loss = covered_cross_entropy(self.classify(board, regions), regions.labels, covered)
        return regions, {"classification": safe_mean(loss)}
