"""Reading images from files, PIL images, arrays and tensors into one form: RGB, values of 0..255, channels first.

Letters: H, W height and width in pixels.
"""

import os
import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from scenekit.errors import InputError

ImageSource: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

Pixels: TypeAlias = UInt8[Tensor, "3 _ _"] | Float[Tensor, "3 _ _"]
"""An image with values of 0..255: eight bits, or floating point as read from float tensors."""

EXPECTED = "a path, a PIL image, a uint8 array [H W 3], or a float tensor [3 H W] with values from 0 to 1"
RANGE_SLACK = 1e-3  # resampling with a bicubic filter leaves [0, 1] by about this much
WHITE = (255, 255, 255, 255)


ORIENTATION = 0x0112
"""The EXIF tag that says how a stored image is turned to be upright."""
TURNS = {
    2: "mirrored",
    3: "rotated by 180 degrees",
    4: "mirrored top to bottom",
    5: "rotated by 90 degrees and mirrored",
    6: "rotated by 90 degrees",
    7: "rotated by 270 degrees and mirrored",
    8: "rotated by 270 degrees",
}
"""What each value of that tag does to the stored image, clockwise; 1 leaves it."""


def orientation_of(path: str | os.PathLike[str]) -> int:
    """Return the EXIF orientation of an image file.

    Args:
        path: The file.

    Returns:
        One of `TURNS`, or 1 for an image that is stored upright, and for a file that cannot be read.
    """
    try:
        with Image.open(path) as image:
            value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # decoders raise nearly anything on damaged data, which `read_image` reports
        return 1
    return int(value) if value in TURNS else 1


def read_image(source: object, *, name: str | None = None, upright: bool = True) -> Pixels:
    """Read an image as an RGB tensor, rotated as its EXIF tag says.

    Transparent images are composed over white; 16-bit grey is scaled to 8 bits; of an animation the first frame is
    read. Float tensors are not rounded.

    Args:
        source: A path, a PIL image, a uint8 array [H W 3], a float tensor [3 H W] in [0, 1] or a uint8 tensor [3 H W].
        name: Name of the image in error messages; by default its path or type.
        upright: Whether the EXIF tag is applied; otherwise the image is as it is stored.

    Returns:
        The image with values of 0..255.

    Raises:
        InputError: If there is no such file, it holds no complete image, or an array or tensor has another shape, type
            or range; the message names the image.
    """
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source), name or os.fspath(source), upright)
    if isinstance(source, Image.Image):
        return _read_opened(source, name or "the PIL image", upright)
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "the array")
    if isinstance(source, Tensor):
        return _from_tensor(source, name or "the tensor")
    raise InputError(f"{name or 'the image'}: expected {EXPECTED}; got {type(source).__name__}")


def read_image_of_size(path: str | os.PathLike[str], size: tuple[int, int]) -> Pixels:
    """Read an image upright, or as it is stored where only that has the size of its labels.

    Args:
        path: The file.
        size: Expected (height, width), in pixels.

    Returns:
        The image with values of 0..255; upright where neither has the size.

    Raises:
        InputError: As for `read_image`.
    """
    pixels = read_image(path)
    if tuple(pixels.shape[1:]) == tuple(size) or orientation_of(path) == 1:
        return pixels
    stored = read_image(path, upright=False)
    return stored if tuple(stored.shape[1:]) == tuple(size) else pixels


def _read_file(path: Path, name: str, upright: bool) -> UInt8[Tensor, "3 H W"]:
    """Decode a file; every failure is an InputError that starts with `name`."""
    if os.path.isdir(path):
        raise InputError(f"{name}: expected an image, but this is a folder")
    if not os.path.isfile(path):
        raise InputError(f"{name}: no such file")
    try:
        with warnings.catch_warnings():
            # Up to twice Pillow's limit is a large photograph, which is accepted; beyond that Pillow itself refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _from_pil(image, name, upright)
    except InputError:
        raise
    except Image.DecompressionBombError as cause:
        raise InputError(f"{name}: the image has too many pixels to be decoded safely; scale it down first") from cause
    except UnidentifiedImageError as cause:
        kind = "is empty" if path.stat().st_size == 0 else "is not an image in a format that Pillow knows"
        raise InputError(f"{name}: the file {kind}") from cause
    except PermissionError as cause:
        raise InputError(f"{name}: no permission to read this file") from cause
    except Exception as cause:  # decoders raise nearly anything on damaged data
        raise InputError(f"{name}: the image is damaged or cut off and cannot be read ({cause})") from cause


def _read_opened(image: Image.Image, name: str, upright: bool) -> UInt8[Tensor, "3 H W"]:
    """Decode an image that Pillow has opened but perhaps not read: a truncated file fails only here."""
    try:
        return _from_pil(image, name, upright)
    except InputError:
        raise
    except Exception as cause:  # as in `_read_file`
        raise InputError(f"{name}: the image is damaged or cut off and cannot be read ({cause})") from cause


def _from_pil(image: Image.Image, name: str, upright: bool) -> UInt8[Tensor, "3 H W"]:
    """Convert an image of any of Pillow's modes to RGB."""
    image = ImageOps.exif_transpose(image) if upright else image
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image, name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return _from_array(np.asarray(image.convert("RGB")), name)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Convert grey of 16 bits (modes I;16 and I) or floating point in [0, 1] (mode F) to 8 bits."""
    grey = np.asarray(image, dtype=np.float64)
    top, what = (1.0, "floating-point") if image.mode == "F" else (65535.0, "integer")
    if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= top):
        raise InputError(
            f"{name}: expected {what} grey values from 0 to {top:g}, got {grey.min():g} to {grey.max():g}; rescale them"
        )
    return Image.fromarray(np.rint(grey * (255.0 / top)).astype(np.uint8))


def _from_array(array: np.ndarray, name: str) -> UInt8[Tensor, "3 H W"]:
    """Copy a uint8 array [H W 3]."""
    shape = list(array.shape)
    if array.ndim != 3 or shape[2] != 3:
        hint = "; move the channels last with .transpose(1, 2, 0)" if array.ndim == 3 and shape[0] == 3 else ""
        raise InputError(f"{name}: expected a uint8 array of shape [H W 3], got shape {shape}{hint}")
    if array.dtype != np.uint8:
        raise InputError(f"{name}: expected a uint8 array with values from 0 to 255, got {array.dtype}")
    if 0 in shape:
        raise InputError(f"{name}: the image has no pixels (shape {shape})")
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))


def _from_tensor(tensor: Tensor, name: str) -> Pixels:
    """Copy a tensor [3 H W] to the CPU: uint8, or floating point in [0, 1], scaled to 0..255."""
    shape = list(tensor.shape)
    if tensor.ndim != 3 or shape[0] != 3:
        hint = "; move the channels first with .permute(2, 0, 1)" if tensor.ndim == 3 and shape[2] == 3 else ""
        raise InputError(f"{name}: expected a float tensor of shape [3 H W], got shape {shape}{hint}")
    if 0 in shape:
        raise InputError(f"{name}: the image has no pixels (shape {shape})")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.uint8:
        return tensor.clone().contiguous()
    if not tensor.is_floating_point():
        raise InputError(f"{name}: expected floating-point values from 0 to 1 or uint8, got {tensor.dtype}")
    return _scaled(tensor.float(), name)


def _scaled(tensor: Float[Tensor, "3 H W"], name: str) -> Float[Tensor, "3 H W"]:
    """Scale values from [0, 1] to 0..255."""
    if not tensor.isfinite().all():
        raise InputError(f"{name}: the tensor holds NaN or infinite values; expected values from 0 to 1")
    low, high = tensor.min().item(), tensor.max().item()
    if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
        hint = "; divide by 255" if low >= 0 and 2 <= high <= 255 else ""
        raise InputError(f"{name}: expected values from 0 to 1, got {low:.4g} to {high:.4g}{hint}")
    return (tensor.clamp(0, 1) * 255).contiguous()


def rounded(pixels: Pixels) -> UInt8[Tensor, "3 _ _"]:
    """Round an image to eight bits.

    Args:
        pixels: The image with values of 0..255.

    Returns:
        The same as uint8.
    """
    return pixels if pixels.dtype == torch.uint8 else pixels.round().to(torch.uint8)
