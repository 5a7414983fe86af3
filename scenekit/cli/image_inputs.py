"""What comes with the images of `scenekit predict`: external regions, and a camera by its focal length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.structures.cameras import Camera


def regions_from(given: Path | None, proposals: Path | None, images: Sequence[str]) -> Callable[[str, str], Any]:
    """Return what looks up the external regions of an image.

    Args:
        given: Folder of scene files with the objects to use instead of detection.
        proposals: File of boxes to use instead of the model's proposals.
        images: Paths of the images.

    Returns:
        (path of the image, name of the scene file without suffix) -> `given` of `SceneModel.predict`.

    Raises:
        InputError: If the file of boxes is invalid, or does not name one of the images.
    """
    import torch

    import scenekit as sk
    from scenekit.io.proposal_files import read_proposals

    if proposals is None:
        return lambda name, stem: None if given is None else sk.Scene.load(given / f"{stem}.json")
    table = read_proposals(proposals)
    rows = {name: table.rows[own] for name in images if (own := table.name_of(None, name)) is not None}
    for name in images:
        if name not in rows:
            raise InputError(
                f"{proposals}: no entry has the 'file_name' {name!r}, or the end of that path; write the file with"
                " `scenekit proposals --file-names`"
            )

    def boxes_of(name: str, stem: str) -> dict[Any, Any]:
        boxes, scores = (torch.from_numpy(values[rows[name]]).float() for values in (table.boxes, table.scores))
        return {sk.PROPOSALS: sk.Objects(boxes, torch.zeros(len(boxes), dtype=torch.int64), scores=scores)}

    return boxes_of


def check_proposals(network: SceneModel, proposals: Path | None) -> None:
    """Check that a model reads proposals, where there is a file of them.

    Args:
        network: The model.
        proposals: The file, if any.

    Raises:
        InputError: If it does not.
    """
    import scenekit as sk

    if proposals is not None and all(sk.PROPOSALS not in step.requires for step in network.plan.steps.values()):
        raise InputError(
            f"--proposals is for a model that classifies proposals; the detector of this one is"
            f" {network.config.detector!r}; choose one with fast_rcnn, rcnn or faster_rcnn"
        )


def pinhole(focal: float, height: int, width: int) -> Camera:
    """Return the camera with this focal length.

    Args:
        focal: Focal length, in pixels.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Returns:
        The camera.

    Raises:
        InputError: If the focal length can only be one in millimetres, or of a fisheye.
    """
    from scenekit.structures.cameras import MIN_FOCAL, Camera

    if 0 < focal < MIN_FOCAL * max(height, width):
        angle = math.degrees(2 * math.atan(max(height, width) / 2 / focal))
        raise InputError(
            f"--focal {focal:g}: expected pixels; an image of {width} x {height} would span {angle:.0f} degrees."
            " Convert millimetres: focal length / width of the sensor x width of the image"
        )
    return Camera.pinhole(focal, height, width)
