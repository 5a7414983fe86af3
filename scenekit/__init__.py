"""One network that understands a whole scene. `import scenekit as sk`.

Names are imported when they are first used, so that `import scenekit` and the command line start without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenekit import testing as testing
    from scenekit.assembly import build as build
    from scenekit.data.datasets import dataset as dataset
    from scenekit.data.sample import Sample as Sample
    from scenekit.data.sample import Supervision as Supervision
    from scenekit.errors import InputError as InputError
    from scenekit.evaluation.loop import evaluate as evaluate
    from scenekit.graph import Match as Match
    from scenekit.graph import find as find
    from scenekit.graph import load_graph as load_graph
    from scenekit.graph import save_graph as save_graph
    from scenekit.heads import BACKGROUND as BACKGROUND
    from scenekit.heads import AxisNames as AxisNames
    from scenekit.heads import Core as Core
    from scenekit.heads import Head as Head
    from scenekit.heads import Provider as Provider
    from scenekit.heads import rows_by_name as rows_by_name
    from scenekit.hooks import BackboneSpec as BackboneSpec
    from scenekit.hooks import BalancerSpec as BalancerSpec
    from scenekit.hooks import Config as Config
    from scenekit.hooks import DatasetSpec as DatasetSpec
    from scenekit.hooks import DetectorSpec as DetectorSpec
    from scenekit.hooks import Policy as Policy
    from scenekit.hooks import TaskSpec as TaskSpec
    from scenekit.hooks import WeightSource as WeightSource
    from scenekit.hooks import hookimpl as hookimpl
    from scenekit.hooks import registry as registry
    from scenekit.keys import AMODAL_MASKS as AMODAL_MASKS
    from scenekit.keys import ATTRIBUTES as ATTRIBUTES
    from scenekit.keys import BOXES3D as BOXES3D
    from scenekit.keys import CAPTIONS as CAPTIONS
    from scenekit.keys import DEPTH as DEPTH
    from scenekit.keys import FEATURES as FEATURES
    from scenekit.keys import IMAGE as IMAGE
    from scenekit.keys import KEYPOINTS as KEYPOINTS
    from scenekit.keys import MASKS as MASKS
    from scenekit.keys import MESHES as MESHES
    from scenekit.keys import OBJECTS as OBJECTS
    from scenekit.keys import PANOPTIC as PANOPTIC
    from scenekit.keys import PHRASE_CAPTIONS as PHRASE_CAPTIONS
    from scenekit.keys import PHRASES as PHRASES
    from scenekit.keys import PROPOSALS as PROPOSALS
    from scenekit.keys import RELATIONS as RELATIONS
    from scenekit.keys import SEMANTIC as SEMANTIC
    from scenekit.keys import TRUNCATION as TRUNCATION
    from scenekit.keys import VISIBILITY as VISIBILITY
    from scenekit.keys import VOXELS as VOXELS
    from scenekit.keys import Key as Key
    from scenekit.keys import Stream as Stream
    from scenekit.model import SceneModel as SceneModel
    from scenekit.ops.losses import safe_mean as safe_mean
    from scenekit.recipe import ModelConfig as ModelConfig
    from scenekit.recipe import Recipe as Recipe
    from scenekit.structures.board import Board as Board
    from scenekit.structures.boxes3d import Boxes3D as Boxes3D
    from scenekit.structures.cameras import Camera as Camera
    from scenekit.structures.captions import Captions as Captions
    from scenekit.structures.images import ImageBatch as ImageBatch
    from scenekit.structures.keypoints import Keypoints as Keypoints
    from scenekit.structures.masks import Masks as Masks
    from scenekit.structures.meshes import Meshes as Meshes
    from scenekit.structures.regions import Regions as Regions
    from scenekit.structures.relations import Relations as Relations
    from scenekit.structures.scene import Objects as Objects
    from scenekit.structures.scene import Scene as Scene
    from scenekit.structures.targets import Targets as Targets
    from scenekit.structures.vocabulary import Skeleton as Skeleton
    from scenekit.structures.vocabulary import Vocabulary as Vocabulary
    from scenekit.training.loop import train as train
    from scenekit.viewing.solids import save_mesh as save_mesh
    from scenekit.weights import load as load
    from scenekit.weights import push_to_hub as push_to_hub
    from scenekit.weights.card import Evaluation as Evaluation
    from scenekit.weights.transfer import Transfer as Transfer
    from scenekit.weights.transfer import transfer as transfer

__version__ = "0.1.0"

_HOMES = {
    "scenekit.assembly": ("build",),
    "scenekit.data.datasets": ("dataset",),
    "scenekit.data.sample": ("Sample", "Supervision"),
    "scenekit.errors": ("InputError",),
    "scenekit.evaluation.loop": ("evaluate",),
    "scenekit.graph": ("Match", "find", "load_graph", "save_graph"),
    "scenekit.heads": ("BACKGROUND", "AxisNames", "Core", "Head", "Provider", "rows_by_name"),
    "scenekit.hooks": (
        "BackboneSpec",
        "BalancerSpec",
        "Config",
        "DatasetSpec",
        "DetectorSpec",
        "Policy",
        "TaskSpec",
        "WeightSource",
        "hookimpl",
        "registry",
    ),
    "scenekit.keys": (
        "AMODAL_MASKS",
        "ATTRIBUTES",
        "BOXES3D",
        "CAPTIONS",
        "DEPTH",
        "FEATURES",
        "IMAGE",
        "KEYPOINTS",
        "MASKS",
        "MESHES",
        "OBJECTS",
        "PANOPTIC",
        "PHRASES",
        "PHRASE_CAPTIONS",
        "PROPOSALS",
        "RELATIONS",
        "SEMANTIC",
        "TRUNCATION",
        "VISIBILITY",
        "VOXELS",
        "Key",
        "Stream",
    ),
    "scenekit.model": ("SceneModel",),
    "scenekit.ops.losses": ("safe_mean",),
    "scenekit.recipe": ("ModelConfig", "Recipe"),
    "scenekit.structures.board": ("Board",),
    "scenekit.structures.boxes3d": ("Boxes3D",),
    "scenekit.structures.cameras": ("Camera",),
    "scenekit.structures.captions": ("Captions",),
    "scenekit.structures.images": ("ImageBatch",),
    "scenekit.structures.keypoints": ("Keypoints",),
    "scenekit.structures.masks": ("Masks",),
    "scenekit.structures.meshes": ("Meshes",),
    "scenekit.structures.regions": ("Regions",),
    "scenekit.structures.relations": ("Relations",),
    "scenekit.structures.scene": ("Objects", "Scene"),
    "scenekit.structures.targets": ("Targets",),
    "scenekit.structures.vocabulary": ("Skeleton", "Vocabulary"),
    "scenekit.training.loop": ("train",),
    "scenekit.viewing.solids": ("save_mesh",),
    "scenekit.weights": ("load", "push_to_hub"),
    "scenekit.weights.card": ("Evaluation",),
    "scenekit.weights.transfer": ("Transfer", "transfer"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

_MODULES = ("testing",)
"""Sub-modules that `sk.NAME` reaches without an import of their own."""

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"scenekit.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'scenekit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
