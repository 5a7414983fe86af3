"""Options of the task, and the record that they make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from scenekit.config import Config
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import BOXES3D, MASKS, OBJECTS, Key

PredictorName = Literal["transformer", "imp", "frequency"]
LongTail = Literal["none", "logit_adjustment", "class_balanced"]


class MessagePassingConfig(Config):
    """Xu et al., 2017: states of `hidden` numbers, exchanged `iterations` times, over features of width `features`.

    In `order` "synchronous" nodes and edges both read the old states; in "original" the nodes read the edges' new ones.
    """

    hidden: int = Field(default=256, ge=1)
    features: int = Field(default=512, ge=1)
    iterations: int = Field(default=3, ge=0)
    order: Literal["synchronous", "original"] = "synchronous"


class TransformerConfig(Config):
    """`object_layers` of attention among the objects of an image, then `pair_layers` among its pairs, which also look
    at the objects; all of `width`, with `heads` and `feedforward`.

    `boxes3d` and `masks` say whether the objects' 3D boxes and masks are looked at where the model has these tasks;
    `pairs3d`, whether pairs also know how their 3D boxes lie to each other, which tells metric relations such as "in
    front of" apart: these numbers say nothing at first, so that a model that gets the option later goes on as before.
    While learning, what is looked at is computed for the objects that relations learn on, at the cost of its head.
    """

    width: int = Field(default=128, ge=2)
    heads: int = Field(default=4, ge=1)
    feedforward: int = Field(default=256, ge=1)
    object_layers: int = Field(default=2, ge=0)
    pair_layers: int = Field(default=1, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    boxes3d: bool = True
    pairs3d: bool = False
    masks: bool = False


class RelationConfig(Config):
    """`predictor` of what holds between two objects, with its own options under its name.

    Pairs: of each image's `max_objects` best objects all ordered pairs are scored and the best `max_pairs` looked at
    by the predictor; at most `max_relations` are told. `relabel` says whether labels that the predictor gives the
    objects, unless theirs are given as certain, take part in the scores and are told along; one that learns on sampled
    regions, whose labels are known, gives none. `pooled` is the RoIAlign side for objects, `union_pooled` that for the
    box around a pair (0: none, for the transformer).

    Learning: `learn_on` de-duplicated detections, also those that match nothing, or sampled regions that match. Of the
    looked-at pairs of an image `pair_samples` are learned from, at most a `foreground_fraction` of them related.
    `predicates` "softmax" has predicates and "no relation" exclude each other (several true ones share the
    probability), "sigmoid" judges each one by itself. `frequency_bias` adds the log of how often two labels stand in a
    relation (Zellers et al., 2018). `long_tail`: "logit_adjustment" (Menon et al., 2021) with `adjustment` as tau, or
    "class_balanced" weights (Cui et al., 2019) with `balance` as beta. `smoothing` is how many pairs the general
    distribution counts as, where counts of two labels are few.
    """

    predictor: PredictorName = "transformer"
    transformer: TransformerConfig = TransformerConfig()
    imp: MessagePassingConfig = MessagePassingConfig()
    max_objects: int = Field(default=20, ge=1)
    max_pairs: int = Field(default=128, ge=1)
    max_relations: int = Field(default=100, ge=1)
    relabel: bool = True
    pooled: int = Field(default=7, ge=1)
    union_pooled: int = Field(default=5, ge=0)
    learn_on: Literal["detections", "regions"] = "detections"
    pair_samples: int = Field(default=96, ge=1)
    foreground_fraction: float = Field(default=0.5, gt=0, le=1)
    predicates: Literal["softmax", "sigmoid"] = "softmax"
    frequency_bias: bool = True
    smoothing: float = Field(default=4.0, gt=0)
    long_tail: LongTail = "none"
    adjustment: float = Field(default=1.0, ge=0)
    balance: float = Field(default=0.999, ge=0, lt=1)

    @property
    def relabels(self) -> bool:
        """Whether the predictor's labels are told: only where it learns them."""
        return self.relabel and self.learn_on == "detections"


def configured(spec: TaskSpec, config: RelationConfig) -> TaskSpec:
    """The record with the rows that relations learn on, and what the predictor looks at."""
    looks = config.transformer if config.predictor == "transformer" else None
    uses: tuple[Key[Any, Any], ...] = ()
    if looks is not None:
        uses = ((BOXES3D,) if looks.boxes3d or looks.pairs3d else ()) + ((MASKS,) if looks.masks else ())
    policy = Policy.DETECTIONS if config.learn_on == "detections" else Policy.FOREGROUND
    return replace(spec, uses=uses, streams={OBJECTS: policy}, max_regions=config.max_objects)
