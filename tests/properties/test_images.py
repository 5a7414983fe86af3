"""Whatever the bytes of an image file are, reading it gives an RGB image or one line of error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scenekit.io.images import read_image
from tests.properties.hostile import damaged, refused_or


def encoded(format: str, mode: str) -> bytes:
    """The bytes of a small image."""
    ramp = np.arange(12 * 10 * 4, dtype=np.uint8).reshape(12, 10, 4)
    content = io.BytesIO()
    Image.fromarray(ramp, "RGBA").convert(mode).save(content, format)
    return content.getvalue()


FILES = [
    encoded(*kind)
    for kind in (
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "L"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("WEBP", "RGB"),
    )
]


@given(st.sampled_from(FILES).flatmap(damaged))
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    pixels = refused_or(lambda: read_image(path))
    if pixels is not None:
        assert pixels.dtype == torch.uint8 and pixels.ndim == 3 and len(pixels) == 3 and 0 not in pixels.shape


SOURCES = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=300),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.tuples(
        st.lists(st.integers(0, 5), max_size=5),
        st.sampled_from(["uint8", "uint16", "int64", "float32", "float16", "bool", "complex64", "object", "U3"]),
    ),
)


@given(SOURCES)
def test_things_that_are_no_images(source: object) -> None:
    if isinstance(source, tuple):
        source = np.zeros(source[0], source[1])
    refused_or(lambda: read_image(source))


@given(
    st.lists(st.integers(0, 5), max_size=4),
    st.sampled_from([torch.uint8, torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64]),
    st.sampled_from([0.0, 1.0, -1.0, 255.0, float("nan"), float("inf")]),
)
def test_tensors(shape: list[int], dtype: torch.dtype, value: float) -> None:
    if not np.isfinite(value) and not (dtype.is_floating_point or dtype.is_complex):
        value = 1.0
    pixels = refused_or(lambda: read_image(torch.full(shape, value).to(dtype)))
    if pixels is not None:
        assert pixels.shape[0] == 3 and pixels.float().isfinite().all()
