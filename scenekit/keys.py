"""Names for what is on the board, in targets and in scenes.

A `Key` is identified by its qualified name; it holds what a value follows (`of`) and how such values behave (`field`).
Data sets and plugins share the keys below; a third party makes its own: `Key("acme.distance", of=OBJECTS, doc=...)`.
"""

from __future__ import annotations

import enum
import functools
import logging
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from scenekit.errors import InputError
from scenekit.fields.appearance import AppearanceField
from scenekit.fields.attributes import AttributeField
from scenekit.fields.base import Field, ImageField
from scenekit.fields.boxes3d import Box3DField
from scenekit.fields.captions import CaptionField
from scenekit.fields.depth import DepthField
from scenekit.fields.events import EventField
from scenekit.fields.frame import Frame
from scenekit.fields.image_classes import ImageClassesField, LocatedClassesField
from scenekit.fields.keypoints import KeypointField
from scenekit.fields.masks import MaskField
from scenekit.fields.meshes import MeshField
from scenekit.fields.panoptic import PanopticField
from scenekit.fields.relations import RelationField
from scenekit.fields.semantic import SemanticField
from scenekit.fields.voxels import VoxelField
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.events import Events
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.image_classes import ImageClasses, LocatedClasses
from scenekit.structures.images import ImageBatch
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.panoptic import Panoptic
from scenekit.structures.regions import Regions
from scenekit.structures.relations import Relations

Batch = TypeVar("Batch")
Item = TypeVar("Item")

RESERVED = ("format_version", "image", "vocabulary", "left_out")
"""Entries of a scene's JSON that belong to no key."""

PLUGIN_GROUP = "scenekit"
"""Entry-point group of plugins."""

_log = logging.getLogger(__name__)

_registered: dict[str, Key[Any, Any]] = {}


class Scope(enum.Enum):
    """What a value belongs to that is neither an image nor a row of a stream."""

    CLIP = "clip"
    """All frames of a clip together."""


CLIP = Scope.CLIP
"""What a key follows when its value belongs to a whole clip: there is one for each clip of a batch."""


class Key(Generic[Batch, Item]):
    """One name on the board.

    Keys with the same name are the same key, also after pickling.

    Args:
        name: The qualified name, such as "acme.distance"; the identity of the key.
        of: The stream whose rows the value follows; IMAGE (None) for a value of the whole image, CLIP for one of the
            frames of a clip together.
        doc: What the value is, in one line, with its unit.
        field: How values of the key behave; by default row tensors, or plain values of the image.
        shape: The shape of the board value by named dimensions: first "N" (rows of the stream) or "B" (images, or
            clips), then numbers for fixed sizes and names for free ones; a tensor of another shape is refused.
        example: Makes up ground truth for an image and its regions; `scenekit check` calls it instead of the field
            where a key's values are more than fractions, such as the numbers of classes.

    Raises:
        InputError: The name is reserved, or exists with another meaning.
    """

    def __init__(
        self,
        name: str,
        of: Stream | Scope | None = None,
        doc: str = "",
        field: Field[Batch, Item] | None = None,
        shape: tuple[str | int, ...] | None = None,
        example: Callable[[Frame], Item] | None = None,
    ) -> None:
        self.name = name
        self.of: Stream | None = None if isinstance(of, Scope) else of
        self.of_clip = of is CLIP
        self.doc = doc
        self.shape = shape
        self.example = example
        self.field: Field[Batch, Item] = field or (
            ImageField() if self.of is None else Field(len(shape) if shape else 1)
        )
        if name in RESERVED:
            raise InputError(f"{name!r} is an entry of every scene file and can't name a key; choose another name")
        known = _registered.setdefault(name, self)
        if known._meaning != self._meaning:
            doc = known.doc or "undocumented"
            raise InputError(f"key {name!r} exists with another meaning ({doc}); choose another name")

    @property
    def _meaning(self) -> tuple[object, ...]:
        return type(self), type(self.field), self.of, self.of_clip, self.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Key({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        of = CLIP if self.of_clip else self.of
        return _restore, (type(self), self.name, of, self.doc, self.field, self.shape)


class Stream(Key[Regions, Any]):
    """A set of regions drawn from the shared proposals and matched to one set of ground-truth boxes."""


def _restore(kind: type[Key[Any, Any]], name: str, *rest: Any) -> Key[Any, Any]:
    return _registered.get(name) or kind(name, *rest)


def key_named(name: str) -> Key[Any, Any] | None:
    """Return the key of that name, also one of an installed plugin that nothing has imported yet.

    Args:
        name: The qualified name of the key.

    Returns:
        The key; None where no installed package has one of that name.
    """
    if name not in _registered and name not in RESERVED:
        _import_plugins()
    return _registered.get(name)


@functools.cache
def _import_plugins() -> None:
    """Import the modules of all installed plugins, whose keys are known from then on."""
    for entry_point in entry_points(group=PLUGIN_GROUP):
        try:
            entry_point.load()
        except Exception as error:  # of a plugin that the registry reports as broken, too
            _log.warning("the keys of the plugin %r are unknown, as it cannot be imported: %r", entry_point.name, error)


IMAGE = None
"""What a key follows when its value belongs to the whole image."""

IMAGES: Key[ImageBatch, Any] = Key("images", doc="the batch itself")
BACKBONE_FEATURES: Key[FeaturePyramid, Any] = Key("backbone_features", doc="the maps of the backbone, as they are")
FEATURES: Key[FeaturePyramid, Any] = Key("features", doc="the shared feature pyramid")
RPN_FEATURES: Key[FeaturePyramid, Any] = Key("rpn_features", doc="trunk of the region proposal network, per level")
PROPOSALS: Key[Regions, Any] = Key("proposals", doc="class-agnostic candidate boxes, scores are objectness")

OBJECTS = Stream("objects", doc="labelled regions: sampled ones with targets, detections without")
PHRASES = Stream("phrases", doc="class-agnostic described regions")
PHRASE_PROPOSALS: Key[Regions, Any] = Key("phrase_proposals", doc="as proposals, for PHRASES")

SEMANTIC: Key[Any, Any] = Key(
    "semantic", doc="logits [B C h w]; finished: labels [H W]", field=SemanticField(), shape=("B", "C", "h", "w")
)
PANOPTIC: Key[Any, Panoptic] = Key("panoptic", doc="segments that do not overlap", field=PanopticField())
DEPTH: Key[Any, Any] = Key("depth", doc="metres along the optical axis [H W]", field=DepthField())
RELATIONS: Key[Any, Relations] = Key("relations", doc="subject, predicate, object", field=RelationField())
CLASSIFICATION: Key[Any, ImageClasses] = Key(
    "classification", doc="classes of the image, best first", field=ImageClassesField()
)
LOCALIZATION: Key[Any, LocatedClasses] = Key(
    "localization", doc="class and box of the one object of the image", field=LocatedClassesField()
)

EVENTS: Key[Any, Events] = Key("events", of=CLIP, doc="what happens in a clip, and when", field=EventField())

MASKS: Key[Any, Masks] = Key(
    "masks", of=OBJECTS, doc="probabilities in the box frame [N M M]", field=MaskField(), shape=("N", "M", "M")
)
AMODAL_MASKS: Key[Any, Masks] = Key(
    "amodal_masks",
    of=OBJECTS,
    doc="as masks, hidden parts included",
    field=MaskField(amodal=True),
    shape=("N", "M", "M"),
)
KEYPOINTS: Key[Keypoints, Keypoints] = Key("keypoints", of=OBJECTS, doc="points of the skeleton", field=KeypointField())
ATTRIBUTES: Key[Any, Any] = Key(
    "attributes", of=OBJECTS, doc="probability per attribute [N A]", field=AttributeField(), shape=("N", "A")
)
CAPTIONS: Key[Captions, Captions] = Key("captions", of=OBJECTS, doc="a description of the object", field=CaptionField())
BOXES3D: Key[Boxes3D, Boxes3D] = Key("boxes3d", of=OBJECTS, doc="oriented boxes in metres", field=Box3DField())
MESHES: Key[Meshes, Meshes] = Key("meshes", of=OBJECTS, doc="shapes in the camera frame", field=MeshField())
VOXELS: Key[Any, Any] = Key(
    "voxels",
    of=OBJECTS,
    doc="occupancy of the 3D box, [N V V V] along its width, height and length",
    field=VoxelField(),
    shape=("N", "V", "V", "V"),
)
TRUNCATION: Key[Any, Any] = Key(
    "truncation",
    of=OBJECTS,
    doc="share of the object beyond the border of the image, 0..1, NaN unknown [N]",
    field=Field(nan_is_unknown=True),
)
VISIBILITY: Key[Any, Any] = Key(
    "visibility",
    of=OBJECTS,
    doc="share of the object that nothing hides, 0..1, NaN unknown [N]",
    field=Field(nan_is_unknown=True),
)
TEACHER_SCORE: Key[Any, Any] = Key(
    "teacher_score",
    of=OBJECTS,
    doc="score of an object that no person annotated but a teacher detected, 0..1 [N]; see `data.train[].teacher`",
)
OCCLUSION: Key[Any, Any] = Key(
    "kitti.occluded",
    of=OBJECTS,
    doc="how much of the object is hidden in KITTI's steps: 0 nothing, 1 partly, 2 largely, 3 or -1 unknown [N]",
)
APPEARANCE: Key[Any, Any] = Key(
    "appearance",
    of=OBJECTS,
    doc="unit vectors whose cosine says how alike two objects look [N C]",
    field=AppearanceField(),
    shape=("N", "C"),
)
PHRASE_CAPTIONS: Key[Captions, Captions] = Key(
    "phrase_captions", of=PHRASES, doc="a description of the region", field=CaptionField()
)
