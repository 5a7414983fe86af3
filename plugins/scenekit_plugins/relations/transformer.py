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
from scenekit_plugins.relations.predictor import Graph, Judgement, Predictor

MASK_SIDE = 8


class TransformerPredictor(Predictor):
    """Objects know each other before pairs are formed; pairs know each other and all objects before they are judged."""

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

    def forward(self, board: Board, graph: Graph) -> Judgement:
        objects = Packed(graph.objects.image_index, len(board.images))
        pairs = Packed(graph.pair_image, len(board.images))
        seen = objects.pack(self.objects(board, graph))
        seen = self.object_context(seen, src_key_padding_mask=objects.padding)
        node = objects.unpack(seen)
        judged = self.pair_context(
            pairs.pack(self.pairs(board, graph, node)),
            seen,
            tgt_key_padding_mask=pairs.padding,
            memory_key_padding_mask=objects.padding,
        )
        # What the detector said of the labels stands unless the context speaks against it.
        known = graph.objects.class_logits
        labels = self.labels(node) if known is None else self.labels(node) + known
        return Judgement(self.predicates(pairs.unpack(judged)), labels)


class ObjectTokens(nn.Module):
    """What each object looks like, is called and where it is; and its 3D box and mask, where they are looked at."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        options = config.transformer
        self.side, width = config.pooled, options.width
        self.look = nn.Sequential(
            nn.Flatten(), nn.Linear(core.channels * config.pooled**2, width), nn.ReLU(inplace=True)
        )
        self.box = nn.Linear(BOX_NUMBERS, width)
        self.label = nn.Linear(len(core.vocabulary.things) + 1, width, bias=False)
        # Zero at first, so that a model that gets the task later goes on as before.
        self.solid = _silent(SOLID_NUMBERS, width) if options.boxes3d else None
        self.mask = _silent(MASK_SIDE**2, width) if options.masks else None
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
    """Subject, object, how they lie to each other (in space too), and what the box around both looks like."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        width, self.side = config.transformer.width, config.union_pooled
        self.subject, self.object = nn.Linear(width, width), nn.Linear(width, width)
        self.geometry = nn.Sequential(nn.Linear(PAIR_NUMBERS, width), nn.ReLU(inplace=True), nn.Linear(width, width))
        self.solid = _silent_pairs(width) if config.transformer.pairs3d else None
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
    """Rows of a batch side by side by image: `pack` fills up with zeros, which `padding` marks."""

    def __init__(self, image_index: Int[Tensor, " N"], pictures: int) -> None:
        self.image_index, self.place = image_index, place_in_group(image_index)
        self.pictures = pictures
        self.length = int(self.place.max()) + 1 if len(image_index) else 1
        filled = torch.zeros((pictures, self.length), dtype=torch.bool, device=image_index.device)
        filled[image_index, self.place] = True
        # Somebody must be there to look at, or attention gives NaN: in an empty image it is a zero.
        filled[:, 0] = True
        self.padding: Bool[Tensor, "B L"] = ~filled

    def pack(self, rows: Float[Tensor, "N D"]) -> Float[Tensor, "B L D"]:
        """Zeros, and the rows in their places."""
        packed = rows.new_zeros((self.pictures, self.length, rows.shape[1]))
        return packed.index_put((self.image_index, self.place), rows)

    def unpack(self, packed: Float[Tensor, "B L D"]) -> Float[Tensor, "N D"]:
        """The rows out of their places."""
        return packed[self.image_index, self.place]


def _present(board: Board, key: Key[Any, Any]) -> Any:
    """What the model has of an optional input, else None."""
    return board[key] if key in board else None  # noqa: SIM401 (a board has no `get`)


def _mask_numbers(masks: Float[Tensor, "N M M"] | None, count: int, like: Tensor) -> Float[Tensor, "N _"]:
    """Masks in the frame of their box at a coarse resolution, less one half; zeros where the model has none."""
    if masks is None or count == 0:
        return like.new_zeros((count, MASK_SIDE**2))
    coarse = F.interpolate(masks[:, None].to(like), size=(MASK_SIDE, MASK_SIDE), mode="area")
    return coarse.flatten(1).nan_to_num(0.5) - 0.5


def _silent(numbers: int, width: int) -> nn.Linear:
    layer = nn.Linear(numbers, width, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def _silent_pairs(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(SOLID_PAIR_NUMBERS, width), nn.ReLU(inplace=True), _silent(width, width))


def _layer_options(options: TransformerConfig) -> dict[str, Any]:
    return {
        "d_model": options.width,
        "nhead": options.heads,
        "dim_feedforward": options.feedforward,
        "dropout": options.dropout,
        "batch_first": True,
        "norm_first": True,
    }
