"""Every kind of image that people have, and every kind of thing that is no image."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.errors import InputError
from scenekit.io.images import read_image, rounded

HEIGHT, WIDTH = 20, 30


@pytest.fixture
def colors() -> np.ndarray:
    """An image of four flat quarters, so that lossy formats keep the middle of each: [H W 3]."""
    array = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    array[:10, :15], array[:10, 15:], array[10:, :15], array[10:, 15:] = (
        (200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 60),
    )  # fmt: skip
    return array


def close(found: torch.Tensor, expected: np.ndarray, tolerance: int = 0) -> None:
    """Same shape and, in the middles of the quarters, the same colors."""
    assert found.dtype == torch.uint8 and found.is_contiguous() and tuple(found.shape) == (3, *expected.shape[:2])
    middles = np.s_[5::10, 7::15]
    difference = found.numpy().transpose(1, 2, 0)[middles].astype(int) - expected[middles].astype(int)
    assert np.abs(difference).max() <= tolerance


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".bmp", 0), (".jpg", 8), (".webp", 8), (".tif", 0)])
def test_formats(colors: np.ndarray, tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(colors).save(path)
    close(read_image(path), colors, tolerance)
    close(read_image(str(path)), colors, tolerance)


def test_cmyk_jpeg(colors: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(colors).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    close(read_image(tmp_path / "cmyk.jpg"), colors, 6)


def test_palette_and_palette_with_transparency(colors: np.ndarray, tmp_path: Path) -> None:
    palette = Image.fromarray(colors).quantize(4)
    palette.save(tmp_path / "palette.png")
    close(read_image(tmp_path / "palette.png"), colors)
    palette.save(tmp_path / "clear.png", transparency=palette.getpixel((0, 0)))
    colors[:10, :15] = 255
    close(read_image(tmp_path / "clear.png"), colors)


def test_transparency_is_laid_over_white(colors: np.ndarray, tmp_path: Path) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, dtype=np.uint8)
    alpha[:10, :15], alpha[:10, 15:] = 0, 51  # clear, and one fifth opaque
    Image.fromarray(np.concatenate([colors, alpha], 2)).save(tmp_path / "rgba.png")
    colors[:10, :15] = 255
    colors[:10, 15:] = (210, 244, 210)  # 255 + (c - 255) / 5
    close(read_image(tmp_path / "rgba.png"), colors, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    levels = np.array([[0, 257, 257 * 100, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
    assert read_image(tmp_path / f"deep{suffix}")[:, 0].tolist() == [[0, 1, 100, 255]] * 3


def test_sixteen_bit_color_png(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 65535, 257 * 128, 0, 257 * 7, 257 * 8, 257 * 9)  # filter 0, two RGB pixels
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(data)
    assert read_image(tmp_path / "deep.png")[:, 0].T.tolist() == [[255, 128, 0], [7, 8, 9]]


def test_float_grey(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32)).save(tmp_path / "float.tif")
    assert read_image(tmp_path / "float.tif")[0, 0].tolist() == [0, 51, 255]
    Image.fromarray(np.array([[0.0, 3.0]], dtype=np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(InputError, match=r"depth\.tif: expected values from 0 to 1 or from 0 to 255, got 0 to 3"):
        read_image(tmp_path / "depth.tif")


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_modes(tmp_path: Path, mode: str) -> None:
    array = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    array[:, 15:] = 255
    Image.fromarray(array).convert(mode).save(tmp_path / "grey.png")
    close(read_image(tmp_path / "grey.png"), np.repeat(array[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90), (2, Image.Transpose.FLIP_LEFT_RIGHT)],
)
def test_exif_orientation(colors: np.ndarray, tmp_path: Path, orientation: int, undo: Image.Transpose) -> None:
    upright = Image.fromarray(colors)
    exif = Image.Exif()
    exif[0x0112] = orientation  # 6: the viewer turns it 90 degrees clockwise, so it is stored turned the other way
    upright.transpose(undo).save(tmp_path / "turned.png", exif=exif)
    close(read_image(tmp_path / "turned.png"), colors)


@pytest.mark.parametrize("size", [(1, 1), (12000, 10)])
def test_extreme_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "odd.png")
    picture = read_image(tmp_path / "odd.png")
    assert tuple(picture.shape) == (3, size[1], size[0])
    assert picture[:, -1, -1].tolist() == [1, 2, 3]


def test_first_frame_of_an_animation(colors: np.ndarray, tmp_path: Path) -> None:
    frames = [Image.fromarray(colors).quantize(4), Image.new("P", (WIDTH, HEIGHT))]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    close(read_image(tmp_path / "moving.gif"), colors)


def test_arrays_tensors_and_pil_are_copied(colors: np.ndarray) -> None:
    tensor = torch.from_numpy(colors.transpose(2, 0, 1).copy())
    for source in (
        colors,
        colors[:, ::-1][:, ::-1],
        Image.fromarray(colors),
        tensor,
        tensor / 255,
        tensor.double() / 255,
    ):
        assert torch.equal(rounded(read_image(source)), tensor)
    read_image(tensor).zero_()
    read_image(colors).zero_()
    assert colors.any() and tensor.any()


def test_values_just_outside_the_range_are_clamped_and_none_is_rounded() -> None:
    assert read_image(torch.tensor([-0.0005, 1.0005, 0.5]).reshape(3, 1, 1)).flatten().tolist() == [0, 255, 127.5]


def refused(source: object, reason: str, name: str | None = None) -> None:
    """One line that names the image first."""
    with pytest.raises(InputError, match=reason) as error:
        read_image(source, name=name)
    assert "\n" not in str(error.value)


def test_files_that_are_no_images(colors: np.ndarray, tmp_path: Path) -> None:
    refused(tmp_path / "none.jpg", r"none\.jpg: no such file")
    (tmp_path / "folder.jpg").mkdir()
    refused("x" * 5000, "x: no such file")
    refused("/dev/null", "/dev/null: expected an image file, but this is a device or a pipe")
    refused("", "the image: the path is empty")
    refused("https://example.org/a.png", r"a\.png: no such file; download it first")
    with (tmp_path / "new.jpg").open("wb") as writing:
        refused(writing, "the open file: cannot be read .* open the file with mode 'rb'")
    (tmp_path / "new.jpg").unlink()
    refused(tmp_path / "folder.jpg", r"folder\.jpg: .* folder")
    (tmp_path / "empty.jpg").touch()
    refused(tmp_path / "empty.jpg", r"empty\.jpg: the file is empty")
    (tmp_path / "text.png").write_text("hello, this is text")
    refused(tmp_path / "text.png", r"text\.png: the file is not an image")


@pytest.mark.parametrize("suffix", ["png", "jpeg", "tiff", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.02, 0.6])
def test_files_that_are_cut_off(tmp_path: Path, suffix: str, share: float) -> None:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, suffix)
    whole = stream.getvalue()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / "cut", r"cut: the (file is not|image is damaged)")


def test_a_image_that_was_opened_but_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.effect_noise((60, 60), 50).save(path)
    path.write_bytes(path.read_bytes()[:800])
    with Image.open(path) as image:
        refused(image, "the PIL image: the image is damaged or cut off")


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    refused(tmp_path / "bomb.png", r"bomb\.png: the image has too many pixels")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)  # within twice the limit: a large image, no warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "bomb.png").shape[1:] == (300, 300)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"the array: .* got shape \[3, 20, 30\]; move the channels last"),
        (np.zeros((20, 30, 2), np.uint8), r"the array: expected .* got shape \[20, 30, 2\]"),
        (np.zeros((20, 30, 3), complex), r"the array: expected uint8, or floats .* got complex128"),
        (np.full((20, 30), "x"), r"the array: expected uint8, or floats .* got <U1"),
        (np.zeros((0, 30, 3), np.uint8), r"the array: the image has no pixels"),
        (np.full((2, 2, 3), -1), r"the array: expected integers from 0 to 65535, got -1 to -1"),
        (np.full((2, 2, 3), 70000), r"the array: expected integers from 0 to 65535, got 70000 to 70000"),
        (torch.zeros(20, 30, 3), r"the tensor: .* \[3 H W\] .* got shape \[20, 30, 3\]; move the channels first"),
        (torch.zeros(1, 3, 20, 30), r"the tensor: expected .* got shape \[1, 3, 20, 30\]"),
        (torch.zeros(3, 20, 0), r"the tensor: the image has no pixels"),
        (torch.zeros(3, 2, 2, device="meta"), r"the tensor: .* on meta"),
        (torch.zeros(3, 2, 2).to_sparse(), r"the tensor: expected a dense tensor .* torch\.sparse_coo"),
        (torch.full((3, 2, 2), torch.nan), r"the tensor: .* NaN"),
        (torch.full((3, 2, 2), torch.inf), r"the tensor: .* infinity"),
        (torch.full((3, 2, 2), 3.0), r"from 0 to 1 or from 0 to 255, got 3 to 3; rescale them"),
        (torch.full((3, 2, 2), 300.0), r"got 300 to 300"),
        (torch.full((3, 2, 2), -0.5), r"got -0\.5 to -0\.5; give the image as it is before normalization"),
        (b"bytes", r"the bytes: the file is not an image"),
        (b"", r"the bytes: the file is empty"),
        (io.StringIO("text"), r"the open file: expected bytes, got str; open the file with mode 'rb'"),
        (None, r"the image: expected a path, .* got NoneType"),
        (5, r"got int"),
        ({"image": 1}, r"got dict"),
    ],
)  # fmt: skip
def test_unusable_arrays_and_tensors(source: object, reason: str) -> None:
    refused(source, reason)


def test_bytes_and_open_files_are_decoded_again_and_again(colors: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "colors.png"
    Image.fromarray(colors).save(path)
    data = path.read_bytes()
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        close(read_image(source), colors)
    with path.open("rb") as file:
        for _ in range(2):
            close(read_image(file), colors)
    refused(file, "the open file: cannot be read")


def test_arrays_of_other_types_and_channels(colors: np.ndarray) -> None:
    expected = read_image(colors)
    for other in (colors / 255, (colors / 255).astype(np.float16), colors.astype(np.float64), colors.astype(np.int32)):
        torch.testing.assert_close(read_image(other).float(), expected.float(), rtol=0, atol=0.1)
    grey = colors[..., 0]
    for other in (grey, grey[..., None], torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        assert torch.equal(read_image(other), expected[:1].expand(3, -1, -1))
    assert read_image(np.array([[True, False]])).tolist() == [[[255, 0]]] * 3
    half = np.concatenate((colors, np.full_like(grey, 51)[..., None]), axis=2)  # a fifth of the color, the rest white
    close(read_image(half), colors / 5 + 255 * 4 / 5, 1)


@pytest.mark.parametrize("kind", ["png", "tif", "array", "tensor"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_of_more_than_eight_bits_is_scaled_by_its_depth(tmp_path: Path, kind: str, bits: int) -> None:
    top = 2**bits - 1
    levels = np.array([[0, top // 3, top]], dtype=np.uint16)
    source: object = levels if kind == "array" else torch.from_numpy(levels)
    if kind in ("png", "tif"):
        source = tmp_path / f"deep.{kind}"
        Image.fromarray(levels).save(source)
    assert read_image(source)[0, 0].tolist() == [0, 85, 255]


def test_a_depth_that_the_file_names_is_that_of_a_dark_image_too(tmp_path: Path) -> None:
    """Grey of 12 bits in a TIFF file, two values in three bytes: 0x100 and 0x0f0."""
    entries = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 3)]
    fields = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    pixels = bytes([0x10, 0x00, 0xF0, 0])
    directory = struct.pack("<H", len(entries)) + fields + struct.pack("<I", 0)
    (tmp_path / "dark.tif").write_bytes(b"II*\0" + struct.pack("<I", 12) + pixels + directory)
    assert read_image(tmp_path / "dark.tif")[0, 0].tolist() == [16, 15]  # 256 and 240 of 4095


MODES = "1 L LA La P PA RGB RGBA RGBa RGBX CMYK YCbCr HSV LAB I F I;16 I;16L I;16B"


@pytest.mark.parametrize("mode", MODES.split())
def test_every_mode_of_pillow(mode: str) -> None:
    """White, or what is as bright in modes whose numbers mean something else."""
    white = {"CMYK": (0, 0, 0, 0), "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128), "F": 1.0}
    deep = dict.fromkeys(("I", "I;16", "I;16L", "I;16B"), 65535)
    if mode in ("P", "PA"):
        image = Image.new("LA", (2, 2), (255, 255)).convert(mode)
    else:
        bands = len(Image.new(mode, (1, 1)).getbands())
        image = Image.new(mode, (2, 2), {**white, **deep}.get(mode, 255 if bands == 1 else (255,) * bands))
    assert read_image(image).float().sub(255).abs().max() <= 2


def test_name_stands_in_messages() -> None:
    refused(torch.zeros(2), "frame 7: expected", name="frame 7")
