"""What a task brings to the shared core: a `Head`; what the core itself is made of: `Provider`s.

Letters: N rows of a stream that apply to the head.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import Tensor, nn

from scenekit.config import Config
from scenekit.errors import InputError, PluginError
from scenekit.keys import Key
from scenekit.structures.geometry import Geometry
from scenekit.structures.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scenekit.evaluation.evaluator import Evaluator
    from scenekit.model.board import Board
    from scenekit.model.targets import Targets
    from scenekit.scene import Scene
    from scenekit.structures.regions import Regions

Raw = TypeVar("Raw")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Core:
    """What a head may know of the core when it is built.

    `channels` and `strides` of FEATURES, fine to coarse; the `vocabulary` that labels refer to; the options of the
    `detector` (anchors, pooler, ...), for tasks that bring stages of their own.
    """

    channels: int
    strides: tuple[int, ...]
    vocabulary: Vocabulary
    detector: Config = field(default_factory=Config)


@dataclass(frozen=True)
class AxisNames:
    """What stands along one `axis` of a parameter: `each` consecutive entries for every one of `names`, in order.

    Weights are handed from model to model by these names, whatever their order there (see `scenekit.transfer`). The
    logits of K classes before a background are `AxisNames((*things, BACKGROUND))`, their boxes `AxisNames(things,
    each=4)`.
    """

    names: tuple[str, ...]
    axis: int = 0
    each: int = 1

    def __post_init__(self) -> None:
        if repeated := {name for name in self.names if self.names.count(name) > 1}:
            raise PluginError(f"names along an axis must be unique, got {sorted(repeated)} more than once")


BACKGROUND = "(background)"
"""The name of what is none of the classes, among AxisNames."""

ParameterNames = Mapping[str, Sequence[AxisNames]]
"""By a parameter's (or buffer's) own name, as in `named_parameters()`: the axes that follow names."""

_NO_NAMES: ParameterNames = MappingProxyType({})


def rows_by_name(layers: Mapping[str, AxisNames]) -> ParameterNames:
    """Names of weight and bias of `layers` with one output per entry: the weight's along `axis`, the bias's along 0."""
    weights = {f"{layer}.weight": (names,) for layer, names in layers.items()}
    return weights | {f"{layer}.bias": (replace(names, axis=0),) for layer, names in layers.items()}


class Head(nn.Module, Generic[Raw, Out]):
    """One task's network, loss and decoding, apart from each other.

    `forward` runs the network on what the board's view offers; `board[OBJECTS]` and `board.pool(OBJECTS, size)` already
    hold only the rows that apply to this head. `decode` gives what goes on the board: the value of the one key that the
    task provides, or a mapping by key where it provides several.
    """

    @abstractmethod
    def forward(self, board: Board) -> Raw:
        """The network only; no loss, no decoding."""

    def loss(self, raw: Raw, board: Board, targets: Targets) -> dict[str, Tensor]:
        """Scalar losses by name. `targets[KEY]` is aligned with the head's rows. Weightless heads have none."""
        return {}

    @abstractmethod
    def decode(self, raw: Raw, board: Board) -> Out:
        """What the raw output means, in network pixels."""

    def finish(self, value: Any, scene: Scene, geometry: Geometry) -> Any:
        """Postprocess one image's part of what `decode` returned; by default each key's field follows the geometry.

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

    def baseline(self) -> Head[Any, Any] | None:
        """What the task can do without the network, such as counts of the training data; every table shows it beside.

        A head of its own that provides the same keys and shares whatever of this one it needs; None where there is no
        such thing.
        """
        return None

    def prepare_evaluator(self, evaluator: Evaluator) -> Evaluator:
        """The evaluator as this head is to be measured by; called once for each evaluation, before the first image.

        A head that knows what its training data held can say so here to a measure of what training never showed.
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

    Without targets the losses are empty. A provider whose keys are all external does not run; one that runs keeps the
    external regions of `board.given` row by row, and the core raises PluginError where it does not.
    """

    name: str
    requires: tuple[Key[Any, Any], ...]
    provides: tuple[Key[Any, Any], ...]
    axis_names: ParameterNames = _NO_NAMES
    """Set by a stage whose parameters have entries that stand for labels or other names."""

    @abstractmethod
    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Run the stage."""

    def detections(self, board: Board, targets: Targets) -> Regions:
        """While there are targets: the de-duplicated regions of its stream that heads with Policy.DETECTIONS learn on.

        `matched` is each one's row of the ground truth, -1 where nothing fits. Raises InputError where a provider has
        no such thing; called at most once a pass.
        """
        raise InputError(f"{self.name!r} gives no detections to learn on; use Policy.FOREGROUND or another detector")


def stage_name(key: Key[Any, Any]) -> str:
    """What a stage that gives `key` is called: it stands in names of parameters and losses, and so has no dots."""
    return key.name.replace(".", "_")
