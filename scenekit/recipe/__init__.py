"""Recipes: the pydantic model of a run, its JSON schema, and where each value comes from."""

from scenekit.recipe.recipe import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    DatasetConfig,
    InputConfig,
    LabelerConfig,
    ModelConfig,
    PyramidConfig,
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
    "LabelerConfig",
    "ModelConfig",
    "PyramidConfig",
    "Recipe",
    "TrainConfig",
    "read_content",
]
