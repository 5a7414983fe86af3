"""The pydantic model of a whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from scenekit.config import Config, validated
from scenekit.errors import InputError, one_line, repr_of
from scenekit.io.files import write_atomically
from scenekit.io.yaml_text import DEEPEST, load_yaml
from scenekit.recipe.data import DataConfig
from scenekit.recipe.model import ModelConfig

LossWeight = Annotated[float, Field(ge=0)]

MOST_STEPS, MOST_IMAGES, MOST_WORKERS = 10**9, 2**16, 2**10
"""Upper limits of the length of a run, of the images of a batch and of the processes that load them."""


class AugmentConfig(Config):
    """Random augmentation of training images."""

    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    crop: float = Field(default=0.0, ge=0, le=1)
    """Probability of a random crop."""
    crop_min: float = Field(default=0.6, gt=0, le=1)
    """Smallest share of either side that a crop keeps."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of a random factor on the input size."""
    color: float = Field(default=0.0, ge=0, le=1)
    """Strength of changes of brightness, contrast and saturation, 0 to 1."""

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"expected a range of two factors above 0, smaller first, got {list(scale)}")
        return scale


class TrainConfig(Config):
    """How a model is trained."""

    steps: int = Field(default=1000, ge=1, le=MOST_STEPS)
    """Number of optimizer steps."""
    epochs: float | None = Field(default=None, gt=0, le=1e6)
    """Length of the run in place of `steps`: it draws this many times as many images as all data sets have together.
    How often each single one is passed follows from its share of the mixture.
    """
    batch_size: int = Field(default=8, ge=1, le=MOST_IMAGES)
    """Images per forward pass in every process."""
    accumulate: int = Field(default=1, ge=1, le=MOST_IMAGES)
    """Batches whose gradients one optimizer step accumulates."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision: none, bfloat16 or float16."""
    gradient_checkpointing: bool = False
    """Whether backbone and feature pyramid compute their activations again in the backward pass instead of keeping
    them: less memory and slower steps, with the same weights to the bit.
    """
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or stochastic gradient descent with momentum."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    backbone_lr_factor: float = Field(default=1.0, ge=0)
    """Factor on the learning rate of the backbone."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Weight decay of weight matrices; norms and biases do not decay."""
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    """Learning rate after the warm-up: one_cycle and cosine fall to 0, step divides by ten at 2/3 and 8/9 of the run.
    """
    warmup: int = Field(default=100, ge=0)
    """Steps over which the learning rate rises to its peak."""
    clip: float | None = Field(default=10.0, gt=0)
    """Upper limit of the norm of the whole gradient."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the exponential moving average of the weights; no average if null."""
    seed: int = 0
    """Seed of all random numbers of the run."""
    workers: int = Field(default=1, ge=0, le=MOST_WORKERS)
    """Worker processes that load data; no more start than there are processor cores."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of the log."""
    grad_norm_every: int = Field(default=10, ge=0)
    """The log holds the gradient norm of each task in every so many of its lines; 0: never."""
    interference_every: int = Field(default=0, ge=0)
    """Steps between two records of how the tasks' gradients agree at the feature pyramid, for `scenekit report`; each
    costs one more backward pass per task down to there; 0: never.
    """
    save_every: int = Field(default=200, ge=1)
    """Steps between two checkpoints."""
    keep: int = Field(default=2, ge=1)
    """Number of the latest checkpoints that are kept."""
    evaluate_every: int = Field(default=0, ge=0)
    """Steps between two evaluations on `data.val`; 0: never."""
    evaluate_limit: int = Field(default=100, ge=1)
    """Number of images of `data.val` that an evaluation uses, from the first on."""
    max_skipped: float = Field(default=0.5, ge=0, le=1)
    """Share of the samples that may turn out unusable when they are read; with more the run ends."""
    loss_weights: dict[str, LossWeight] = Field(default_factory=dict)
    """Weights of the losses, by "task" or "task.loss"."""
    only: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Tasks (or stages of the core) that are trained. All other weights stay as the recipe's `init` has them, to the
    bit: so a task is added to a model without changing the others, and a step is faster.
    """
    freeze: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Tasks and stages that stay as `init` has them, to the bit, while all others are trained; `trunk` stands for the
    backbone with its pyramid, `detection` for all stages that objects depend on.
    """
    balancer: str = "static"
    """Name of the registered balancer that combines the losses of all tasks."""
    balancer_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the balancer."""

    @field_validator("precision", mode="before")
    @classmethod
    def _yaml_no(cls, value: object) -> object:
        """Accept False, as YAML reads a bare `no`."""
        return "no" if value is False else value


class Recipe(Config):
    """A whole run: which model is trained on which data, and how."""

    init: str | None = None
    """Name of a model (as `scenekit.load` knows it) that the run starts from. Its configuration is that of the run,
    with what `model` sets in its place, section by section; where `model` names tasks, the run has those alone, with
    the options of the initial model. Its weights are taken wherever they fit, rows of classes by class name. If null,
    the weights are fresh, those of the backbone as `model.backbone.weights` says.
    """
    vocabulary: Literal["data", "init"] = "data"
    """Whose names the model has: those of all its data sets, or those of `init`, so that what it predicts already keeps
    its classes; lists that the initial model has none of, such as attributes, are those of the data then.
    """
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model."""
    data: DataConfig
    """The data sets."""
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    """The augmentation of training images."""
    train: TrainConfig = Field(default_factory=TrainConfig)
    """The training."""
    out: str = "runs/run"
    """Folder that the run writes to unless another one is named when it starts."""

    @model_validator(mode="after")
    def _measurable(self) -> Recipe:
        if self.train.evaluate_every and not self.data.val_entries:
            raise ValueError("train.evaluate_every needs a data set to evaluate on; set data.val")
        return self

    @model_validator(mode="after")
    def _grounded(self) -> Recipe:
        for name in ("only", "freeze"):
            if getattr(self.train, name) is not None and self.init is None:
                raise ValueError(f"train.{name} needs a model that keeps its other weights; set init")
        if self.train.only is not None and self.train.freeze is not None:
            raise ValueError("train.only and train.freeze: set one of them")
        if self.vocabulary == "init" and self.init is None:
            raise ValueError("vocabulary: init needs a model whose names are kept; set init")
        return self

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Load a recipe from a YAML file.

        Args:
            path: Path of the file.
            overrides: Entries to replace or add, each as `a.b=value` (value in YAML, list entries by number).

        Returns:
            The validated recipe.

        Raises:
            InputError: If the file cannot be read, holds an unknown key (the message names the nearest known one) or a
                value of the wrong type.
        """
        return cls.parse(read_content(path, overrides), str(path))

    @classmethod
    def parse(cls, content: object, origin: str = "the recipe") -> Recipe:
        """Validate plain data as a recipe.

        Args:
            content: The content of a recipe as plain data.
            origin: What error messages begin with, such as the path of the file.

        Returns:
            The validated recipe.

        Raises:
            InputError: If the content is not a recipe.
        """
        if not isinstance(content, Mapping | Config):
            raise InputError(f"{origin}: expected sections such as model, data and train, got {repr_of(content)}")
        return validated(cls, content, origin)

    def save(self, path: str | Path) -> None:
        """Write the recipe as YAML, atomically; `load` gives an equal recipe.

        Args:
            path: Path of the file.
        """
        write_atomically(path, self.to_yaml().encode())

    def to_yaml(self) -> str:
        """Write the recipe as YAML; `parse` of its content gives an equal recipe.

        Returns:
            The text.

        Raises:
            InputError: If an option is no plain data.
        """
        try:
            return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:  # of pydantic or YAML
            raise InputError(f"the recipe cannot be written as YAML: {one_line(error)}") from error


def read_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Load the content of a recipe file with overrides applied, without validating it.

    Args:
        path: Path of the file.
        overrides: Entries to replace or add, each as `a.b=value`.

    Returns:
        The content as plain data.

    Raises:
        InputError: If the file cannot be read as YAML, or an override cannot be applied.
    """
    content = _read_yaml(Path(path))
    for override in overrides:
        _override(content, override)
    return content


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such recipe; name a YAML file such as recipes/small.yaml") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); expected a recipe in YAML") from error
    content = load_yaml(text, str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected sections such as model, data and train, got {repr_of(content)}")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    """Apply one override `a.b=value` to plain data; missing sections are created."""
    path, sign, text = override.partition("=")
    names = path.strip().split(".")
    if not sign or not all(names) or len(names) > DEEPEST:
        raise InputError(f"expected an override such as train.steps=50, got {repr_of(override)}")
    value = load_yaml(text, f"override {path.strip()}")
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
        raise InputError(
            f"override {repr_of(override)}: {name!r} is below a single value; expected a section or a list entry"
        )
    if name not in map(str, range(len(place))):
        last = len(place) - 1
        raise InputError(f"override {repr_of(override)}: expected a list entry from 0 to {last}, got {repr_of(name)}")
    return int(name)
