"""The records that hooks return; the core then calls their plain functions."""

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
    from torch import Tensor
    from torch.export import ExportedProgram
    from torch.utils.data import Dataset

    from scenekit.backbones.base import Backbone
    from scenekit.data.clips import ClipSet
    from scenekit.data.sample import Sample, Supervision
    from scenekit.evaluation.evaluator import Evaluator
    from scenekit.evaluation.results import ResultsWriter
    from scenekit.model.head import Core, Head, Provider
    from scenekit.model.scene_model import SceneModel
    from scenekit.model.targets import Targets
    from scenekit.runtimes.quantization import Quantized
    from scenekit.scene import Scene
    from scenekit.structures.cameras import Camera
    from scenekit.structures.geometry import Geometry, Size
    from scenekit.structures.images import ImageBatch
    from scenekit.structures.vocabulary import Vocabulary
    from scenekit.tracking.tracker import Tracker
    from scenekit.visualization.scene_canvas import Canvas

API_VERSION = 1
"""Version of the records and of what the core promises to heads."""


class Policy(enum.Enum):
    """Which rows of a stream a head gets with targets; without targets they are the detections for both."""

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
    """One task: what it reads and provides, and the functions that build, measure and draw it."""

    name: str
    """The name in `tasks=[...]`, in recipes and on the command line."""
    summary: str
    """One line for `scenekit plugins`."""
    provides: tuple[Key[Any, Any], ...]
    """Keys that the head's `decode` puts on the board."""
    build: Callable[[Core, Any], Head[Any, Any]]
    """(core, config) -> the head."""
    config: type[Config] = Config
    """The model of the task's options."""
    requires: tuple[Key[Any, Any], ...] = ()
    """Keys that must be on the board."""
    uses: tuple[Key[Any, Any], ...] = ()
    """Keys that are read where the model has them (fixed when the model is built)."""
    inputs: Mapping[str, tuple[Key[Any, Any], ...]] = field(default_factory=dict)
    """Modalities that the head reads from `board.images.inputs` where images come with them, by name; each with the
    keys that the head then reads as well, where the model has them."""
    streams: Mapping[Stream, Policy] = field(default_factory=dict)
    """Policy per stream; FOREGROUND by default."""
    applies_to: Callable[[Vocabulary], Sequence[int]] | None = None
    """(vocabulary) -> labels of the things that the head serves; None: all."""
    max_regions: int | None = None
    """At most so many rows an image, best scores first."""
    learns_from: tuple[Key[Any, Any], ...] = ()
    """Keys of the ground truth that the head needs; rows without them are left out. Of several streams one suffices."""
    reads: tuple[Key[Any, Any], ...] = ()
    """Further keys of the ground truth that the loss reads to place what it learns, annotated or not, such as the 3D
    boxes that shapes lie in; nothing is learned from a batch without them."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """Factor by name of the loss, 1 by default."""
    evaluator: Callable[[Vocabulary], Evaluator] | None = None
    """(vocabulary) -> the evaluator of the task."""
    draw: Callable[[Canvas, Scene], None] | None = None
    """(canvas, scene): draw the task's values on the canvas, in pixels of the scene."""
    draw_apart: bool = False
    """Whether the drawing is dense with text and gets an image of its own."""
    draw_covers: Coverage = Coverage.LINES
    """What the drawing covers: tasks that cover more are drawn first."""
    views: Mapping[str, Callable[..., Image.Image]] = field(default_factory=dict)
    """By name, (scene) -> a further image of the scene, such as the one from above."""
    hub_tag: str | None = None
    """The hub's name for such tasks, such as "image-segmentation", for the model card."""
    record: Callable[[Scene], Mapping[str, tuple[Any, ...]]] | None = None
    """(scene) -> entries of a recording for the viewer rerun, by path; it imports rerun itself."""
    static: bool = False
    """Whether the head can run over a fixed number of regions."""
    api: int = API_VERSION
    """Version of this contract that the plugin was written for."""
    stages: Callable[[Core, Any], Sequence[Provider]] | None = None
    """(core, config) -> stages that the task brings into the core, such as a region stream of its own."""
    configure: Callable[[TaskSpec, Any], TaskSpec] | None = None
    """(record, config) -> the record as these options make it."""
    prepare: Callable[[Any, Iterable[Scene]], Any] | None = None
    """(config, ground-truth scenes of the training data) -> config, completed with what must be known before the
    network is built, such as a tokenizer; a config that is complete for the scenes is returned as it is."""
    relabel: Callable[[Any, Mapping[str, str]], Any] | None = None
    """(config, new class names by old ones) -> config, for options that name classes."""

    def __post_init__(self) -> None:
        for name in ("provides", "requires", "uses", "learns_from", "reads"):
            _check_keys(f"task {self.name!r}", name, getattr(self, name))
        for name, keys in self.inputs.items():
            _check_keys(f"task {self.name!r}", f"inputs[{name!r}]", keys)
        if not self.provides:
            raise PluginError(
                f"task {self.name!r} provides nothing; name the key of the value that its `decode` returns"
            )
        if len(set(self.provides)) < len(self.provides):
            names = ", ".join(key.name for key in self.provides)
            raise PluginError(f"task {self.name!r} provides a key more than once: {names}")
        if self.of_clips and not all(key.of_clip for key in self.provides):
            names = ", ".join(key.name for key in self.provides if not key.of_clip)
            raise PluginError(f"task {self.name!r} provides keys of clips, so that {names} needs a task of its own")

    @property
    def of_clips(self) -> bool:
        """Whether its values belong to whole clips: it runs after the frames of a batch, where these are clips."""
        return any(key.of_clip for key in self.provides)

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
    """A backbone, or all networks of a library: then `name` ends in "/"."""

    name: str
    """The value of `model.backbone.name` in a recipe."""
    summary: str
    """One line for `scenekit plugins`."""
    build: Callable[..., Backbone]
    """(**options) -> Backbone, with strides 4, 8, 16, 32 if it can; for a library (network, **options)."""
    names: Callable[[], Sequence[str]] | None = None
    """For a library: networks that may follow `name`; called, and the library imported, when one is asked for."""

    def __post_init__(self) -> None:
        if self.name.endswith("/") != (self.names is not None):
            raise PluginError(f'backbone {self.name!r}: a name that ends in "/" and `names` belong together')

    def member(self, name: str) -> BackboneSpec:
        """Return the record of one network of the library.

        Args:
            name: The name of the network within the library.

        Returns:
            A record whose name is that of the library and the network.

        Raises:
            InputError: The library has no such network; the message suggests the nearest one.
        """
        known = [] if self.names is None else self.names()
        if name not in known:
            raise InputError(f"unknown backbone {self.name + name!r}{nearest(name, known)}")
        return replace(self, name=self.name + name, build=partial(self.build, name), names=None)


@dataclass(frozen=True)
class DetectorSpec:
    """A provider of OBJECTS."""

    name: str
    """The value of `model.detector` in a recipe."""
    summary: str
    """One line for `scenekit plugins`."""
    build: Callable[[Core, Any], Sequence[Provider]]
    """(core, config) -> the stages that it consists of, in any order; one of them has a `pooler`."""
    config: type[Config] = Config
    """The model of its options, which a recipe sets as `model.detector_options`."""
    evaluator: Callable[[Vocabulary], Evaluator] | None = None
    """As for tasks."""
    draw: Callable[[Canvas, Scene], None] | None = None
    """As for tasks."""
    prepare: Callable[[Any, Iterable[Scene]], Any] | None = None
    """(config, ground-truth objects of the training data in pixels of the network's input) -> config, completed with
    what must be known before the network is built, such as the sizes of base boxes."""
    adapt: Callable[[Any, Sequence[Supervision]], Any] | None = None
    """(config, what some images of each training data set supervise, with named classes) -> config, adapted to which
    classes are covered together. Options that the recipe itself sets stay."""
    fit: Callable[[SceneModel, Iterable[tuple[ImageBatch, Targets]]], None] | None = None
    """(model, batches of the training data): fits what is not learned by gradients, such as an SVM, after the last
    step, and stores it in buffers of the stages."""
    fits_every_class: bool = False
    """Whether `fit` needs an object of every class: training data without one is refused before the first step."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Options of a small one, which `scenekit check` builds: those without a default at least."""
    relabel: Callable[[Any, Mapping[str, str]], Any] | None = None
    """As for tasks."""


NO_DETECTOR = DetectorSpec("none", "a model without objects", build=lambda core, config: [])
"""The record of a model whose `detector` is null."""


@dataclass(frozen=True)
class DatasetSpec:
    """A data set."""

    name: str
    """The name for `sk.dataset` and recipes."""
    summary: str
    """One line for `scenekit plugins`."""
    build: Callable[..., Dataset[Sample] | ClipSet]
    """(split=..., **options) -> a torch Dataset of Samples with an attribute `vocabulary`; or a `ClipSet`, whose items
    are Clips and whose `samples` are their frames."""
    splits: tuple[str, ...] = ("train", "val", "test")
    """The splits that there are."""
    results: Callable[[Path, Any], ResultsWriter] | None = None
    """(folder, data) -> a writer of predictions in the format of the data set; `data` is the data set, whose ids the
    files then have, or None."""
    url: str = ""
    """Page of the official download; empty for a format that people fill with data of their own."""
    license: str = ""
    """Licenses of annotations and images, in one line."""


@dataclass(frozen=True)
class LabelerSpec:
    """A way to derive ground truth from other ground truth; a recipe chooses it by name in `data.labelers`."""

    name: str
    """The name in `data.labelers` of a recipe."""
    summary: str
    """One line for `scenekit plugins`."""
    needs: tuple[Key[Any, Any], ...]
    """Keys that a scene must have, streams among them; a scene that lacks one stays as it is."""
    provides: tuple[Key[Any, Any], ...]
    """Keys that the labeler adds; one that is annotated already is kept as it is."""
    build: Callable[..., Callable[[Scene], Mapping[Key[Any, Any], Any]]]
    """(**options) -> a function from a scene to the values of `provides`; it is pickled where workers load samples."""
    lists: Mapping[str, tuple[str, ...]] | Callable[[Vocabulary], Mapping[str, tuple[str, ...]]] = field(
        default_factory=dict
    )
    """Names that the values index, by the name of their list: added to the vocabulary of the data set; or (vocabulary)
    -> such names, where they are those of another list."""

    def __post_init__(self) -> None:
        for name in ("needs", "provides"):
            _check_keys(f"labeler {self.name!r}", name, getattr(self, name))
        if not self.provides:
            raise PluginError(f"labeler {self.name!r} provides nothing; name the key that it adds")


@dataclass(frozen=True)
class BalancerSpec:
    """How the losses of several tasks become gradients."""

    name: str
    """The value of `train.balancer` in a recipe."""
    summary: str
    """One line for `scenekit plugins`."""
    build: Callable[..., Any]
    """(**options) -> a callable from the losses by name to one scalar loss, such as a `StatefulBalancer`."""


@dataclass(frozen=True)
class WeightSource:
    """Models of another library."""

    prefix: str
    """Models called `prefix`/name are of this source."""
    summary: str
    """One line for `scenekit plugins`."""
    load: Callable[[str], SceneModel]
    """(name) -> a SceneModel, by the library's own download."""
    convert: Callable[[str, Path], SceneModel] | None = None
    """(name, file) -> a SceneModel with the weights of a checkpoint; `name` is what follows `prefix`/, and may be empty
    where the file determines the network."""
    names: tuple[str, ...] = ()
    """Known names, for messages and the help."""


@dataclass(frozen=True)
class RuntimeSpec:
    """A format of exported networks, and what runs them."""

    name: str
    """The value of `scenekit export --format`."""
    summary: str
    """One line for `scenekit plugins`."""
    suffix: str
    """How its files end."""
    write: Callable[[ExportedProgram, Path], None]
    """(program of torch.export, path): writes it, with further files beside it where the format has them: the folder is
    its own. OSError if the disk does not take it; after any other error torch keeps the network, or parts of it.
    """
    open: Callable[[Path], Callable[[Sequence[Tensor]], Sequence[Tensor]]]
    """(path) -> a function from the tensors that go in to those that come out, on the CPU, always with the same
    results: they are compared with torch, to 1e-3 of the largest value. Several threads may call it at a time.
    """
    writes_with: tuple[str, ...] = ()
    """Modules that `write` imports."""
    runs_with: tuple[str, ...] = ()
    """Modules that `open` imports."""
    quantize: Callable[[Path, Sequence[Sequence[Tensor]]], Quantized] | None = None
    """(path, what goes in, call by call) -> what is in int8 now: replaces a file of `write` by one in int8; None for a
    format without int8.
    """


@dataclass(frozen=True)
class InputImage:
    """What is known of the image that a value of a modality comes with."""

    size: Size
    """(height, width) in pixels."""
    camera: Camera | None = None
    """Its camera in pixels of the image; None where it is unknown."""
    name: str = "the image"
    """Its name in messages."""


@dataclass(frozen=True)
class ModalitySpec:
    """What an image may come with beside its pixels, such as a depth map."""

    name: str
    """The argument of `SceneModel.predict`, and the name in `VideoFrame.inputs`, `Sample.inputs` and, for a modality of
    its own, `ImageBatch.inputs`."""
    summary: str
    """One line for `scenekit plugins`."""
    read: Callable[[Any, Any, InputImage], Tensor]
    """(value, options, image) -> a float map [C H W] in pixels of the image, NaN where there is nothing. It raises
    InputError for a value that cannot be one of the image."""
    config: type[Config] = Config
    """The model of its options: `scale` is the argument `depth_scale` of a modality `depth`."""
    becomes: str | None = None
    """The modality whose maps `read` returns, as points become depth; None where it is one of its own. Where an image
    comes with both, the other one fills the pixels in which this has nothing."""
    channels: int = 1
    """Channels of the maps."""
    transform: Callable[[Tensor, Geometry], Tensor] | None = None
    """(map, change of the image) -> the map of the resulting image; by default each pixel gets the nearest value."""
    key: Key[Any, Any] | None = None
    """A ground truth of the image [H W] that stands for it where data sets have no other: see `sk.evaluate(...,
    inputs=...)`."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise PluginError(f"modality {self.name!r}: the name becomes an argument; expected one such as 'depth'")
        if self.becomes is not None and self.key is not None:
            raise PluginError(f"modality {self.name!r}: `key` belongs to {self.becomes!r}, which it becomes")

    @property
    def input(self) -> str:
        """The name of its maps in `ImageBatch.inputs`."""
        return self.becomes or self.name


@dataclass(frozen=True)
class TrackerSpec:
    """A way to give the objects of a stream ids that last."""

    name: str
    """The value of `sk.track(..., tracker=NAME)` and of `scenekit predict --track`."""
    summary: str
    """One line for `scenekit plugins`."""
    build: Callable[[Any], Tracker]
    """(config) -> a tracker that has seen no scene."""
    config: type[Config] = Config
    """The model of its options, the further arguments of `sk.track`."""
    uses: tuple[Key[Any, Any], ...] = ()
    """Keys that it reads where scenes have them, such as masks; a task without weights that provides one is added to
    the model by `scenekit predict --track`."""

    def __post_init__(self) -> None:
        _check_keys(f"tracker {self.name!r}", "uses", self.uses)


def _check_keys(owner: str, field_name: str, keys: object) -> None:
    if not (isinstance(keys, tuple) and all(isinstance(key, Key) for key in keys)):
        raise PluginError(f"{field_name} of {owner} must be a tuple of keys, got {keys!r}")
