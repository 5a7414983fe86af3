"""Reading images from files, PIL images, arrays and tensors into one form: RGB, values of 0..255, channels first.

Letters: H, W height and width in pixels; C channels: 1 grey, 3 RGB, 4 RGB and opacity.
"""

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.structures.geometry import Size
from scenekit.structures.moments import VideoFrame

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray | Tensor | VideoFrame
)

Pixels: TypeAlias = UInt8[Tensor, "3 _ _"] | Float[Tensor, "3 _ _"]
"""An image with values of 0..255: eight bits, or floating point as read from float tensors."""

EXPECTED = (
    "a path, bytes or an open file of an image, a PIL image, an array [H W 3], or a tensor [3 H W]; uint8, or floats "
    "from 0 to 1"
)
CHANNELS = (1, 3, 4)
RANGE_SLACK = 1e-3  # resampling with a bicubic filter leaves [0, 1] by about this much
BRIGHT = 32.0
"""Floats whose maximum is between this and 255 are levels; a maximum between 1 and this may mean anything."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits of grey values that cameras and scanners have."""
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

    Transparent images are composed over white, grey ones get three equal channels; of an animation the first frame is
    read. Integers of more than eight bits are scaled by the depth that a TIFF file names, else by the least of 8, 10,
    12, 14 and 16 bits that holds their maximum. Floats up to 1 are shares of white; with a maximum from 32 to 255 they
    are levels. Floats of arrays and tensors are not rounded.

    Args:
        source: A path; the bytes of an image file, or such a file opened for reading, which is read from its start; a
            PIL image; an array [H W] or [H W C]; a tensor [H W] or [C H W]; a frame of a stream, whose image is read.
        name: Name of the image in error messages; by default its path or type.
        upright: Whether the EXIF tag is applied; otherwise the image is as it is stored.

    Returns:
        The image with values of 0..255.

    Raises:
        InputError: If there is no such file, it holds no complete image, or an array or tensor has another shape, type
            or range; the message names the image.
    """
    if isinstance(source, VideoFrame):
        return read_image(source.image, name=name, upright=upright)
    if isinstance(source, str | os.PathLike):
        return _read_file(source, name or os.fspath(source), upright)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_bytes(bytes(source), name or "the bytes", upright)
    if isinstance(source, Image.Image):
        return _decoded(lambda: _from_pil(source, title, upright), title := name or "the PIL image")
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "the array")
    if isinstance(source, Tensor):
        return _from_tensor(source, name or "the tensor")
    if callable(getattr(source, "read", None)):
        return _read_stream(source, name or "the open file", upright)
    raise InputError(f"{name or 'the image'}: expected {EXPECTED}; got {type(source).__name__}")


def image_size(path: Path, *, name: str | None = None, upright: bool = True) -> Size:
    """Read the size of an image without decoding it.

    Args:
        path: The file.
        name: Name of the image in error messages; by default its path.
        upright: Whether it is that of the image rotated as its EXIF tag says, or of the stored one.

    Returns:
        (height, width) in pixels.

    Raises:
        InputError: If there is no such file, or it is no image.
    """
    try:
        with Image.open(path) as image:
            turned = upright and image.getexif().get(ORIENTATION, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as cause:  # as in `_decoded`
        raise InputError(f"{name or path}: its size cannot be read ({one_line(cause)})") from cause


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


def _read_file(source: str | os.PathLike[str], name: str, upright: bool) -> Pixels:
    """Decode a file; every failure is an InputError that starts with `name`."""
    path = Path(source)
    if not os.fspath(source):
        raise InputError(f"{name or 'the image'}: the path is empty; give the path of an image")
    if os.path.isdir(path):
        raise InputError(f"{name}: expected an image, but this is a folder; give the files in it")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{name}: expected an image file, but this is a device or a pipe; give the bytes of the image")
    if not os.path.isfile(path):
        hint = "; download it first, or give its bytes" if "://" in name else ""
        raise InputError(f"{name}: no such file{hint}")
    return _decoded(lambda: _opened(path, name, path.stat().st_size, upright), name)


def _read_stream(source: Any, name: str, upright: bool) -> Pixels:
    """Decode an open file, from its start where it can be rewound."""
    try:
        if getattr(source, "seekable", lambda: False)():
            source.seek(0)
        data = source.read()
    except Exception as cause:  # of a file that is closed, opened for writing, or a connection that broke off
        raise InputError(f"{name}: cannot be read ({one_line(cause)}); open the file with mode 'rb'") from cause
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"{name}: expected bytes, got {type(data).__name__}; open the file with mode 'rb'")
    return _read_bytes(bytes(data), name, upright)


def _read_bytes(data: bytes, name: str, upright: bool) -> Pixels:
    return _decoded(lambda: _opened(io.BytesIO(data), name, len(data), upright), name)


def _opened(source: Path | io.BytesIO, name: str, size: int, upright: bool) -> Pixels:
    try:
        with warnings.catch_warnings():
            # Up to twice Pillow's limit is a large photograph, which is accepted; beyond that Pillow itself refuses.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                return _from_pil(image, name, upright)
    except UnidentifiedImageError as cause:
        kind = "is empty" if size == 0 else "is not an image in a format that Pillow knows"
        raise InputError(f"{name}: the file {kind}") from cause


def _decoded(decode: Callable[[], Pixels], name: str) -> Pixels:
    """Decode an image; a truncated file that Pillow has opened fails only here."""
    try:
        return decode()
    except InputError:
        raise
    except Image.DecompressionBombError as cause:
        raise InputError(f"{name}: the image has too many pixels to be decoded safely; scale it down first") from cause
    except PermissionError as cause:
        raise InputError(f"{name}: no permission to read this file") from cause
    except Exception as cause:  # decoders raise nearly anything on damaged data
        raise InputError(f"{name}: the image is damaged or cut off and cannot be read ({one_line(cause)})") from cause


def _from_pil(image: Image.Image, name: str, upright: bool) -> Pixels:
    """Convert an image of any of Pillow's modes to RGB."""
    depth = _depth_of(image)
    image = ImageOps.exif_transpose(image) if upright else image
    if image.mode.startswith(("I", "F")):
        return rounded(_rgb(_levels(torch.from_numpy(_plain(np.asarray(image), name))[None], name, depth)))
    if image.mode == "LAB":
        image = _from_lab(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return _from_array(np.asarray(image.convert("RGB")), name)


def _depth_of(image: Image.Image) -> int | None:
    """Return the bits of a grey value where a TIFF file has a number of them that fills no whole bytes."""
    bits = getattr(image, "tag_v2", {}).get(258, (16,))  # BitsPerSample
    return int(bits[0]) if 8 < bits[0] < 16 else None


def _from_lab(image: Image.Image) -> Image.Image:
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    assert converted is not None  # None only where the image is changed in place
    return converted


def _from_array(array: np.ndarray, name: str) -> Pixels:
    """Copy an array [H W] or [H W C]."""
    shape = list(array.shape)
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in CHANNELS):
        hint = "; move the channels last with .transpose(1, 2, 0)" if array.ndim == 3 and shape[0] in CHANNELS else ""
        raise InputError(f"{name}: expected an array of shape [H W 3] (or grey [H W]), got shape {shape}{hint}")
    if 0 in shape:
        raise InputError(f"{name}: the image has no pixels (shape {shape})")
    planes = _plain(array, name)[None] if array.ndim == 2 else _plain(array, name).transpose(2, 0, 1)
    return _rgb(_levels(torch.from_numpy(np.array(planes, order="C")), name))


def _plain(array: np.ndarray, name: str) -> np.ndarray:
    """Return the array in a type that torch computes with."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: expected uint8, or floats from 0 to 1, got {array.dtype}")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array if array.dtype in (np.uint8, np.bool_) else array.astype(np.int64)


def _from_tensor(tensor: Tensor, name: str) -> Pixels:
    """Copy a tensor [H W] or [C H W] to the CPU."""
    shape = list(tensor.shape)
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and shape[0] not in CHANNELS):
        hint = "; move the channels first with .permute(2, 0, 1)" if tensor.ndim == 3 and shape[2] in CHANNELS else ""
        raise InputError(f"{name}: expected a tensor of shape [3 H W] (or grey [H W]), got shape {shape}{hint}")
    if 0 in shape:
        raise InputError(f"{name}: the image has no pixels (shape {shape})")
    if tensor.is_meta or tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided:
        kind = f"{tensor.dtype} on {tensor.device}, {tensor.layout}"
        raise InputError(f"{name}: expected a dense tensor of uint8, or floats from 0 to 1, got {kind}")
    planes = tensor.detach().cpu().clone()
    if planes.is_floating_point():
        planes = planes.float()
    elif planes.dtype not in (torch.uint8, torch.bool):
        planes = planes.long()
    return _rgb(_levels(planes.reshape(-1, *shape[-2:]).contiguous(), name))


def _levels(values: Tensor, name: str, depth: int | None = None) -> UInt8[Tensor, "C H W"] | Float[Tensor, "C H W"]:
    """Scale values to 0..255: uint8, booleans, float32, or int64 of at most 16 bits."""
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.bool:
        return values.to(torch.uint8) * 255
    if not values.isfinite().all():
        raise InputError(f"{name}: the values hold NaN or infinity; expected values from 0 to 1")
    low, high = values.min().item(), values.max().item()
    if not values.is_floating_point():
        if low < 0 or high > 65535:
            raise InputError(f"{name}: expected integers from 0 to 65535, got {low} to {high}; rescale them")
        bits = depth or next(bits for bits in DEPTHS if high < 2**bits)
        scaled: Tensor = (values.double() * (255.0 / (2**bits - 1))).round()
        return scaled.to(torch.uint8)
    if low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK:
        return values.clamp(0, 1) * 255
    if low >= 0 and BRIGHT <= high <= 255:
        return values
    hint = "; give the image as it is before normalization" if low < 0 else "; rescale them"
    raise InputError(f"{name}: expected values from 0 to 1 or from 0 to 255, got {low:.4g} to {high:.4g}{hint}")


def _rgb(planes: UInt8[Tensor, "C H W"] | Float[Tensor, "C H W"]) -> Pixels:
    """Convert one, three or four planes to three; a fourth is opacity over white."""
    if len(planes) < 4:
        return planes.expand(3, -1, -1).contiguous()
    opacity = planes[3:].float() / 255
    pixels = planes[:3].float() * opacity + 255 * (1 - opacity)
    return pixels if planes.is_floating_point() else pixels.round().to(torch.uint8)


def rounded(pixels: Pixels) -> UInt8[Tensor, "3 _ _"]:
    """Round an image to eight bits.

    Args:
        pixels: The image with values of 0..255.

    Returns:
        The same as uint8.
    """
    return pixels if pixels.dtype == torch.uint8 else pixels.round().to(torch.uint8)
