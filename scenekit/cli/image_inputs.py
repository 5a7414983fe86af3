"""The images of `scenekit predict`, and what comes with them: external regions, a camera by its focal length."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError
from scenekit.io.files import short_name

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel
    from scenekit.structures.cameras import Camera


LONGEST_STEM = 180
"""Bytes of the name that the files of an image share; a file system takes 255 with what each file adds."""


def check_images(images: Sequence[str], stems: Sequence[str], given: Path | None, proposals: Path | None) -> None:
    """Check that images, and the scene files of their objects, are there.

    Args:
        images: Paths of the images.
        stems: Names of their scene files, without suffix.
        given: Folder of scene files with the objects to use instead of detection.
        proposals: File of boxes to use instead of the model's proposals.

    Raises:
        InputError: One is missing, or both objects and boxes are named.
    """
    if given is not None and proposals is not None:
        raise InputError("--given and --proposals: name one of them; objects that are given need no proposals")
    known = [] if given is None else [str(given / f"{stem}.json") for stem in stems]
    check_files([*images, *known])


def check_files(names: Iterable[str]) -> None:
    """Check that files exist, before the first one is processed.

    Args:
        names: Paths of the files.

    Raises:
        InputError: If one does not exist.
    """
    for name in names:
        if not os.path.exists(name):  # False for a name too long for a file system, too
            raise InputError(f"{name}: no such file")


def unique_stems(names: Sequence[str]) -> list[str]:
    """Return one file name without suffix per image: its own, numbered where several images share it.

    Long names are cut off, so that those of all files of an image fit the file system. Names that differ in capitals
    alone count as the same, as some file systems have it.

    Args:
        names: Paths of the images.

    Returns:
        The names.
    """
    stems: list[str] = []
    taken: set[str] = set()
    for name in names:
        own = short_name(Path(name).stem, LONGEST_STEM)
        stem = next(
            stem for stem in (own, *(f"{own}-{n}" for n in range(2, len(names) + 2))) if stem.casefold() not in taken
        )
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


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
