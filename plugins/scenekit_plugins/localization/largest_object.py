"""A labeler: the class of an image is that of its largest object, whose box is that of the image's object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from scenekit.keys import CLASSIFICATION, LOCALIZATION, Key
from scenekit.scene import Scene
from scenekit.structures import ImageClasses, LocatedClasses, Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES


def largest_object(scene: Scene) -> Mapping[Key[Any, Any], Any]:
    """Return class and box of the largest object; no class where there is none.

    Crowds and ignored objects do not count; of equally large ones the first does.

    Args:
        scene: Ground truth with objects.

    Returns:
        The classification and the localization.
    """
    objects = scene.objects
    area = torch.where(objects.crowd | objects.ignore, -1.0, objects.area.double())
    if not len(objects) or float(area.max()) <= 0:
        empty = torch.zeros(0, dtype=torch.int64)
        return {CLASSIFICATION: ImageClasses.of(None), LOCALIZATION: LocatedClasses(empty, torch.zeros(0, 4))}
    row = int(area.argmax())
    label = int(objects.labels[row])
    return {CLASSIFICATION: ImageClasses.of(label), LOCALIZATION: LocatedClasses.of(label, objects.boxes[row])}


def names_of_things(vocabulary: Vocabulary) -> Mapping[str, tuple[str, ...]]:
    """Return the classes of images: those of things.

    Args:
        vocabulary: That of a data set.

    Returns:
        The list of names.
    """
    return {IMAGE_CLASSES: vocabulary.things}
