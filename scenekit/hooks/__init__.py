"""Plugins: hook specifications, the records they return, and the manager that collects them."""

from scenekit.config import Config
from scenekit.hooks.manager import Failure, Origin, Registry, naming_plugin, registry
from scenekit.hooks.records import (
    API_VERSION,
    NO_DETECTOR,
    BackboneSpec,
    BalancerSpec,
    Coverage,
    DatasetSpec,
    DetectorSpec,
    InputImage,
    LabelerSpec,
    ModalitySpec,
    Policy,
    RuntimeSpec,
    TaskSpec,
    TrackerSpec,
    WeightSource,
)
from scenekit.hooks.specs import hookimpl

__all__ = [
    "API_VERSION",
    "NO_DETECTOR",
    "BackboneSpec",
    "BalancerSpec",
    "Config",
    "Coverage",
    "DatasetSpec",
    "DetectorSpec",
    "Failure",
    "InputImage",
    "LabelerSpec",
    "ModalitySpec",
    "Origin",
    "Policy",
    "Registry",
    "RuntimeSpec",
    "TaskSpec",
    "TrackerSpec",
    "WeightSource",
    "hookimpl",
    "naming_plugin",
    "registry",
]
