"""R-CNN: linear SVMs and box regression on the features of warped crops.

Girshick et al., Rich feature hierarchies for accurate object detection and semantic segmentation, 2014.

Letters: N regions of the batch, C foreground classes, K = C + 1 with background, D features of the SVMs, E features of
box regression.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.detection.crops.config import RCNNConfig
from scenekit.detection.crops.stage import CropStage
from scenekit.detection.proposals import proposals_at_test
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core
from scenekit.structures.regions import Regions


class RCNN(CropStage):
    """The second stage of R-CNN.

    The gradient steps fine-tune its network with a softmax over classes and background. Then `fit_rcnn` fits an SVM and
    a box regression per class, which are buffers; until then it detects with the softmax and moves no box. The score of
    a margin m is the sigmoid of `svm.slope` times m.

    Args:
        core: Vocabulary and input of the model.
        config: Options of the detector.
    """

    fitted: Tensor
    """Whether SVMs and box regression are fitted."""
    svm_weight: Float[Tensor, "C D"]
    """Normals of the hyperplanes."""
    svm_bias: Float[Tensor, " C"]
    """Their biases."""
    box_weight: Float[Tensor, "C 4 E"]
    """Weights of the regression of each offset."""
    box_bias: Float[Tensor, "C 4"]
    """Their biases."""

    def __init__(self, core: Core, config: RCNNConfig) -> None:
        super().__init__(core, config)
        self.options = config
        self.proposals_at_test = proposals_at_test(config.proposals)
        classes, net = self.classes, self.net
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("svm_weight", torch.zeros(classes, net.dim))
        self.register_buffer("svm_bias", torch.zeros(classes))
        self.register_buffer("box_weight", torch.zeros(classes, 4, net.trunk_dim))
        self.register_buffer("box_bias", torch.zeros(classes, 4))
        rows = (AxisNames(self.names),)
        buffers = ("svm_weight", "svm_bias", "box_weight", "box_bias")
        self.axis_names = {**self.axis_names, **dict.fromkeys(buffers, rows)}

    def predict(self, board: Board, regions: Regions) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute logits and offsets of regions: of the SVMs `svm.slope` times the margins, and 0 for background.

        Args:
            board: The board with the images.
            regions: The regions.

        Returns:
            Logits and offsets.
        """
        if not self.fitted:
            return super().predict(board, regions)
        self.count(board, regions)
        features = self.net(board.images.pixels, regions)
        margins = self.margins(features.top)
        deltas = torch.einsum("ne,cke->nck", features.trunk.float(), self.box_weight.float()) + self.box_bias
        return torch.nn.functional.pad(self.options.svm.slope * margins, (0, 1)), deltas.float()

    def margins(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Compute the margins of the SVMs.

        Args:
            features: Features of regions.

        Returns:
            The margins: positive on the side of the class, at least 1 beyond the margin.
        """
        return features.float() @ self.svm_weight.float().T + self.svm_bias.float()

    def scores(self, logits: Float[Tensor, "N K"]) -> Float[Tensor, "N C"]:
        """Return the score of each class, 0 to 1: the sigmoid of its logit, or before the SVMs its probability.

        Args:
            logits: What `predict` returned.

        Returns:
            Scores without that of background.
        """
        return logits[:, :-1].sigmoid() if self.fitted else super().scores(logits)
