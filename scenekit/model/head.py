"""What a task brings to the shared core: a `Head`; what the core itself is made of: `Provider`s.

Letters: N rows of a stream that apply to the head.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from scenekit.config import Config
from scenekit.errors import InputError, PluginError
from scenekit.keys import Key
from scenekit.recipe import InputConfig
from scenekit.structures.geometry import Geometry
from scenekit.structures.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scenekit.backbones.base import Level
    from scenekit.evaluation.evaluator import Evaluator
    from scenekit.model.board import Board
    from scenekit.model.targets import Targets
    from scenekit.scene import Scene
    from scenekit.structures.images import ImageBatch
    from scenekit.structures.regions import Regions

Raw = TypeVar("Raw")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Core:
    """What a head may know of the core when it is built."""

    channels: int
    """Channels of FEATURES; 0 where the model has no pyramid."""
    strides: tuple[int, ...]
    """Strides of FEATURES in pixels, fine to coarse; none where the model has no pyramid."""
    vocabulary: Vocabulary
    """What labels refer to."""
    detector: Config = field(default_factory=Config)
    """Options of the detector (anchors, pooler, ...), for tasks that bring stages of their own."""
    levels: tuple[Level, ...] = ()
    """Levels of BACKBONE_FEATURES, fine to coarse."""
    input: InputConfig = field(default_factory=InputConfig)
    """How images enter the network, for stages that read their pixels."""


@dataclass(frozen=True)
class AxisNames:
    """The meaning of the entries along one axis of a parameter.

    Weights are transferred between models by these names, whatever their order there (see `scenekit.transfer`). The
    logits of K classes before a background are `AxisNames((*things, BACKGROUND))`, their boxes `AxisNames(things,
    each=4)`.
    """

    names: tuple[str, ...]
    """Unique names, in order."""
    axis: int = 0
    """The axis."""
    each: int = 1
    """How many consecutive entries each name has."""
    members: tuple[frozenset[str], ...] = ()
    """What each name stands for, where names are groups: a group takes over the group of the source that has the most
    of its members, or else the one that has none, which stands for all others.
    """

    def __post_init__(self) -> None:
        if repeated := {name for name in self.names if self.names.count(name) > 1}:
            raise PluginError(f"names along an axis must be unique, got {sorted(repeated)} more than once")


BACKGROUND = "(background)"
"""The name of what is none of the classes, among AxisNames."""

ParameterNames = Mapping[str, Sequence[AxisNames]]
"""By a parameter's (or buffer's) own name, as in `named_parameters()`: the axes that follow names."""

_NO_NAMES: ParameterNames = MappingProxyType({})


def rows_by_name(layers: Mapping[str, AxisNames]) -> ParameterNames:
    """Return the names of weight and bias of layers with one output per entry.

    Args:
        layers: The names of the outputs of each layer, along `axis` of its weight and along 0 of its bias.

    Returns:
        Names by parameter.
    """
    weights = {f"{layer}.weight": (names,) for layer, names in layers.items()}
    return weights | {f"{layer}.bias": (replace(names, axis=0),) for layer, names in layers.items()}


class Head(nn.Module, Generic[Raw, Out]):
    """One task's network, loss and decoding, apart from each other.

    `forward` runs the network on the board's view; `board[OBJECTS]` and `board.pool(OBJECTS, size)` already hold only
    the rows that apply to this head. `decode` returns the value for the board: that of the one key that the task
    provides, or a mapping by key where it provides several.
    """

    exported_docs: Mapping[str, str] = MappingProxyType({})
    """What outputs of a whole exported graph are, by name, where `exported` returns something else than the value."""

    @abstractmethod
    def forward(self, board: Board) -> Raw:
        """Run the network; no loss, no decoding.

        Args:
            board: The view of this head.

        Returns:
            The raw output.
        """

    def loss(self, raw: Raw, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute the losses; none by default, as for heads without weights.

        Args:
            raw: What `forward` returned.
            board: The view of this head.
            targets: Ground truth; `targets[KEY]` is aligned with the head's rows.

        Returns:
            Scalar losses by name.
        """
        return {}

    @abstractmethod
    def decode(self, raw: Raw, board: Board) -> Out:
        """Decode the raw output.

        Args:
            raw: What `forward` returned.
            board: The view of this head.

        Returns:
            The value of the task's key, in network pixels; a mapping by key where it provides several.
        """

    def finish(self, value: Any, scene: Scene, geometry: Geometry) -> Any:
        """Postprocess one image's part of what `decode` returned; by default each key's field follows the geometry.

        It may run in another thread than the network, which then runs on the next images: it reads its arguments, not
        what another method has stored in the head.

        Args:
            value: The image's part, in network pixels; by key where the task provides several.
            scene: A view of the image so far in original pixels: the keys that the task declares, and the regions of
                the head's rows. It is shared with the other heads, so nothing in it may be changed.
            geometry: From network to original pixels.

        Returns:
            The value in original pixels, in the form of `decode`, without streams.
        """
        if len(self.provides) > 1:
            return {key: _follow(key, part, geometry, scene.vocabulary) for key, part in value.items()}
        return _follow(self.provides[0], value, geometry, scene.vocabulary)

    def exported(self, value: Any, images: ImageBatch) -> Any:
        """Return what a whole exported graph gives for a value, in network pixels: by default the value.

        A head that changes it says in `exported_docs` what comes out.

        Args:
            value: What `decode` returned.
            images: Images of the batch.

        Returns:
            A tensor, or a nested value of tensors, each of which gets a name.
        """
        return value

    def baseline(self) -> Head[Any, Any] | None:
        """Return a head that solves the task without the network, such as from counts of the training data.

        Every table of results shows it beside the task. It provides the same keys and may share parts of this head.

        Returns:
            The head; None where the task has no baseline.
        """
        return None

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        """Prepare the evaluator for this head, once for each evaluation, before the first image.

        A head that knows which combinations the training data held can pass them to a metric of unseen ones.

        Args:
            evaluator: The evaluator of the task.

        Returns:
            The evaluator to use.
        """
        return evaluator

    provides: tuple[Key[Any, Any], ...] = ()
    """Set by the model from the TaskSpec."""

    baseline_name: str = "baseline"
    """What the results of the `baseline` are called, as in "relations (frequency)"."""

    axis_names: ParameterNames = _NO_NAMES
    """Set by a head whose parameters have entries that stand for labels, points or other names."""


def _follow(key: Key[Any, Any], value: Any, geometry: Geometry, vocabulary: Vocabulary) -> Any:
    return key.field.transform(value, geometry, vocabulary)


class Provider(nn.Module):
    """A stage of the core: reads `requires` from the board, puts `provides` on it, returns its losses by name.

    A stage whose keys are all external does not run; one that runs honors the external values of its keys in
    `board.given`.
    """

    name: str
    """The name in parameters and losses, without dots."""
    requires: tuple[Key[Any, Any], ...]
    """Keys that it reads."""
    provides: tuple[Key[Any, Any], ...]
    """Keys that it puts on the board."""
    static: bool = False
    """Whether no shape depends on what the images show, so that torch.compile may trace it; others run as they are."""
    shared: bool = False
    """Whether tasks that bring the same stage share the first one, such as the trunk of proposals."""
    axis_names: ParameterNames = _NO_NAMES
    """Set by a stage whose parameters have entries that stand for labels or other names."""

    @abstractmethod
    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Run the stage.

        Args:
            board: The view of this stage.
            targets: Ground truth; None at inference.

        Returns:
            Scalar losses by name; empty without targets.
        """

    def padded(self, board: Board, rows: int) -> None:
        """Run the stage at inference with shapes that do not depend on what the images show.

        By default a `static` stage runs as it is.

        Args:
            board: The view of this stage.
            rows: Rows of its stream for each image: those beyond its regions are padding, which `Regions.valid` marks.

        Raises:
            InputError: The stage has no such form.
        """
        if not self.static:
            raise InputError(f"{self.name!r} has no form with fixed shapes; export the networks instead of the whole")
        self(board)

    def detections(self, board: Board, targets: Targets) -> Regions:
        """Return the de-duplicated regions that heads with Policy.DETECTIONS learn on; called at most once a pass.

        Args:
            board: The view of this stage.
            targets: Ground truth.

        Returns:
            Regions of its stream; `matched` is each one's row of the ground truth, -1 where nothing fits.

        Raises:
            InputError: The stage has no detections.
        """
        raise InputError(f"{self.name!r} has no detections to learn on; use Policy.FOREGROUND or another detector")


def stage_name(key: Key[Any, Any]) -> str:
    """Return the name of a stage that provides `key`, for parameters and losses, hence without dots."""
    return key.name.replace(".", "_")


def unlabelled_loss(head: nn.Module) -> dict[str, Tensor]:
    """Return a zero that depends on every parameter, so that all processes have the same graph without labels too.

    Args:
        head: The head that has nothing to learn from.

    Returns:
        The loss by name; none for a head without parameters.
    """
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if not parameters:
        return {}
    return {"unlabelled": torch.stack([parameter.sum() for parameter in parameters]).sum() * 0.0}
