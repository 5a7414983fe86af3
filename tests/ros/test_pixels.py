"""Images of messages hold the pixels that were put in, whatever the encoding, the padding and the byte order."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.errors import InputError
from scenekit.ros.pixels import color_image, depth_image
from tests.ros.recording import image, noise

RGB = noise(5, 7)


def message(values: Any) -> Any:
    return SimpleNamespace(**values)


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("bgra8", [2, 1, 0, 1]), ("8UC3", [2, 1, 0])],
)
def test_channels_in_any_order(encoding: str, order: list[int]) -> None:
    np.testing.assert_array_equal(color_image(message(image(0, RGB[:, :, order], encoding)), "x"), RGB)


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
@pytest.mark.parametrize(("encoding", "order"), [("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0]), ("bgra16", [2, 1, 0, 0])])
def test_sixteen_bits_in_both_byte_orders(encoding: str, order: list[int], kind: str) -> None:
    wide = (RGB[:, :, order].astype(np.uint32) * 257).astype(kind)
    np.testing.assert_array_equal(color_image(message(image(0, wide, encoding)), "x"), RGB)


def test_grey_and_its_rounding() -> None:
    grey = message(image(0, np.array([[0, 128, 129, 65535]], ">u2"), "mono16"))
    assert color_image(grey, "x").tolist() == [[[0] * 3, [0] * 3, [1] * 3, [255] * 3]]
    eight = color_image(message(image(0, RGB[:, :, 0], "mono8")), "x")
    np.testing.assert_array_equal(eight, RGB[:, :, [0, 0, 0]])


def test_padding_of_rows_is_dropped_and_may_be_absent_at_the_end() -> None:
    padded = np.concatenate([RGB.reshape(5, 21), np.full((5, 11), 99, np.uint8)], axis=1)
    whole = image(0, RGB, step=32, data=padded.reshape(-1))
    np.testing.assert_array_equal(color_image(message(whole), "x"), RGB)
    np.testing.assert_array_equal(color_image(message({**whole, "data": whole["data"][:-11]}), "x"), RGB)
    with pytest.raises(InputError, match="7 x 5 pixels of rgb8 need rows of 21 bytes; got a step of 32, and 148 bytes"):
        color_image(message({**whole, "data": whole["data"][:-12]}), "x")


def test_compressed_images() -> None:
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "PNG")
    np.testing.assert_array_equal(color_image(message({"format": "png", "data": stream.getvalue()}), "x"), RGB)
    with pytest.raises(InputError, match=r"x: the compressed image \(format 'jpeg'\) cannot be decoded"):
        color_image(message({"format": "jpeg", "data": stream.getvalue()[:60]}), "x")


def test_unknown_encodings_are_named_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"'bayer_rggb8' is unknown; expected one of rgb8, .*run image_proc's debayer"):
        color_image(message(image(0, RGB[:, :, 0], "bayer_rggb8")), "x")
    with pytest.raises(InputError, match="depth with the encoding 'rgb8'"):
        depth_image(message(image(0, RGB, "rgb8")), "x")


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "values",
    [
        image(0, np.array([[0, 1500], [65535, 1]], ">u2"), "16UC1"),
        image(0, np.array([[0, 1500], [65535, 1]], "<u2"), "16UC1"),
        image(0, np.array([[NAN, 1.5], [65.535, 0.001]], "<f4"), "32FC1"),
        image(0, np.array([[INF, 1.5], [65.535, 0.001]], ">f4"), "32FC1"),
        image(0, np.array([[-1.0, 1.5], [65.535, 0.001]], "<f4"), "32FC1"),
    ],
)
def test_depth_in_metres(values: Any) -> None:
    depth = depth_image(message(values), "x")
    torch.testing.assert_close(depth, torch.tensor([[NAN, 1.5], [65.535, 0.001]]), equal_nan=True)


def test_compressed_depth() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.array([[0, 1500]], np.uint16)).save(stream, "PNG")
    compressed = {"format": "16UC1; compressedDepth png", "data": b"\0" * 12 + stream.getvalue()}
    torch.testing.assert_close(depth_image(message(compressed), "x"), torch.tensor([[NAN, 1.5]]), equal_nan=True)
    with pytest.raises(InputError, match="expected a PNG of 16 bits"):
        depth_image(message({**compressed, "format": "32FC1; compressedDepth"}), "x")
