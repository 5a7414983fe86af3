"""From a configuration and a vocabulary to a model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones import FPN, BackboneWithFPN
from scenekit.backbones.base import Backbone, Normalization
from scenekit.backbones.fpn import SingleMap, owned
from scenekit.config import Config, validated
from scenekit.errors import InputError, PluginError, collecting
from scenekit.hooks import DetectorSpec, TaskSpec, naming_plugin, registry
from scenekit.hooks.options import check_options
from scenekit.keys import BACKBONE_FEATURES, FEATURES, IMAGES, OBJECTS, Key
from scenekit.model.board import Board, Pooler
from scenekit.model.head import Core, Head, Provider
from scenekit.model.plan import required_keys
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.ops.layout import for_convolutions
from scenekit.recipe import BackboneConfig, InputConfig, ModelConfig, PyramidConfig
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch, by_size
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary

PARTS = {"requires": "reads from the board", "provides": "puts on the board"}
"""What a stage does with the keys of each of these attributes."""

_log = logging.getLogger(__name__)


class Trunk(Provider):
    """The shared backbone and its pyramid.

    Args:
        net: The networks.
        provides: FEATURES, BACKBONE_FEATURES, or both: what stages and heads of the model read.
    """

    name = "backbone"
    requires = (IMAGES,)
    static = True

    def __init__(self, net: BackboneWithFPN, provides: Sequence[Key[Any, Any]] = (FEATURES,)) -> None:
        super().__init__()
        self.net = net
        self.provides = tuple(provides)

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Float[Tensor, ""]]:
        images: ImageBatch = board[IMAGES]
        if self._computes_batch_statistics():
            maps = self._maps([images.pixels])
        else:
            maps = by_size(self._maps, [images.pixels], images)
        for key in self.provides:
            strides = self._strides(key)
            board.put(key, FeaturePyramid(maps[: len(strides)], strides))
            maps = maps[len(strides) :]
        return {}

    def _maps(self, pixels: Sequence[Float[Tensor, "B 3 H W"]]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Return the maps of each key in turn."""
        unread = owned(self.net.backbone(for_convolutions(pixels[0])))
        maps = {BACKBONE_FEATURES: tuple(unread)} if BACKBONE_FEATURES in self.provides else {}
        if FEATURES in self.provides:
            maps[FEATURES] = self.net.pyramid(unread).maps
        return tuple(level for key in self.provides for level in maps[key])

    def _strides(self, key: Key[Any, Any]) -> tuple[int, ...]:
        levels = (self.net.backbone if key == BACKBONE_FEATURES else self.net).levels
        return tuple(level.stride for level in levels)

    def _computes_batch_statistics(self) -> bool:
        return any(isinstance(module, nn.BatchNorm2d) and module.training for module in self.modules())


def build(config: ModelConfig, vocabulary: Vocabulary) -> SceneModel:
    """Build a model with fresh weights; the backbone's are those that its configuration names.

    Args:
        config: Backbone, detector, tasks and their options.
        vocabulary: What labels mean.

    Returns:
        The model.

    Raises:
        InputError: An unknown backbone, detector or task, or an unknown option of one of them.
    """
    detector = registry().get("detector", config.detector)
    options = validated(detector.config, config.detector_options, f"detector {config.detector!r}")
    net = with_pyramid(build_backbone(config), config.pyramid)
    core = Core(net.channels, net.strides, vocabulary, options, net.backbone.levels, config.input)
    stages = [] if config.detector is None else build_detector(detector, core, options)
    owners: dict[str, Any] = {stage.name: detector for stage in stages}
    pooler = pooler_of(stages) if stages else no_pooler
    tasks = {}
    with collecting() as attempt:
        for name, values in config.tasks.items():
            with attempt():
                spec, brought, head = task_parts(name, values, core)
                brought = [stage for stage in brought if not (stage.shared and stage.name in owners)]
                stages += brought
                owners |= {stage.name: spec for stage in brought}
                tasks[name] = (spec, head)
    _check_crop(config, [spec for spec, _ in tasks.values()])
    read = {key for stage in stages for key in stage.requires}
    read |= {key for spec, _ in tasks.values() for key in (*required_keys(spec), *spec.uses)}
    shared = [key for key in (BACKBONE_FEATURES, FEATURES) if key in read and (key != FEATURES or config.pyramid)]
    # Where all stages and heads read the images alone, no shared network runs, and none would learn.
    trunk = [Trunk(net, shared)] if shared else []
    return SceneModel(config, core, [*trunk, *stages], tasks, pooler, owners)


def _check_crop(config: ModelConfig, specs: Iterable[TaskSpec]) -> None:
    """Check that nothing in the model needs what a crop of the input cuts off."""
    if config.input.crop is None:
        return
    if config.detector is not None:
        raise InputError(
            "model.input.crop: a detector needs the whole image; leave crop out, or set model.detector: null"
        )
    for spec in specs:
        if not all(key.field.follows_crops for key in spec.provides):
            raise InputError(f"model.input.crop: task {spec.name!r} needs the whole image; leave crop out")


def task_parts(name: str, values: Mapping[str, Any], core: Core) -> tuple[TaskSpec, list[Provider], Head[Any, Any]]:
    """Return a task as its options make it, the stages that it brings, and its head."""
    spec: TaskSpec = registry().get("task", name)
    options = validated(spec.config, values, f"task {name!r}")
    spec = configured(spec, options)
    if not core.strides and FEATURES in required_keys(spec):
        raise InputError(f"task {name!r} reads the feature pyramid, which this model does not have; set model.pyramid")
    return spec, build_stages(spec, core, options), build_head(spec, core, options)


def configured(spec: TaskSpec, options: Config) -> TaskSpec:
    """Return the record of a task as its options make it; an error names the plugin."""
    if spec.configure is None:
        return spec
    with naming_plugin(spec):
        made: object = spec.configure(spec, options)
        if not isinstance(made, TaskSpec) or made.name != spec.name:
            returned = f"the one of {made.name!r}" if isinstance(made, TaskSpec) else type(made).__name__
            raise PluginError(f"`configure` of task {spec.name!r} must return its TaskSpec, got {returned}")
    return made


def build_stages(spec: TaskSpec, core: Core, options: Config) -> list[Provider]:
    """Build the stages that a task brings; an error names the plugin."""
    if spec.stages is None:
        return []
    with naming_plugin(spec):
        stages: list[object] = list(spec.stages(core, options))
        for stage in stages:
            check_stage(stage, f"`stages` of task {spec.name!r}")
    return cast("list[Provider]", stages)


def build_detector(spec: DetectorSpec, core: Core, options: Config) -> list[Provider]:
    """Build the stages of a detector.

    Args:
        spec: Record of the detector.
        core: What stages may know of the core.
        options: Its validated options.

    Returns:
        The stages, in the order of `build`.

    Raises:
        PluginError: Where `build` returns something else than Providers with a name and keys, where none of them
            provides OBJECTS, and where none has a pooler. It names the plugin.
    """
    owner = f"`build` of detector {spec.name!r}"
    with naming_plugin(spec):
        stages: object = spec.build(core, options)
        if not isinstance(stages, list | tuple):
            raise PluginError(f"{owner} must return a list of Providers, got {type(stages).__name__}")
        for stage in stages:
            check_stage(stage, owner)
        if not any(OBJECTS in stage.provides for stage in stages):
            raise PluginError(f"{owner}: no stage provides sk.OBJECTS; name it in `provides` of the last one")
        pooler_of(stages, owner)
    return list(stages)


def check_stage(stage: object, owner: str) -> None:
    """Raise PluginError, naming its `owner`, unless a stage is a Provider with a name, `requires` and `provides`."""
    if not isinstance(stage, Provider):
        raise PluginError(f"{owner} must return Providers, got {type(stage).__name__}")
    kind, name = type(stage).__name__, getattr(stage, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginError(f"{owner}: set `name` of {kind}, a text without dots for its losses and its parameters")
    if "." in name:
        raise PluginError(f"{owner}: names of stages have no dots, got {name!r}")
    for part in ("requires", "provides"):
        keys = getattr(stage, part, None)
        if not isinstance(keys, tuple) or not all(isinstance(key, Key) for key in keys):
            raise PluginError(
                f"{owner}: set `{part}` of {kind}, a tuple of the keys that it {PARTS[part]}, got {keys!r}"
            )
    if not stage.provides:
        raise PluginError(f"{owner}: {kind} provides nothing; name the keys that it puts on the board in `provides`")


def build_head(spec: TaskSpec, core: Core, options: Config) -> Head[Any, Any]:
    """Build a task's head; an error names the plugin."""
    with naming_plugin(spec):
        head: object = spec.build(core, options)
        if not isinstance(head, Head):
            raise PluginError(f"`build` of task {spec.name!r} must return a Head, got {type(head).__name__}")
    return head


def build_backbone(config: ModelConfig) -> Backbone:
    """Build the backbone."""
    return build_network(config.backbone, config.input, "model.backbone")


def build_network(config: BackboneConfig, images: InputConfig, section: str) -> Backbone:
    """Build a network below a detector or a pyramid.

    Args:
        config: Its name, weights and options.
        images: How images enter it.
        section: The section of the recipe that holds `config`, for messages.

    Returns:
        The network.

    Raises:
        InputError: An unknown network or option.
    """
    spec = registry().get("backbone", config.name)
    options, weights = config.options, config.weights
    owner = f"backbone {config.name!r}"
    if spec.names is not None:
        raise InputError(f"{owner} stands for a library: name one of its networks behind the slash")
    if "weights" in options:
        raise InputError(f"{owner}: set its weights as {section}.weights, not among its options")
    # Not every network can start from weights: one that cannot is built all the same where none are asked for.
    given = options if weights is None else {**options, "weights": weights}
    given = check_options(spec.build, given, owner)
    with naming_plugin(spec):
        backbone: Backbone = spec.build(**given)
    _check_normalization(owner, backbone.normalization, images)
    return backbone


def with_pyramid(backbone: Backbone, config: PyramidConfig | None) -> BackboneWithFPN:
    """Build the pyramid on a backbone.

    Args:
        backbone: The backbone.
        config: Its levels that are used, and the options of the pyramid; None for none.

    Returns:
        Both.

    Raises:
        InputError: The backbone has no map of a stride in `levels`.
    """
    if config is None:
        return BackboneWithFPN(backbone, None)
    strides = [level.stride for level in backbone.levels]
    if missing := [stride for stride in config.levels or () if stride not in strides]:
        raise InputError(f"model.pyramid.levels: the backbone has maps of stride {strides}, none of {missing[0]}")
    chosen = [index for index, stride in enumerate(strides) if config.levels is None or stride in config.levels]
    levels = [backbone.levels[index] for index in chosen]
    if config.kind == "single":
        return BackboneWithFPN(backbone, SingleMap(levels), chosen)
    fpn = FPN(levels, config.channels, extra=config.extra, norm=config.norm, slim=config.slim)
    return BackboneWithFPN(backbone, fpn, chosen)


def _check_normalization(owner: str, expected: Normalization | None, given: InputConfig) -> None:
    """Warn where images will not look to pretrained weights as those they learned from."""
    if expected is not None and (given.bgr or (given.mean, given.std) != (expected.mean, expected.std)):
        wanted = f"mean {list(expected.mean)}, std {list(expected.std)}, bgr false"
        _log.warning("%s: its weights expect %s; model.input says otherwise: set it so", owner, wanted)


def no_pooler(features: FeaturePyramid, regions: Regions, size: int) -> Float[Tensor, "N C S S"]:
    """Raise InputError: a model without a detector has no regions to pool."""
    raise InputError("this model has no detector, and so no RoI features; set model.detector")


def pooler_of(stages: Sequence[Provider], owner: str = "a detector") -> Pooler:
    """Return the pooler of the first stage that has one; raise PluginError, naming the `owner`, where none has."""
    for stage in stages:
        if (pooler := getattr(stage, "pooler", None)) is not None:
            return cast(Pooler, pooler)
    raise PluginError(
        f"{owner}: no stage has a `pooler`, from which heads get RoI features; set `self.pooler` of one, such as "
        "scenekit.detection.pooler.RoIPooler()"
    )
