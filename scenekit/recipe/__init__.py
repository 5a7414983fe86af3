"""Recipes: the pydantic model of a run, its JSON schema, and where each value comes from."""

from scenekit.recipe.data import DataConfig, DatasetConfig, LabelerConfig, TeacherConfig
from scenekit.recipe.label_space import LabelSpace
from scenekit.recipe.model import BackboneConfig, InputConfig, ModelConfig, PyramidConfig
from scenekit.recipe.recipe import (
    AugmentConfig,
    Recipe,
    TrainConfig,
    read_content,
)

__all__ = [
    "AugmentConfig",
    "BackboneConfig",
    "DataConfig",
    "DatasetConfig",
    "InputConfig",
    "LabelSpace",
    "LabelerConfig",
    "ModelConfig",
    "PyramidConfig",
    "Recipe",
    "TeacherConfig",
    "TrainConfig",
    "read_content",
]
