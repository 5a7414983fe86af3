"""Attention among the objects of an image, then among its pairs.

Letters: B images, N objects of the batch, K pairs, L rows of the fullest image, D width, C channels, S side of
pooled features, M side of a mask.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.keys import BOXES3D, MASKS, OBJECTS, Key
from scenekit.model.board import Board
from scenekit.model.head import BACKGROUND, AxisNames, Core, ParameterNames, rows_by_name
from scenekit_plugins.relations.config import RelationConfig, TransformerConfig
from scenekit_plugins.relations.geometry import (
    BOX_NUMBERS,
    PAIR_NUMBERS,
    SOLID_NUMBERS,
    SOLID_PAIR_NUMBERS,
    box_numbers,
    solid_numbers,
    solid_pair_numbers,
    unions,
)
from scenekit_plugins.relations.pairs import place_in_group
from scenekit_plugins.relations.predictor import Graph, PairPredictions, Predictor

MASK_SIDE = 8


class TransformerPredictor(Predictor):
    """A transformer in which objects attend to each other, and pairs to each other and to all objects."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        options, vocabulary = config.transformer, core.vocabulary
        self.objects = ObjectTokens(core, config)
        self.pairs = PairTokens(core, config)
        layer = nn.TransformerEncoderLayer(**_layer_options(options))
        self.object_context = nn.TransformerEncoder(
            layer, options.object_layers, norm=nn.LayerNorm(options.width), enable_nested_tensor=False
        )
        self.pair_context = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**_layer_options(options)), options.pair_layers, norm=nn.LayerNorm(options.width)
        )
        self.predicates = nn.Linear(options.width, len(vocabulary.predicates) + 1)
        self.labels = nn.Linear(options.width, len(vocabulary.things) + 1)
        nn.init.zeros_(self.labels.weight)
        nn.init.zeros_(self.labels.bias)
        self.axis_names: ParameterNames = {
            "objects.label.weight": (AxisNames((*vocabulary.things, BACKGROUND), axis=1),),
            **rows_by_name(
                {
                    "predicates": AxisNames((BACKGROUND, *vocabulary.predicates)),
                    "labels": AxisNames((*vocabulary.things, BACKGROUND)),
                }
            ),
        }

    def forward(self, board: Board, graph: Graph) -> PairPredictions:
        objects = packing(graph.objects.image_index, len(board.images), graph.objects.valid)
        pairs = packing(graph.pair_image, len(board.images), graph.valid)
        context = objects.pack(self.objects(board, graph))
        context = self.object_context(context, src_key_padding_mask=objects.padding)
        node = objects.unpack(context)
        edges = self.pair_context(
            pairs.pack(self.pairs(board, graph, node)),
            context,
            tgt_key_padding_mask=pairs.padding,
            memory_key_padding_mask=objects.padding,
        )
        # The network predicts corrections of the detector's logits.
        known = graph.objects.class_logits
        labels = self.labels(node) if known is None else self.labels(node) + known
        return PairPredictions(self.predicates(pairs.unpack(edges)), labels)


class ObjectTokens(nn.Module):
    """Tokens of objects from RoI features, label and box, and from 3D box and mask if these are inputs."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        options = config.transformer
        self.side, width = config.pooled, options.width
        self.look = nn.Sequential(
            nn.Flatten(), nn.Linear(core.channels * config.pooled**2, width), nn.ReLU(inplace=True)
        )
        self.box = nn.Linear(BOX_NUMBERS, width)
        self.label = nn.Linear(len(core.vocabulary.things) + 1, width, bias=False)
        # Zero at first, so that adding the task to a trained model changes nothing.
        self.solid = _zero_linear(SOLID_NUMBERS, width) if options.boxes3d else None
        self.mask = _zero_linear(MASK_SIDE**2, width) if options.masks else None
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def forward(self, board: Board, graph: Graph) -> Float[Tensor, "N D"]:
        count = len(graph.objects)
        token: Tensor = self.look(board.pool(OBJECTS, size=self.side)) + self.label(graph.classes)
        token = token + self.box(box_numbers(graph.objects, board.images.sizes).to(token))
        if self.solid is not None:
            token = token + self.solid(solid_numbers(_present(board, BOXES3D), count, like=token))
        if self.mask is not None:
            token = token + self.mask(_mask_numbers(_present(board, MASKS), count, like=token))
        mixed: Tensor = token + self.mix(token)
        return mixed


class PairTokens(nn.Module):
    """Tokens of pairs from subject, object, their relative position (in 3D too), and RoI features of the union box."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        width, self.side = config.transformer.width, config.union_pooled
        self.subject, self.object = nn.Linear(width, width), nn.Linear(width, width)
        self.geometry = nn.Sequential(nn.Linear(PAIR_NUMBERS, width), nn.ReLU(inplace=True), nn.Linear(width, width))
        self.solid = _zero_pair_layers(width) if config.transformer.pairs3d else None
        self.union = nn.Sequential(nn.Flatten(), nn.Linear(core.channels * self.side**2, width)) if self.side else None
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, board: Board, graph: Graph, node: Float[Tensor, "N D"]) -> Float[Tensor, "K D"]:
        ends = self.subject(node)[graph.pairs[:, 0]] + self.object(node)[graph.pairs[:, 1]]
        token: Tensor = ends + self.geometry(graph.geometry)
        if self.solid is not None:
            token = token + self.solid(solid_pair_numbers(_present(board, BOXES3D), graph.pairs, like=token))
        if self.union is not None:
            around, rows = unions(graph.objects, graph.pairs)
            token = token + self.union(board.pool(around, size=self.side))[rows]
        mixed: Tensor = token + self.mix(token)
        return mixed


class Packed:
    """Rows of a batch padded to the same number per image; `padding` marks the zeros."""

    def __init__(self, image_index: Int[Tensor, " N"], images: int) -> None:
        self.image_index, self.place = image_index, place_in_group(image_index)
        self.images = images
        self.length = int(self.place.max()) + 1 if len(image_index) else 1
        filled = torch.zeros((images, self.length), dtype=torch.bool, device=image_index.device)
        filled[image_index, self.place] = True
        # Attention over no rows gives NaN: an empty image has one row of zeros.
        filled[:, 0] = True
        self.padding: Bool[Tensor, "B L"] = ~filled

    def pack(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "B L D"]:
        """Pack rows by image.

        Args:
            rows: Rows of the batch.

        Returns:
            The rows of each image, padded with zeros.
        """
        packed = rows.new_zeros((self.images, self.length, rows.shape[1]))
        return packed.index_put((self.image_index, self.place), rows)

    def unpack(self, packed: Float[Tensor, "B L D"]) -> Float[Tensor, "N D"]:
        """Unpack rows; the inverse of `pack`.

        Args:
            packed: Padded rows of each image.

        Returns:
            Rows of the batch.
        """
        return packed[self.image_index, self.place]


class OneImageRows(Packed):
    """Rows of one image, some of which are padding already."""

    def __init__(self, valid: Bool[Tensor, " N"]) -> None:
        # Attention over no rows gives NaN: an empty image has its first row.
        self.padding = ~torch.cat((torch.ones_like(valid[:1]), valid[1:]))[None]

    def pack(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "1 N D"]:
        """Add the dimension of images."""
        return rows[None]

    def unpack(self, packed: Float[Tensor, "1 N D"]) -> Float[Tensor, "N D"]:
        """Remove it."""
        return packed[0]


def packing(image_index: Int[Tensor, " N"], images: int, valid: Bool[Tensor, " N"] | None) -> Packed:
    """Return how rows are packed by image.

    Args:
        image_index: Image of each row.
        images: Number of images.
        valid: Which rows of a single image are no padding; None for rows without padding.

    Returns:
        The packing.
    """
    return Packed(image_index, images) if valid is None else OneImageRows(valid)


def _present(board: Board, key: Key[Any, Any]) -> Any:
    """Return an optional input; None if the model does not have it."""
    return board[key] if key in board else None  # noqa: SIM401 (a board has no `get`)


def _mask_numbers(masks: Float[Tensor, "N M M"] | None, count: int, like: Tensor) -> Float[Tensor, "N _"]:
    """Return masks in the frame of their box at a coarse resolution, minus one half; zeros without the task."""
    if masks is None or count == 0:
        return like.new_zeros((count, MASK_SIDE**2))
    coarse = F.interpolate(masks[:, None].to(like), size=(MASK_SIDE, MASK_SIDE), mode="area")
    return coarse.flatten(1).nan_to_num(0.5) - 0.5


def _zero_linear(numbers: int, width: int) -> nn.Linear:
    layer = nn.Linear(numbers, width, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def _zero_pair_layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(SOLID_PAIR_NUMBERS, width), nn.ReLU(inplace=True), _zero_linear(width, width))


def _layer_options(options: TransformerConfig) -> dict[str, Any]:
    return {
        "d_model": options.width,
        "nhead": options.heads,
        "dim_feedforward": options.feedforward,
        "dropout": options.dropout,
        "batch_first": True,
        "norm_first": True,
    }
