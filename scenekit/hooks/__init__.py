"""The plugin door: hook specifications, the records they return, and the manager that collects them."""

from scenekit.config import Config
from scenekit.hooks.manager import Failure, Origin, Registry, blaming, registry
from scenekit.hooks.records import (
    API_VERSION,
    BackboneSpec,
    BalancerSpec,
    DatasetSpec,
    DetectorSpec,
    Policy,
    TaskSpec,
    WeightSource,
)
from scenekit.hooks.specs import hookimpl

__all__ = [
    "API_VERSION",
    "BackboneSpec",
    "BalancerSpec",
    "Config",
    "DatasetSpec",
    "DetectorSpec",
    "Failure",
    "Origin",
    "Policy",
    "Registry",
    "TaskSpec",
    "WeightSource",
    "blaming",
    "hookimpl",
    "registry",
]
