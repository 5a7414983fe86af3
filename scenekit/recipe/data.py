"""The data section of a recipe: data sets, their teachers, labelers and label space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from scenekit.config import ONE, SEVERAL, Config
from scenekit.errors import InputError
from scenekit.recipe.label_space import LabelSpace
from scenekit.recipe.renaming import Renaming, problems_of


class TeacherConfig(Config):
    """A model whose detections are labels of the classes that a data set does not annotate (pseudo-labels)."""

    model: str
    """The model, as `scenekit.load` knows it."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Smallest score of a detection."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Its classes that are used; if null, all that the data knows: those of the label space, or without one its own.
    """
    overlap: float = Field(default=0.5, ge=0, le=1)
    """IoU with an annotated object above which a detection is left out: it is that object."""


class DatasetConfig(Config):
    """One data set of a run."""

    name: str
    """Name of a registered data set."""
    split: str = "train"
    """Which part of the data set."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the data set's builder."""
    weight: float = Field(default=1.0, gt=0, le=1e9)
    """Share of the mixture, relative to the other data sets; times a power of their sizes if `data.temperature` is set.
    """
    clip_frames: int | None = Field(default=None, ge=1)
    """If set, its samples are whole clips, for tasks of clips, each with at most so many of its frames; if null, those
    of a data set of clips are single frames.
    """
    rename: Renaming = Field(default_factory=dict)
    """Names of the data set that become other names, as `{man: person, woman: person}`; null for none, so that its
    labels are dropped. Below `predicates`, `attributes` or another list, names of that list. For several data sets at
    once, `data.labels` names a file.
    """
    labels: str | None = None
    """Section of the label file that names its classes; if null, that of its `name`."""
    teacher: TeacherConfig | None = None
    """A model that labels what the data set does not annotate; of `data.train` only."""

    @field_validator("rename")
    @classmethod
    def _straight(cls, rename: dict[str, Any]) -> dict[str, Any]:
        for problem in problems_of(rename):
            raise ValueError(problem)
        return rename

    @property
    def section(self) -> str:
        """The section of the label file that names its classes."""
        return self.name if self.labels is None else self.labels


def entry_names(entries: Sequence[DatasetConfig]) -> tuple[str, ...]:
    """Return a name for each of several data sets: section and split, with a number where others have the same.

    Args:
        entries: The data sets.

    Returns:
        Such as "coco/val" and "coco/val (2)".
    """
    names = [f"{entry.section}/{entry.split}" for entry in entries]
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True))


class LabelerConfig(Config):
    """A labeler of a run."""

    name: str
    """Name of a registered labeler."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the labeler's builder."""


def _as_label_space(value: object) -> object:
    """Return the content of a label file as a label space, so that its errors are one line; the path of one stays."""
    if value is None or isinstance(value, str | LabelSpace):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("expected the path of a label file")
    return LabelSpace.parse(value, "the label space")


class DataConfig(Config):
    """The data that a run trains and is evaluated on."""

    train: tuple[DatasetConfig, ...]
    """Data sets to train on; each image of a batch is drawn from one of them."""
    val: Annotated[
        Annotated[DatasetConfig | None, Tag(ONE)] | Annotated[tuple[DatasetConfig, ...], Tag(SEVERAL)],
        Discriminator(lambda value: SEVERAL if isinstance(value, list | tuple) else ONE),
    ] = None
    """Data set to evaluate on during training, if `train.evaluate_every` is set; or a list of them, of which each has
    its results under its name.
    """
    temperature: float | None = Field(default=None, gt=0)
    """If set, the share of a data set also follows its size: `weight * size ** (1 / temperature)`. 1 draws each image
    equally often, a high temperature each data set; if null, the size does not count.
    """
    labelers: tuple[str | LabelerConfig, ...] = ()
    """Labelers that derive further ground truth for the samples of all these data sets; a name alone stands for one
    without options.
    """
    inputs: tuple[str, ...] = ()
    """Modalities that images come with, such as `depth`: from the ground truth that stands for them, where samples have
    no other. Tasks that read them say so.
    """

    labels: Annotated[str | LabelSpace | None, BeforeValidator(_as_label_space)] = None
    """File of the label space of all these data sets, which `scenekit labels merge` proposes, or its content. If null,
    data sets are joined by the names of their classes.
    """

    @field_validator("train")
    @classmethod
    def _some(cls, train: tuple[DatasetConfig, ...]) -> tuple[DatasetConfig, ...]:
        if not train:
            raise ValueError("expected at least one data set")
        return train

    @model_validator(mode="after")
    def _labelled(self) -> DataConfig:
        space = self.label_space
        if space is None:
            return self
        try:
            space.check_answered()
            for entry in self.entries:
                space.section(entry.section)
        except InputError as error:
            raise InputError(f"{self.labels if isinstance(self.labels, str) else 'labels'}: {error}") from None
        if renaming := next((entry.name for entry in self.entries if entry.rename), None):
            raise InputError(f"{renaming!r} has `rename` beside the label file; write what its names become there")
        return self

    @model_validator(mode="after")
    def _untaught(self) -> DataConfig:
        if any(entry.teacher is not None for entry in self.val_entries):
            raise ValueError("data.val: a teacher's detections are no ground truth; leave `teacher` out")
        return self

    @property
    def entries(self) -> tuple[DatasetConfig, ...]:
        """All data sets, those to train on first."""
        return (*self.train, *self.val_entries)

    @property
    def val_entries(self) -> tuple[DatasetConfig, ...]:
        """The data sets to evaluate on."""
        return self.val if isinstance(self.val, tuple) else () if self.val is None else (self.val,)

    @property
    def val_names(self) -> tuple[str, ...]:
        """The names of the results on `val`."""
        return entry_names(self.val_entries)

    @property
    def label_space(self) -> LabelSpace | None:
        """The label space of the data sets, read from its file; None where they are joined by name."""
        return LabelSpace.load(self.labels) if isinstance(self.labels, str) else self.labels
