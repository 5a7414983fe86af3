"""The types that travel through scenekit: frozen dataclasses of tensors, packed over a batch or for one image."""

from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.structures.captions import Captions
from scenekit.structures.events import Events
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.image_classes import IMAGE_CLASSES, ImageClasses, LocatedClasses
from scenekit.structures.images import ImageBatch, ImageOrigin, by_size, pad_batch
from scenekit.structures.keypoints import Keypoints
from scenekit.structures.masks import Masks
from scenekit.structures.meshes import Meshes
from scenekit.structures.moments import Moment, VideoFrame
from scenekit.structures.pairs import Pairs
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.regions import Regions
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Skeleton, Vocabulary

__all__ = [
    "IMAGE_CLASSES",
    "Boxes3D",
    "Camera",
    "Captions",
    "Events",
    "FeaturePyramid",
    "Geometry",
    "ImageBatch",
    "ImageClasses",
    "ImageOrigin",
    "Keypoints",
    "LocatedClasses",
    "Masks",
    "Meshes",
    "Moment",
    "Pairs",
    "Panoptic",
    "Regions",
    "Relations",
    "Segment",
    "Size",
    "Skeleton",
    "VideoFrame",
    "Vocabulary",
    "by_size",
    "pad_batch",
]
