"""torchvision's classifiers as backbones, by its own feature extraction.

Letters: B images, H W input pixels.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import Node
from torchvision.models import VGG, get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from scenekit.backbones.base import Backbone, Level
from scenekit.backbones.checkpointing import TracedParts, checkpointing
from scenekit.backbones.layouts import LAYOUTS, Layout
from scenekit.backbones.norm import apply_norm, check_options, freeze, overwrite_convolutions
from scenekit.backbones.padding import begin_as_in, pad_graph, pad_like_tensorflow, pad_modules
from scenekit.backbones.state import load_state, read_state
from scenekit.backbones.tracing import trace_levels
from scenekit.errors import InputError, nearest

Traced = TypeVar("Traced")

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Beginnings of the names of parameters of auxiliary classifiers, which only the training of a classifier needs."""

TENSORFLOW = "tensorflow"
PADDINGS = ("same", "valid", TENSORFLOW)
PROBE = (1, 3, 384, 384)
"""Shape of the test image from which the levels are determined: large enough for the networks without padding."""

_TRACED: dict[Hashable, tuple[Level, ...]] = {}
"""Levels by the options that decide on them: tracing takes about as long as all the rest of building a network."""


class TorchvisionBackbone(Backbone):
    """A torchvision classifier without its head. Parameters keep torchvision's names, below `body`.

    Args:
        model: The classifier.
        layout: Modules whose outputs are the levels.
        padding: Padding of the windows: "valid" as torchvision, "same" for those that torchvision leaves without, or
            "tensorflow" for those of TensorFlow's networks.
        trained_side: Side of the images of TensorFlow's training, in pixels; None for windows that begin where
            TensorFlow's do on each image.
        levels: Level of each map; determined by tracing if None.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        padding: str = "valid",
        trained_side: int | None = None,
        levels: tuple[Level, ...] | None = None,
    ) -> None:
        super().__init__()
        if padding == "same":
            pad_modules(model)
        self.body: nn.Module = create_feature_extractor(model, list(layout.stages))
        if padding == "same":
            pad_graph(self.body)
        if padding == TENSORFLOW:
            pad_like_tensorflow(self.body)
        overwrite_convolutions(self.body)
        _add_in_place(self.body)
        if trained_side is not None:
            begin_as_in(self.body, lambda: self._on_meta(lambda maps: maps(_meta(1, 3, trained_side, trained_side))))
        self.levels = levels or self._on_meta(lambda maps: trace_levels(maps, _meta(*PROBE)))
        self._parts: TracedParts | None = None

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the feature maps.

        Args:
            pixels: Normalized images.

        Returns:
            One map for each of `levels`.
        """
        run = self._parts if self._parts is not None and self.body.training else self.body
        return tuple(run(pixels).values())

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        """Compute activations again in the backward pass instead of keeping them, within the context.

        It holds for training mode; tracing has dissolved the blocks of the network, which is cut anew.
        """
        body: Any = self.body
        self._parts = TracedParts.of(body.train_graph, body)
        try:
            with checkpointing(part for _, part, _ in self._parts.parts):
                yield
        finally:
            self._parts = None

    def __deepcopy__(self, memo: dict[int, Any]) -> TorchvisionBackbone:
        """Copy the backbone with the mode of every module: a traced network's copy is in training mode otherwise."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        copied.body.train(self.body.training)
        modes = {name: module.training for name, module in self.named_modules()}
        for name, module in copied.named_modules():
            module.training = modes.get(name, self.training)
        return copied

    def _on_meta(self, use: Callable[[Callable[[Tensor], list[Tensor]]], Traced]) -> Traced:
        """Call a function with the network on the meta device: nothing is computed and batch statistics stay."""
        was_training = self.training
        self.eval()
        meta = {name: value.to("meta") for name, value in self.body.state_dict().items()}
        result = use(lambda pixels: list(functional_call(self.body, meta, (pixels,)).values()))
        self.train(was_training)
        return result


def _meta(*shape: int) -> Tensor:
    return torch.zeros(shape, device="meta")


def _add_in_place(body: nn.Module) -> None:
    """Let shortcuts be added in place where they can, as torchvision does: tracing made new maps of the sums."""
    traced: Any = body
    for graph in (traced.train_graph, traced.eval_graph):
        for node in graph.nodes:
            if node.target is operator.add and _is_fresh(node.args[0], traced):
                node.target = _summed
    traced.recompile()


def _summed(into: Tensor, other: Any) -> Tensor:
    """Add a value to a map, in place if the sum has the shape and type of the map."""
    tensors = not torch.compiler.is_compiling() and isinstance(other, Tensor)
    alike = tensors and (into.shape, into.dtype) == (other.shape, other.dtype)
    total: Tensor = into.add_(other) if alike else into + other
    return total


def _is_fresh(value: object, body: nn.Module) -> bool:
    """Return whether a value is the output of a batch norm, and read once."""
    if not isinstance(value, Node) or value.op != "call_module" or len(value.users) != 1:
        return False
    return isinstance(body.get_submodule(str(value.target)), nn.BatchNorm2d | FrozenBatchNorm2d)


def build_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    norm: str = "batch",
    norm_eps: float | None = None,
    trainable_stages: int | None = None,
    stride_in_1x1: bool = False,
    levels: Sequence[str] | None = None,
    padding: str | None = None,
    trained_side: int | None = None,
    ceil_pooling: Sequence[str] = (),
    reduced_tail: bool = False,
) -> TorchvisionBackbone:
    """Build a torchvision network as a backbone.

    ```python
    backbone = build_backbone("resnet50", weights="IMAGENET1K_V1", norm="frozen", trainable_stages=3)
    ```

    Args:
        name: Name of the network.
        weights: Name of torchvision's weights ("IMAGENET1K_V1", "DEFAULT": downloaded once), path of a state dict of
            the same network, or None for random weights.
        norm: Replacement of batch norm: "batch" keeps it, "frozen" makes its statistics constant, "group" (random
            weights only) needs none. Networks with layer norm (ConvNeXt) stay as they are.
        norm_eps: Epsilon of batch norm, by default the classifier's; torchvision's detectors differ in it from their
            classifiers.
        trainable_stages: How many of the five parts (stem, strides 4, 8, 16, 32) are trained, counted from the coarse
            end; None: all. The others keep their weights and batch statistics.
        stride_in_1x1: Whether residual blocks have their stride in the first convolution, as the networks of He et al.
            (2016) and of detectron2, instead of the 3x3 one.
        levels: Modules whose outputs are the levels, fine to coarse, in place of the last ones at each stride; they end
            the stages.
        padding: Padding of AlexNet, GoogLeNet and Inception V3, whose windows torchvision leaves without. "same", the
            default, pads each by half its size, so that maps of ceil(size / stride) cells cover the image, as a
            detector needs; "valid" is torchvision's, which its classifiers need. The weights fit both. "tensorflow",
            for every network of convolutions and max poolings, is TensorFlow's "SAME": a stride of 2 pads an even size
            at the right and bottom alone. Weights from TensorFlow need it, or features shift by up to 31 pixels.
        trained_side: With padding "tensorflow", the side in pixels of the square images of the training. Where
            TensorFlow's windows begin depends on the size of the image; with this option they begin on all images where
            they did on those, so that features do not shift on other sizes.
        ceil_pooling: Max poolings whose maps are rounded up to whole cells, by name, as SSD does with `features.16` of
            VGG16.
        reduced_tail: Whether the last stage of MobileNetV3 has half its channels, as SSDLite of torchvision; ImageNet
            weights do not fit.

    Returns:
        The backbone.

    Raises:
        InputError: If an option is invalid or the weights do not fit.
    """
    layout = _layout(name) if levels is None else replace(_layout(name), stages=tuple(levels))
    if reduced_tail:
        layout = _reduced(name, layout, weights)
    check_options(norm, weights, trainable_stages, len(layout.stages) + 1)
    _check_padding(name, layout, padding, trained_side)
    model = _with_weights(name, layout, weights)
    _check_levels(name, model, layout)
    for pooling in ceil_pooling:
        _round_up(name, model, pooling)
    if norm_eps is not None:
        _set_eps(model, norm_eps)
    if stride_in_1x1:
        _stride_in_1x1(name, model)
    parts = layout.modules(model)
    apply_norm(model, norm)
    if trainable_stages is not None:
        freeze(model, [module for part in parts[: len(parts) - trainable_stages] for module in part])
    padding = padding or ("same" if layout.unpadded else "valid")
    decisive = (name, layout.stages, padding, trained_side, tuple(ceil_pooling), stride_in_1x1, reduced_tail)
    backbone = TorchvisionBackbone(model, layout, padding, trained_side, _TRACED.get(decisive))
    _TRACED[decisive] = backbone.levels
    return backbone


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise InputError(f"unknown torchvision backbone {name!r}{nearest(name, list(LAYOUTS))}")
    return LAYOUTS[name]


def _check_padding(name: str, layout: Layout, padding: str | None, trained_side: int | None) -> None:
    if padding not in (None, *PADDINGS):
        raise InputError(f"backbone padding: expected one of {', '.join(PADDINGS)}, got {padding!r}")
    if padding not in (None, TENSORFLOW) and not layout.unpadded:
        raise InputError(
            f"backbone padding: the windows of {name} are padded as they are; leave it out, or set {TENSORFLOW!r}"
        )
    if trained_side is not None and (padding != TENSORFLOW or trained_side < 1):
        raise InputError(
            f"backbone trained_side: expected pixels, with padding: {TENSORFLOW}, got {trained_side} with {padding!r}"
        )


def _reduced(name: str, layout: Layout, weights: str | Path | None) -> Layout:
    if not name.startswith("mobilenet_v3"):
        raise InputError(f"backbone reduced_tail: only MobileNetV3 has one, not {name}; leave it out")
    if isinstance(weights, str) and not Path(weights).suffix:
        raise InputError(f"backbone reduced_tail: weights {weights!r} are of the full network; use a file, or none")
    return replace(layout, untrained_options={**layout.untrained_options, "reduced_tail": True})


def _round_up(name: str, model: nn.Module, pooling: str) -> None:
    pools = {other: module for other, module in model.named_modules() if isinstance(module, nn.MaxPool2d)}
    if pooling not in pools:
        raise InputError(f"backbone ceil_pooling: {name} has no max pooling {pooling!r}{nearest(pooling, list(pools))}")
    pools[pooling].ceil_mode = True


def _check_levels(name: str, model: nn.Module, layout: Layout) -> None:
    known = {module for module, _ in model.named_modules()}
    for level in layout.stages:
        if level not in known:
            raise InputError(f"backbone levels: {name} has no module {level!r}{nearest(level, known)}")


def _set_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


def _with_weights(name: str, layout: Layout, weights: str | Path | None) -> nn.Module:
    """Create the classifier with its weights."""
    published = get_model_weights(name)
    if isinstance(weights, str) and (known := weights.removeprefix(f"{published.__name__}.")) in published.__members__:
        return _download(lambda: get_model(name, weights=known, **layout.options), weights)
    model = untrained(name, layout)
    if weights is not None:
        path = Path(weights)
        if not path.suffix and not path.exists():
            raise InputError(
                f"backbone weights: no {weights!r} for {name}{nearest(str(weights), list(published.__members__))}"
            )
        within = [module for part in layout.modules(model) for module in part]
        state = read_state(path, model.state_dict())
        trunk = {key: value for key, value in state.items() if not key.startswith(AUXILIARY)}
        load_state(model, trunk, within, fit=f"weights file {path} does not fit {name}")
    return model


def untrained(name: str, layout: Layout) -> nn.Module:
    """Create the classifier with random weights; one of hundreds of megabytes gets memory for its trunk only.

    Args:
        name: Name of the network.
        layout: Its layout.

    Returns:
        The network; its large classifier, if it has one, is on the meta device.
    """
    if not layout.large_classifier:
        model: nn.Module = get_model(name, weights=None, **layout.untrained_options)
        return model
    with torch.device("meta"):
        model = get_model(name, weights=None)
    trunk = model.get_submodule("features").to_empty(device=torch.get_default_device())
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.reset_parameters()
        if isinstance(module, nn.Conv2d) and module.bias is not None and isinstance(model, VGG):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as its own constructor
            nn.init.zeros_(module.bias)
    return model


def _download(build: Callable[[], nn.Module], weights: str) -> nn.Module:
    """Run torchvision's own download, which fails with an OSError offline and a RuntimeError on a wrong checksum."""
    try:
        return build()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision weights {weights!r} could not be loaded ({error}); pass a file instead"
        ) from error


def _stride_in_1x1(name: str, model: nn.Module) -> None:
    """Exchange the strides of the first two convolutions of each block; the weights have the same shape."""
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    if not blocks:
        raise InputError(f"backbone stride_in_1x1: {name} has no blocks of 1x1, 3x3 and 1x1 convolutions; leave it out")
    for block in blocks:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
