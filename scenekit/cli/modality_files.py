"""What images of the command line come with: files of modalities, and their camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.structures.cameras import Camera

Inputs = Callable[[str], Mapping[str, Any]]
"""From the path of an image to arguments of `SceneModel.predict`."""


def inputs_from(values: Mapping[str, Any], images: Sequence[str]) -> Inputs:
    """Return what looks up the further inputs of an image.

    Args:
        values: Arguments of `SceneModel.predict` by name: of modalities a file, or a folder of files that are named as
            the images; and their options. None counts as not given.
        images: Paths of the images.

    Returns:
        A function from the path of an image to these arguments.

    Raises:
        InputError: There is no such modality or option, an option is without its modality, or an image has no file.
    """
    from scenekit.model.modalities import InputValues

    given = {name: value for name, value in values.items() if value is not None}
    known = InputValues.of(given)
    known.check_options(())
    options = {name: value for name, value in given.items() if name not in known.values}
    files = {name: _files(name, Path(str(value)), images) for name, value in known.values.items()}
    return lambda image: {**options, **{name: of_image[image] for name, of_image in files.items()}}


def _files(name: str, path: Path, images: Sequence[str]) -> dict[str, str]:
    """Return the file of each image."""
    if not path.exists():
        raise InputError(f"{name}: {path}: no such file or folder")
    if path.is_file():
        if len(images) > 1:
            raise InputError(
                f"{name}: {path} is one file for {len(images)} images; name a folder of files called alike"
            )
        return {images[0]: str(path)}
    stored: dict[str, str] = {file.stem: str(file) for file in sorted(path.iterdir()) if file.is_file()}
    for image in images:
        if Path(image).stem not in stored:
            raise InputError(f"{name}: {path} has no file that is called {Path(image).stem}, as {image} is")
    return {image: stored[Path(image).stem] for image in images}


def camera_from(text: str | None, focal: float | None) -> Camera | float | None:
    """Return what is known of the camera.

    Args:
        text: fx, fy, cx, cy in pixels, separated by commas; None without them.
        focal: The focal length in pixels of a camera that looks along the center of each image; None without it.

    Returns:
        The camera, or the focal length; None where neither is known.

    Raises:
        InputError: Both are named, or these are not four numbers, or no camera.
    """
    if text is None:
        return focal
    if focal is not None:
        raise InputError("--focal and --camera: name one of them; --camera includes the focal lengths")
    import torch

    from scenekit.structures.cameras import Camera

    try:
        fx, fy, cx, cy = (float(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"--camera: expected fx,fy,cx,cy in pixels, such as 720,720,621,187, got {text!r}") from None
    return Camera(torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
