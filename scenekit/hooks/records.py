"""What hooks hand over: plain records; the core then calls plain functions."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scenekit.config import Config
from scenekit.errors import InputError, PluginError, nearest
from scenekit.keys import Key, Stream

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from torch.utils.data import Dataset

    from scenekit.backbones.base import Backbone
    from scenekit.data.sample import Sample
    from scenekit.evaluation.evaluator import Evaluator
    from scenekit.model.head import Core, Head, Provider
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.structures.vocabulary import Vocabulary

API_VERSION = 1
"""Version of the records and of what the core promises to heads."""


class Policy(enum.Enum):
    """Which rows of a stream a head gets while there are targets; without targets they all are the detections."""

    FOREGROUND = "foreground"
    """Sampled regions that are matched to ground truth."""
    DETECTIONS = "detections"
    """De-duplicated detections, `matched = -1` where nothing fits."""


class Coverage(enum.Enum):
    """How much of an image the drawing of a task covers: what covers more is drawn first, below the others."""

    IMAGE = 0
    """Every pixel, as a label map does."""
    AREAS = 1
    """Areas, such as those of masks."""
    LINES = 2
    """Lines, points and text."""


@dataclass(frozen=True)
class TaskSpec:
    """One task.

    name: what users ask for. summary: one line. provides: keys that the head's `decode` puts on the board.
    build: (core, config) -> Head. config: the model of its options. requires: keys that must be there; uses: keys that
    are read when the model happens to have them (fixed when the model is built). streams: policy per stream
    (FOREGROUND unless told). applies_to: labels of the things that the head serves (all, if None). max_regions: at most
    so many rows an image, best scores first. learns_from: keys of the ground truth it needs; rows without them are
    left out; of several streams it needs one that has something. loss_weights: by loss name, 1 unless told. evaluator:
    (vocabulary) -> Evaluator. draw: (image, scene) -> image; draw_apart: it is full of words and wants an image of
    its own; draw_covers: what the drawing covers, for the order in which tasks are drawn. views: (scene) -> image, by
    name: further images of a scene, such as the one from above. hub_tag: the hub's name for such tasks
    ("image-segmentation"), for the model card. record: (scene) -> what a recording for rerun's viewer shows, by path;
    it imports rerun itself. static: runs over a fixed number of regions. api: version of this
    contract the plugin was written for.

    stages: (core, config) -> stages that the task brings into the core, such as a region stream of its own. configure:
    (record, config) -> the record as these options make it. prepare: (config, ground-truth scenes of the training data)
    -> config completed with what must be known before the network is built, such as a tokenizer; where nothing is
    missing it gives the config back without a look at the scenes.
    """

    name: str
    summary: str
    provides: tuple[Key[Any, Any], ...]
    build: Callable[[Core, Any], Head[Any, Any]]
    config: type[Config] = Config
    requires: tuple[Key[Any, Any], ...] = ()
    uses: tuple[Key[Any, Any], ...] = ()
    streams: Mapping[Stream, Policy] = field(default_factory=dict)
    applies_to: Callable[[Vocabulary], Sequence[int]] | None = None
    max_regions: int | None = None
    learns_from: tuple[Key[Any, Any], ...] = ()
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    evaluator: Callable[[Vocabulary], Evaluator] | None = None
    draw: Callable[[Image.Image, Scene], Image.Image] | None = None
    draw_apart: bool = False
    draw_covers: Coverage = Coverage.LINES
    views: Mapping[str, Callable[[Scene], Image.Image]] = field(default_factory=dict)
    hub_tag: str | None = None
    record: Callable[[Scene], Mapping[str, tuple[Any, ...]]] | None = None
    static: bool = False
    api: int = API_VERSION
    stages: Callable[[Core, Any], Sequence[Provider]] | None = None
    configure: Callable[[TaskSpec, Any], TaskSpec] | None = None
    prepare: Callable[[Any, Iterable[Scene]], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("provides", "requires", "uses", "learns_from"):
            keys = getattr(self, name)
            if not (isinstance(keys, tuple) and all(isinstance(key, Key) for key in keys)):
                raise PluginError(f"{name} of task {self.name!r} must be a tuple of keys, got {keys!r}")
        if not self.provides:
            raise PluginError(f"task {self.name!r} provides nothing; name the key that its `decode` gives")
        if len(set(self.provides)) < len(self.provides):
            names = ", ".join(key.name for key in self.provides)
            raise PluginError(f"task {self.name!r} provides a key more than once: {names}")

    @property
    def needs(self) -> tuple[Key[Any, Any], ...]:
        """Keys that must be on the board before the head runs: what it requires, and the streams it follows.

        A stream that the task brings itself is not among them.
        """
        followed = (key.of for key in self.provides if key.of is not None)
        wanted = dict.fromkeys((*self.requires, *followed, *self.streams))
        return tuple(key for key in wanted if key not in self.provides)


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone; build(**options) -> Backbone with strides 4, 8, 16, 32.

    One record may stand for all networks of a library: then `name` ends in "/", `names` lists what may follow it (it is
    called when one of them is asked for, so that the library is imported no sooner), and build(which, **options).
    """

    name: str
    summary: str
    build: Callable[..., Backbone]
    names: Callable[[], Sequence[str]] | None = None

    def __post_init__(self) -> None:
        if self.name.endswith("/") != (self.names is not None):
            raise PluginError(f'backbone {self.name!r}: a name that ends in "/" and `names` belong together')

    def member(self, name: str) -> BackboneSpec:
        """The record of one network of the library; InputError, with the nearest right name, where there is none."""
        known = [] if self.names is None else self.names()
        if name not in known:
            raise InputError(f"unknown backbone {self.name + name!r}{nearest(name, known)}")
        return replace(self, name=self.name + name, build=partial(self.build, name), names=None)


@dataclass(frozen=True)
class DetectorSpec:
    """A provider of OBJECTS; build(core, config) -> the stages it consists of, in any order.

    `config` is validated from the recipe's `detector_options`. evaluator and draw: as for tasks.
    """

    name: str
    summary: str
    build: Callable[[Core, Any], Sequence[Provider]]
    config: type[Config] = Config
    evaluator: Callable[[Vocabulary], Evaluator] | None = None
    draw: Callable[[Image.Image, Scene], Image.Image] | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """A data set; build(split=..., **options) -> a torch Dataset of Samples with a `vocabulary`."""

    name: str
    summary: str
    build: Callable[..., Dataset[Sample]]
    splits: tuple[str, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class BalancerSpec:
    """How losses of several tasks become gradients; build(**options) -> a callable (losses by name) -> scalar loss."""

    name: str
    summary: str
    build: Callable[..., Any]


@dataclass(frozen=True)
class WeightSource:
    """Models of another library: those called `prefix`/name are its.

    load: (name) -> a SceneModel, by whatever download the library brings. convert: (name, file) -> a SceneModel with
    the weights of a checkpoint; name is what follows `prefix`/, and may be empty where the file says it all. names:
    those that are known, for messages and the help.
    """

    prefix: str
    summary: str
    load: Callable[[str], SceneModel]
    convert: Callable[[str, Path], SceneModel] | None = None
    names: tuple[str, ...] = ()
