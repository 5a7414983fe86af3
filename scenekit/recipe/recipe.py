"""The pydantic model of a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from scenekit.config import Config, explained
from scenekit.errors import InputError
from scenekit.io.files import write_atomically

Channel = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class InputConfig(Config):
    """How images enter the network: resized so that the shorter side is `min_size` unless the longer one would pass
    `max_size`, normalized by `mean` and `std` of values in 0..1, padded to a multiple of `divisor`.

    `resampling` is bilinear: "antialiased" averages what a pixel covers and rounds sizes to the nearest; "plain" looks
    at four neighbors only and rounds sizes down, as torchvision's detectors.
    """

    min_size: int = Field(default=800, ge=1)
    max_size: int = Field(default=1333, ge=1)
    mean: tuple[Channel, Channel, Channel] = (0.485, 0.456, 0.406)
    std: tuple[Spread, Spread, Spread] = (0.229, 0.224, 0.225)
    bgr: bool = False
    divisor: int = Field(default=32, ge=1)
    resampling: Literal["antialiased", "plain"] = "antialiased"


class BackboneConfig(Config):
    """The network below the pyramid; `weights` is a name that the backbone's library knows, or a file."""

    name: str = "resnet50"
    weights: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class PyramidConfig(Config):
    """The feature pyramid: `channels` on every level, made by convolutions that `norm` follows.

    `extra` adds coarser levels (see `FPN`), `slim` takes cheaper convolutions.
    """

    channels: int = Field(default=256, ge=1)
    extra: Literal["pool", "conv"] | None = "pool"
    norm: Literal["batch", "group"] | None = None
    slim: bool = False


class ModelConfig(Config):
    """Everything that decides which parameters a model has and what they mean (beside the vocabulary)."""

    input: InputConfig = Field(default_factory=InputConfig)
    backbone: BackboneConfig = Field(default_factory=BackboneConfig)
    pyramid: PyramidConfig = Field(default_factory=PyramidConfig)
    detector: str = "rcnn"
    detector_options: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)


class DatasetConfig(Config):
    """One data set of a run: a registered `name`, its `split`, what its builder takes, and its share of the mixture."""

    name: str
    split: str = "train"
    options: dict[str, Any] = Field(default_factory=dict)
    weight: float = Field(default=1.0, gt=0)


class LabelerConfig(Config):
    """A registered labeler by `name`, with the options that its builder takes."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class DataConfig(Config):
    """What a run learns from, and what it is measured on on the way if `train.evaluate_every` is set.

    `labelers` derive further ground truth for the samples of all these data sets; a name alone stands for a labeler
    without options.
    """

    train: tuple[DatasetConfig, ...]
    val: DatasetConfig | None = None
    labelers: tuple[str | LabelerConfig, ...] = ()

    @field_validator("train")
    @classmethod
    def _some(cls, train: tuple[DatasetConfig, ...]) -> tuple[DatasetConfig, ...]:
        if not train:
            raise ValueError("at least one data set is expected")
        return train


class AugmentConfig(Config):
    """How training images vary.

    `flip` and `crop` are probabilities; a crop keeps at least `crop_min` of either side. `scale` is the range of a
    random factor on the input size. `color` is the strength of brightness, contrast and saturation changes, 0 to 1.
    """

    flip: float = Field(default=0.5, ge=0, le=1)
    crop: float = Field(default=0.0, ge=0, le=1)
    crop_min: float = Field(default=0.6, gt=0, le=1)
    scale: tuple[float, float] = (1.0, 1.0)
    color: float = Field(default=0.0, ge=0, le=1)

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"a range of two factors above 0, smaller first, is expected, got {list(scale)}")
        return scale


class TrainConfig(Config):
    """How the weights are found.

    `batch_size` images go through the network at once in every process; an optimizer step sees `accumulate` such
    batches. `lr` is the peak, `backbone_lr_factor` multiplies it for the backbone. `weight_decay` spares norms and
    biases. `schedule` starts with `warmup` steps: one_cycle and cosine then fall to 0, step falls tenfold at 2/3 and
    8/9 of the run. `clip` bounds the norm of the whole gradient. `ema` is the decay of averaged weights. The log has a
    line every `log_every` steps, and in every `grad_norm_every`th line the gradient norm of each task. A checkpoint is
    written every `save_every` steps, the last `keep` stay. Every `evaluate_every` steps (0: never) the first
    `evaluate_limit` images of `data.val` measure the model. `loss_weights` are by "task" or "task.loss".

    `only` names the tasks (or stages of the core) that learn; all else stays as the recipe's `init` has it, to the bit.
    So a task is taught to a model that keeps what it can do, and a step takes less.
    """

    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=8, ge=1)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["no", "bf16", "fp16"] = "no"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    backbone_lr_factor: float = Field(default=1.0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    warmup: int = Field(default=100, ge=0)
    clip: float | None = Field(default=10.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    seed: int = 0
    workers: int = Field(default=1, ge=0)
    log_every: int = Field(default=10, ge=1)
    grad_norm_every: int = Field(default=10, ge=0)
    save_every: int = Field(default=200, ge=1)
    keep: int = Field(default=2, ge=1)
    evaluate_every: int = Field(default=0, ge=0)
    evaluate_limit: int = Field(default=100, ge=1)
    loss_weights: dict[str, float] = Field(default_factory=dict)
    only: tuple[str, ...] | None = Field(default=None, min_length=1)
    balancer: str = "static"
    balancer_options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("precision", mode="before")
    @classmethod
    def _yaml_no(cls, value: object) -> object:
        """YAML reads a bare `no` as False."""
        return "no" if value is False else value


class Recipe(Config):
    """A whole run: which model learns from which data, and how.

    `init` names a model (as `scenekit.load` knows it) that the run starts from. Its configuration is that of the run,
    with what `model` sets in its place, section by section; where `model` names tasks, the run has those alone, with
    the options that the initial model has of them. Its weights are taken wherever they fit, rows of classes by the
    names of the classes. Without `init` the weights are fresh, the backbone's as `model.backbone.weights` says. `out`
    is where the run writes unless told otherwise.
    """

    init: str | None = None
    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    out: str = "runs/run"

    @model_validator(mode="after")
    def _measurable(self) -> Recipe:
        if self.train.evaluate_every and self.data.val is None:
            raise ValueError("train.evaluate_every needs a data set to measure on: set data.val")
        return self

    @model_validator(mode="after")
    def _grounded(self) -> Recipe:
        if self.train.only is not None and self.init is None:
            raise ValueError("train.only needs a model whose other parts are worth keeping: set init")
        return self

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read YAML; every override `a.b=value` (value in YAML, list entries by number) replaces or adds one entry.

        Raises InputError, in one line, for a file that cannot be read, an unknown key (naming the nearest right one)
        and a value of the wrong type.
        """
        return cls.parse(read_content(path, overrides), str(path))

    @classmethod
    def parse(cls, content: object, origin: str = "the recipe") -> Recipe:
        """Check plain data; `origin` stands at the beginning of error messages."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{origin}: {explained(error, cls)}") from None

    def save(self, path: str | Path) -> None:
        """Write YAML atomically; `load` gives an equal recipe."""
        write_atomically(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False).encode())


def read_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What a recipe's file says with the overrides put in, as plain data that nobody has checked."""
    content = _read_yaml(Path(path))
    for override in overrides:
        _override(content, override)
    return content


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: a recipe in YAML is expected; it cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: a recipe in YAML is expected; {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a recipe has sections such as model, data and train; got {type(content).__name__}")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    """Put one `a.b=value` into plain data; sections that are missing are made."""
    path, sign, text = override.partition("=")
    names = path.strip().split(".")
    if not sign or not all(names):
        raise InputError(f"an override looks like train.steps=50, got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"override {override!r}: what follows = must be YAML") from None
    place: Any = content
    for name in names[:-1]:
        place = _entry(place, name, override)
    _assign(place, names[-1], value, override)


def _entry(place: Any, name: str, override: str) -> Any:
    if isinstance(place, dict):
        if place.get(name) is None:
            place[name] = {}
        return place[name]
    return place[_list_index(place, name, override)]


def _assign(place: Any, name: str, value: Any, override: str) -> None:
    if isinstance(place, dict):
        place[name] = value
    else:
        place[_list_index(place, name, override)] = value


def _list_index(place: Any, name: str, override: str) -> int:
    if not isinstance(place, list):
        raise InputError(f"override {override!r}: {name!r} is below a single value; name a section or a list entry")
    if not name.isdecimal() or int(name) >= len(place):
        raise InputError(f"override {override!r}: a list entry from 0 to {len(place) - 1} is expected, got {name!r}")
    return int(name)
