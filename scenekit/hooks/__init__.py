"""The plugin door: hook specifications, the records they return, and the manager that collects them."""

from scenekit.hooks.records import (
    API_VERSION,
    BackboneSpec,
    BalancerSpec,
    Config,
    DatasetSpec,
    DetectorSpec,
    Policy,
    TaskSpec,
    WeightSource,
)

__all__ = [
    "API_VERSION",
    "BackboneSpec",
    "BalancerSpec",
    "Config",
    "DatasetSpec",
    "DetectorSpec",
    "Policy",
    "TaskSpec",
    "WeightSource",
]
