"""The network of a detector of transformers: what each of its queries predicts.

Letters: B images, Q queries, K classes of the network, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones.detr import FAMILIES, Family, create_detector, detector_configuration
from scenekit.detection.detr.config import DetrConfig
from scenekit.errors import InputError
from scenekit.keys import BACKBONE_FEATURES, IMAGES, Key
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.preprocess import resize
from scenekit.model.targets import Targets
from scenekit.recipe import InputConfig
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch

PLACE = "model.detector_options.config"
UNUSED = (".num_batches_tracked", "denoising_class_embed.")
"""Parts of names of parameters that weights may lack: counters, and what only the training of a detector needs."""


@dataclass(frozen=True, eq=False)
class QueryPredictions:
    """What the queries of a batch predict."""

    logits: Float[Tensor, "B Q K"]
    """Logits of the network's classes, each for itself."""
    boxes: Float[Tensor, "B Q 4"]
    """Boxes, xyxy in network pixels of the batch, not clipped."""


QUERY_PREDICTIONS: Key[QueryPredictions, Any] = Key("query_predictions", doc="class logits and box of each query")


class DetrNetwork(Provider):
    """The whole network of a detector, which never learns; it resizes and normalizes the images as it needs them.

    Args:
        name: Model type.
        core: Vocabulary and input of the model.
        config: Options of the detector.
    """

    name = "detr"
    provides = (QUERY_PREDICTIONS,)
    requires: tuple[Key[Any, Any], ...] = (IMAGES,)

    def __init__(self, name: str, core: Core, config: DetrConfig) -> None:
        super().__init__()
        self.family = FAMILIES[name]
        self.input = core.input
        settings = detector_configuration(name, config.config or {}, labels_of(core, config))
        self.size = config.size or (self.family.size(settings),) * 2
        self.mean = config.mean or self.family.normalization.mean
        self.std = config.std or self.family.normalization.std
        self.body = create_detector(settings, config.weights, PLACE, is_unused)
        self.body.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> DetrNetwork:
        """Set training mode; the detector itself stays in evaluation mode.

        Args:
            mode: Whether to train.

        Returns:
            The stage.
        """
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the predictions on the board.

        Args:
            board: The board with the images, or with the maps of the backbone.
            targets: Targets of the batch; not used.

        Returns:
            No losses.
        """
        with torch.no_grad():
            output, sizes = self.run(board)
        pixels = output.pred_boxes.new_tensor(sizes).flip(-1)
        boxes = to_pixels(output.pred_boxes, pixels.expand(len(board.images), 2))
        board.put(QUERY_PREDICTIONS, QueryPredictions(output.logits, boxes))
        return {}

    def run(self, board: Board) -> tuple[Any, Sequence[Size] | Size]:
        """Run the network.

        Args:
            board: The board with what the stage requires.

        Returns:
            Its output, and the (height, width) in network pixels of what it was shown: of each image, or of all.
        """
        images: ImageBatch = board[IMAGES]
        prepared = [self._prepared(pixels, size) for pixels, size in zip(images.pixels, images.sizes, strict=True)]
        return self.body(pixel_values=torch.stack(prepared)), images.sizes

    def _prepared(self, pixels: Float[Tensor, "3 H W"], size: Size) -> Float[Tensor, "3 _ _"]:
        """Return one image without padding, in the size and the normalization of the detector."""
        channels = (self.input.mean, self.input.std, self.mean, self.std)
        mean, std, own_mean, own_std = (pixels.new_tensor(values).view(3, 1, 1) for values in channels)
        plain = pixels[:, : size[0], : size[1]] * std + mean
        plain = resize(plain.flip(0) if self.input.bgr else plain, self.size, self.family.resampling)
        return (plain - own_mean) / own_std


class DetrDecoder(DetrNetwork):
    """The network of a detector without its encoder, whose maps the backbone computes.

    Args:
        name: Model type.
        core: Levels of the backbone, vocabulary and input of the model.
        config: Options of the detector.

    Raises:
        InputError: If the backbone is not the encoder of this detector, or images do not enter as it needs them.
    """

    requires = (BACKBONE_FEATURES,)

    def __init__(self, name: str, core: Core, config: DetrConfig) -> None:
        super().__init__(name, core, config)
        self.places = places_of(name, core, self.family.shapes(self.body.config))
        check_input(name, core.input, self.family, self.body.config)
        network: Any = self.body.model
        for part in self.family.parts:
            setattr(network, part, Computed())
        self.encoder: Computed = getattr(network, self.family.parts[-1])

    def run(self, board: Board) -> tuple[Any, Size]:
        """Return the output of the network on the maps of the backbone, and the size of the image that these show."""
        features: FeaturePyramid = board[BACKBONE_FEATURES]
        maps = [features.maps[place] for place in self.places]
        if any(level.requires_grad for level in maps):
            raise InputError(
                "the encoder of the detector would be trained, its decoder not; set "
                "model.backbone.options.trainable_stages: 0"
            )
        height, width = (cells * features.strides[self.places[0]] for cells in maps[0].shape[2:])
        with self.encoder.returning(self.family.passed(maps)):
            return self.body(pixel_values=board.images.pixels), (height, width)


class Computed(nn.Module):
    """Stands for modules of which the result is known already."""

    def __init__(self) -> None:
        super().__init__()
        self.value: Any = ()

    @contextmanager
    def returning(self, value: Any) -> Iterator[None]:
        """Return a value within the context.

        Args:
            value: The result of the modules.

        Yields:
            Nothing.
        """
        self.value = value
        try:
            yield
        finally:
            self.value = ()

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return the value."""
        return self.value


def places_of(name: str, core: Core, shapes: Sequence[tuple[int, int]]) -> list[int]:
    """Return which levels of the backbone are the maps that a decoder reads.

    Args:
        name: Model type.
        core: Levels of the backbone.
        shapes: Channels and stride of each map.

    Returns:
        Indices of levels.

    Raises:
        InputError: If the backbone has others.
    """
    own = [(level.channels, level.stride) for level in core.levels]
    if missing := [shape for shape in shapes if shape not in own]:
        raise InputError(
            f"detector 'transformers/{name}', source: backbone reads {missing[0][0]} channels at stride "
            f"{missing[0][1]}, which the backbone does not have; set model.backbone.name: transformers/{name} and its "
            "options.config to that of the detector, or source: images"
        )
    return [own.index(shape) for shape in shapes]


def check_input(name: str, images: InputConfig, family: Family, config: Any) -> None:
    """Check that images enter the backbone as a detector needs them: all of one size, without padding.

    Args:
        name: Model type.
        images: How images enter the model.
        family: The kind of detector.
        config: Its configuration.

    Raises:
        InputError: If they do not.
    """
    grid = family.patches(config)
    unit = math.lcm(images.divisor, max(stride for _, stride in family.shapes(config)) if grid is None else grid.unit)
    if images.fixed_size is None or any(side % unit for side in images.fixed_size):
        side = unit * round(family.size(config) / unit)
        raise InputError(
            f"detector 'transformers/{name}', source: backbone needs images of one size in multiples of {unit} pixels, "
            f"got model.input.fixed_size: {images.fixed_size}; set it to [{side}, {side}], or source: images"
        )


def labels_of(core: Core, config: DetrConfig) -> Sequence[str]:
    """Return the names of the classes that a network predicts.

    Args:
        core: Vocabulary of the model.
        config: Options of the detector.

    Returns:
        The names.

    Raises:
        InputError: If they are those of weights that were not looked at yet.
    """
    if config.labels is not None:
        return config.labels
    if config.weights is not None:
        raise InputError(
            "the classes of the detector's weights are read when a run starts; to build a model without a run, use "
            f'sk.load("transformers/{config.weights}"), or set model.detector_options.labels'
        )
    return core.vocabulary.things


def is_unused(key: str) -> bool:
    """Return whether weights may lack a parameter."""
    return any(part in key for part in UNUSED)


def to_pixels(boxes: Float[Tensor, "B Q 4"], sizes: Float[Tensor, "B 2"]) -> Float[Tensor, "B Q 4"]:
    """Convert boxes in parts of images to pixels.

    Args:
        boxes: Centers, widths and heights in parts of each image.
        sizes: Width and height of each image in pixels.

    Returns:
        Boxes, xyxy in pixels.
    """
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((center - half, center + half), dim=-1) * sizes.repeat(1, 2)[:, None]
