"""Options of the task, and the record for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import BOXES3D, MASKS, OBJECTS, Key

PredictorName = Literal["transformer", "imp", "frequency"]
LongTail = Literal["none", "logit_adjustment", "class_balanced"]


class MessagePassingConfig(Config):
    """Iterative message passing (Xu et al., 2017)."""

    hidden: int = Field(default=256, ge=1)
    """Width of the states."""
    features: int = Field(default=512, ge=1)
    """Width of the input features."""
    iterations: int = Field(default=3, ge=0, le=1000)
    """Number of exchanges."""
    order: Literal["synchronous", "original"] = "synchronous"
    """With "synchronous", nodes and edges both read the previous states; with "original", nodes read the new states of
    the edges.
    """


class TransformerConfig(Config):
    """A transformer: attention among the objects of an image, then among its pairs, which also attend to the objects.

    The layers of 3D boxes and masks are zero at first, so that adding them to a trained model changes nothing. In
    training these inputs are computed for the objects that relations are trained on, at the cost of their heads.
    """

    width: int = Field(default=128, ge=2)
    """Width of all layers."""
    heads: int = Field(default=4, ge=1, le=1000)
    """Number of attention heads."""
    feedforward: int = Field(default=256, ge=1)
    """Width of the feed-forward layers."""
    object_layers: int = Field(default=2, ge=0, le=100)
    """Number of attention layers among objects."""
    pair_layers: int = Field(default=1, ge=0, le=100)
    """Number of attention layers among pairs."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout."""
    boxes3d: bool = True
    """Whether the objects' 3D boxes are inputs, if the model has the task."""
    pairs3d: bool = False
    """Whether the relative position of two 3D boxes is an input of pairs, which distinguishes metric relations such as
    "in front of".
    """
    masks: bool = False
    """Whether the objects' masks are inputs, if the model has the task."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> TransformerConfig:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        return self


class RelationConfig(Config):
    """Options of the relation head."""

    predictor: PredictorName = "transformer"
    """Network that predicts the relation of a pair; its options stand under its name."""
    transformer: TransformerConfig = TransformerConfig()
    """The transformer."""
    imp: MessagePassingConfig = MessagePassingConfig()
    """Iterative message passing."""
    max_objects: int = Field(default=20, ge=1)
    """Number of the best objects of an image whose ordered pairs are scored."""
    max_pairs: int = Field(default=128, ge=1)
    """Number of the best pairs of an image for which predicates are predicted."""
    max_relations: int = Field(default=100, ge=1)
    """Upper limit of the relations of an image."""
    relabel: bool = True
    """Whether labels that the predictor gives the objects count in the scores and are part of the result, unless the
    labels are given as certain; with `learn_on: regions`, where labels are known, they are not.
    """
    pooled: int = Field(default=7, ge=1)
    """Side of the RoI features of objects."""
    union_pooled: int = Field(default=5, ge=0)
    """Side of the RoI features of the box around a pair; 0 for none (transformer only)."""
    learn_on: Literal["detections", "regions"] = "detections"
    """Regions in training: de-duplicated detections, also without a match, or sampled regions with a match."""
    pair_samples: int = Field(default=96, ge=1)
    """Number of pairs per image that the losses use."""
    foreground_fraction: float = Field(default=0.5, gt=0, le=1)
    """Largest share of related pairs among them."""
    predicates: Literal["softmax", "sigmoid"] = "softmax"
    """With "softmax" predicates and "no relation" exclude each other (several that hold share the probability); with
    "sigmoid" each is independent.
    """
    frequency_bias: bool = True
    """Whether the logarithm of how often two labels have a relation is added (Zellers et al., 2018)."""
    smoothing: float = Field(default=4.0, gt=0)
    """Number of pairs that the general distribution counts as, where counts of two labels are few."""
    long_tail: LongTail = "none"
    """Against the long tail: "logit_adjustment" (Menon et al., 2021) or "class_balanced" weights (Cui et al., 2019)."""
    adjustment: float = Field(default=1.0, ge=0)
    """Tau of logit adjustment."""
    balance: float = Field(default=0.999, ge=0, lt=1)
    """Beta of class-balanced weights."""

    @property
    def relabels(self) -> bool:
        """Whether the predictor's labels are part of the result: only where they are trained."""
        return self.relabel and self.learn_on == "detections"


def configured(spec: TaskSpec, config: RelationConfig) -> TaskSpec:
    """Return the record of the task for its options: the regions it is trained on, and the inputs of the predictor.

    Args:
        spec: The record.
        config: Options of the task.

    Returns:
        The changed record.
    """
    network = config.transformer if config.predictor == "transformer" else None
    uses: tuple[Key[Any, Any], ...] = ()
    if network is not None:
        uses = ((BOXES3D,) if network.boxes3d or network.pairs3d else ()) + ((MASKS,) if network.masks else ())
    policy = Policy.DETECTIONS if config.learn_on == "detections" else Policy.FOREGROUND
    static = config.predictor != "imp"  # its messages would have to leave padding out
    return replace(spec, uses=uses, streams={OBJECTS: policy}, max_regions=config.max_objects, static=static)
