"""The three networks of Mesh R-CNN: voxels, depth extent, and refinement of meshes.

Letters: N regions, C channels, S pooled side, D cells a side, K classes (1 where all share one), V vertices of all
meshes, F features of a vertex.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.structures import Meshes
from scenekit_plugins.layers import Convolutions, init_for_relu
from scenekit_plugins.meshes.ops import GraphConv, SubdivideMeshes, vert_align


class VoxelNetwork(nn.Module):
    """Convolutions, a deconvolution, and a 1x1 convolution whose channels are the cells along the depth."""

    def __init__(
        self, channels: int, width: int, convs: int, cells: int, classes: int, norm_groups: int | None
    ) -> None:
        super().__init__()
        self.classes, self.cells = classes, cells
        widths = (channels, *(width,) * convs)
        self.convs = Convolutions(*(_conv(before, after, norm_groups) for before, after in pairwise(widths)))
        self.deconv = nn.ConvTranspose2d(widths[-1], width, kernel_size=2, stride=2)
        self.predictor = nn.Conv2d(width, classes * cells, kernel_size=1)
        init_for_relu(self)
        nn.init.normal_(self.predictor.weight, std=0.001)

    def forward(self, features: Float[Tensor, "N C S S"], labels: Int[Tensor, " N"]) -> Float[Tensor, "N D _ _"]:
        """Compute logits (z, y, x) for each region's own class only, or for the one that all share."""
        hidden: Tensor = F.relu(self.deconv(self.convs(features)))
        rows = labels if self.classes > 1 else torch.zeros_like(labels)
        assert self.predictor.bias is not None
        weight, bias = (
            part.reshape(self.classes, self.cells, -1)[rows] for part in (self.predictor.weight, self.predictor.bias)
        )
        flat = torch.baddbmm(bias, weight, hidden.flatten(2))
        return flat.reshape(flat.shape[0], self.cells, *hidden.shape[2:])


def _conv(before: int, after: int, norm_groups: int | None) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=norm_groups is None)
    return nn.Sequential(conv, *([nn.GroupNorm(norm_groups, after)] if norm_groups else []), nn.ReLU())


class ExtentNetwork(nn.Module):
    """Fully connected layers to the logarithm of the depth extent."""

    def __init__(self, inputs: int, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        pairs = pairwise((inputs, *widths))
        self.fcs = nn.Sequential(*(nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairs))
        self.predictor = nn.Linear(widths[-1] if widths else inputs, classes)
        nn.init.normal_(self.predictor.weight, std=0.001)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, features: Float[Tensor, "N C S S"]) -> Float[Tensor, "N K"]:
        logs: Tensor = self.predictor(self.fcs(features.flatten(1)))
        return logs


class RefinementStage(nn.Module):
    """A stage that moves each vertex by image features at its projection and features of its neighbors."""

    def __init__(self, channels: int, known: int, width: int, convs: int) -> None:
        super().__init__()
        self.bottleneck = nn.Linear(channels, width)
        inputs = (known + width + 3, *(width + 3,) * (convs - 1))
        self.gconvs = nn.ModuleList(GraphConv(size, width, init="normal", directed=False) for size in inputs)
        self.offset = nn.Linear(width + 3, 3)
        nn.init.normal_(self.bottleneck.weight, std=0.01)
        nn.init.zeros_(self.bottleneck.bias)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(
        self, features: Float[Tensor, "N C S S"], meshes: Meshes, known: Float[Tensor, "V _"] | None
    ) -> tuple[Meshes, Float[Tensor, "V F"]]:
        """Return the moved meshes and the features of their vertices; `known` are those of the previous stage."""
        # A linear layer before interpolation is the same as after it, and there are fewer pixels than vertices.
        narrow = self.bottleneck(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        # In full precision: half precision would sample the features beside the vertices.
        aligned = vert_align(narrow.float(), meshes, return_packed=True, padding_mode="border", align_corners=True)
        aligned = F.relu(aligned.to(narrow.dtype))
        places = meshes.verts.to(aligned.dtype)
        state = torch.cat([part for part in (known, aligned, places) if part is not None], dim=1)
        for conv in self.gconvs:
            state = torch.cat((F.relu_(conv(state, meshes)), places), dim=1)
        moved = meshes.with_verts(meshes.verts + torch.tanh(self.offset(state)).float())
        return moved, state[:, :-3]


class Refinement(nn.Module):
    """Refinement stages, which may have faces split in four between them."""

    def __init__(self, channels: int, width: int, stages: int, convs: int, subdivide: bool) -> None:
        super().__init__()
        known = [0, *(width,) * (stages - 1)] if stages else []
        self.stages = nn.ModuleList(RefinementStage(channels, size, width, convs) for size in known)
        self.subdivide = SubdivideMeshes() if subdivide else None

    def forward(self, features: Float[Tensor, "N C S S"], meshes: Meshes) -> tuple[Meshes, ...]:
        """Return the meshes after each stage."""
        features = features.contiguous(memory_format=torch.channels_last)
        done: list[Meshes] = []
        known = None
        for stage in self.stages:
            if done and self.subdivide is not None:
                meshes, known = self.subdivide(meshes, known)
            meshes, known = stage(features, meshes, known)
            done.append(meshes)
        return tuple(done)
