"""Scenes on disk: one zip file per scene, written atomically, so that many processes may share a folder.

Letters: N objects, H W pixels, V cells along the side of a grid.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from scenekit_datasets.synthetic.annotate import Segment
from scenekit_datasets.synthetic.captions import Phrase
from scenekit_datasets.synthetic.scene import VERSION, Mesh, SyntheticScene, generate

_log = logging.getLogger(__name__)

DAMAGED = (OSError, EOFError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""Errors of reading a file that is missing, truncated or corrupt."""

VOXEL_VERSION = 1
"""Is increased whenever the same scene would give other voxels; part of the name of their files."""

ARRAYS = (
    "intrinsics",
    "labels",
    "boxes",
    "keypoints",
    "relations",
    "box_centers",
    "box_sizes",
    "box_rotations",
)
"""Small arrays, stored as they are; the maps are narrowed to the types below."""

MAPS = {"instance": np.int8, "semantic": np.uint8, "panoptic": np.uint8}


def scene_path(root: Path, seed: int, index: int, size: tuple[int, int], amodal: bool, single: bool = False) -> Path:
    """Return the file of a scene; its name holds all that the scene depends on, with 1,000 scenes per folder.

    Args:
        root: Folder of the cache.
        seed: Seed of the scene.
        index: Index of the scene.
        size: (height, width) of the image in pixels.
        amodal: Whether it has amodal masks.
        single: Whether it has a single object.

    Returns:
        The path.
    """
    kind = f"v{VERSION}-{size[0]}x{size[1]}" + ("-single" if single else "") + ("-amodal" if amodal else "")
    return root / kind / f"seed{seed}" / f"{index // 1000:04d}" / f"{index:08d}.zip"


def cached(
    root: Path, seed: int, index: int, size: tuple[int, int], amodal: bool = False, single: bool = False
) -> SyntheticScene:
    """Load a scene, or generate and store it; a damaged file is replaced.

    Where nothing can be written (a full disk, missing permissions), one warning says so, and nothing is stored.

    Args:
        root: Folder of the cache.
        seed: Seed of the scene.
        index: Index of the scene.
        size: (height, width) of the image in pixels.
        amodal: Whether it has amodal masks.
        single: Whether it has a single object.

    Returns:
        The scene.
    """
    path = scene_path(root, seed, index, size, amodal, single)
    try:
        return load(path)
    except DAMAGED:
        scene = generate(seed, index, size, amodal, single)
    try:
        save(path, scene)
    except OSError as error:
        warn_once(root, error.strerror)
    return scene


@functools.cache
def warn_once(root: Path, reason: str | None) -> None:
    """Warn that scenes cannot be kept.

    Args:
        root: Folder of the cache.
        reason: Why.
    """
    _log.warning("%s: synthetic scenes cannot be kept there (%s); they are generated again each time", root, reason)


def cached_voxels(
    root: Path,
    seed: int,
    index: int,
    size: tuple[int, int],
    side: int,
    make: Callable[[], Bool[Tensor, "N V V V"]],
    single: bool = False,
) -> Bool[Tensor, "N V V V"]:
    """Load the occupancy grids of a scene's objects, or compute and store them.

    Args:
        root: Folder of the cache.
        seed: Seed of the scene.
        index: Index of the scene.
        size: (height, width) of the image in pixels.
        side: Cells along each side of the grids.
        make: Function that computes them.
        single: Whether the scene has a single object.

    Returns:
        The grids.
    """
    scene = scene_path(root, seed, index, size, amodal=False, single=single)
    path = scene.with_name(f"{scene.stem}-voxels{side}-v{VOXEL_VERSION}.npy")
    try:
        return unpacked(np.load(path, allow_pickle=False), side)
    except DAMAGED:
        grids = make()
    try:
        with replacing(path) as file:
            np.save(file, np.packbits(grids.flatten(1).numpy(), axis=1), allow_pickle=False)
    except OSError as error:
        warn_once(root, error.strerror)
    return grids


def unpacked(bits: UInt8[np.ndarray, "N bytes"], side: int) -> Bool[Tensor, "N V V V"]:
    """Unpack the bits of occupancy grids.

    Args:
        bits: Bits of each grid.
        side: Cells along each side of the grids.

    Returns:
        The grids.

    Raises:
        ValueError: If there are fewer bits than cells.
    """
    cells = np.unpackbits(bits, axis=1)[:, : side**3].astype(bool)
    return torch.from_numpy(cells.reshape(-1, side, side, side))


def save(path: Path, scene: SyntheticScene) -> None:
    """Write a scene atomically.

    Args:
        path: The file.
        scene: The scene.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        write_scene(out, scene)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Provide a file beside the target, which is then renamed to it; an error leaves nothing behind.

    Args:
        path: The target.

    Yields:
        The file, open for writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_scene(out: zipfile.ZipFile, scene: SyntheticScene, prefix: str = "") -> None:
    """Write a scene into an archive.

    Args:
        out: The archive.
        scene: The scene; one without meshes is written without them.
        prefix: Start of the names of its entries.
    """
    png = io.BytesIO()
    Image.fromarray(scene.image).save(png, "png", compress_level=3)
    out.writestr(zipfile.ZipInfo(f"{prefix}image.png"), png.getvalue())
    for name in ARRAYS:
        _put(out, prefix + name, getattr(scene, name))
    for name, kind in MAPS.items():
        _put(out, prefix + name, getattr(scene, name).astype(kind))
    _put(out, f"{prefix}depth", _by_bytes(scene.depth))
    for index, mesh in enumerate(scene.meshes):
        _put(out, f"{prefix}verts{index}", mesh.verts)
        _put(out, f"{prefix}faces{index}", mesh.faces.astype(np.int32))
    if scene.amodal is not None:
        _put(out, f"{prefix}amodal", np.packbits(scene.amodal))
    words: dict[str, Any] = {
        "seed": scene.seed,
        "index": scene.index,
        "segments": [asdict(segment) for segment in scene.segments],
        "attributes": scene.attributes,
        "captions": scene.captions,
        "phrases": [asdict(phrase) for phrase in scene.phrases],
        "amodal": scene.amodal is not None,
    }
    if len(scene.meshes) != len(scene.labels):
        words["meshes"] = len(scene.meshes)
    out.writestr(f"{prefix}words.json", json.dumps(words))


def _put(out: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    out.writestr(f"{name}.npy", buffer.getvalue())


def _get(source: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.asarray(np.load(io.BytesIO(source.read(f"{name}.npy")), allow_pickle=False))


def _by_bytes(depth: np.ndarray) -> np.ndarray:
    """Store all lowest bytes first, then all second ones, ...: neighbors are then similar, which halves the file."""
    return np.ascontiguousarray(depth.astype("<f4").view(np.uint8).reshape(*depth.shape, 4).transpose(2, 0, 1))


def load(path: Path) -> SyntheticScene:
    """Load a scene.

    Args:
        path: The file.

    Returns:
        The scene.

    Raises:
        OSError: If the file cannot be read; zipfile and numpy raise other errors for a damaged file, see `DAMAGED`.
    """
    with zipfile.ZipFile(path) as source:
        return read_scene(source)


def read_scene(source: zipfile.ZipFile, prefix: str = "") -> SyntheticScene:
    """Read a scene from an archive.

    Args:
        source: The archive.
        prefix: Start of the names of its entries.

    Returns:
        The scene.
    """
    words = json.loads(source.read(f"{prefix}words.json"))
    image = np.array(Image.open(io.BytesIO(source.read(f"{prefix}image.png"))))
    arrays = {name: _get(source, prefix + name) for name in ARRAYS}
    instance, semantic, panoptic = (_get(source, prefix + name) for name in MAPS)
    count = len(arrays["labels"])
    meshes = tuple(
        Mesh(_get(source, f"{prefix}verts{i}"), _get(source, f"{prefix}faces{i}").astype(np.int64))
        for i in range(words.get("meshes", count))
    )
    amodal = None
    if words["amodal"]:
        bits = np.unpackbits(_get(source, f"{prefix}amodal"), count=count * instance.size)
        amodal = bits.reshape(count, *instance.shape).astype(bool)
    return SyntheticScene(
        seed=words["seed"],
        index=words["index"],
        image=image,
        instance=instance.astype(np.int32),
        semantic=semantic,
        panoptic=panoptic.astype(np.int32),
        depth=np.ascontiguousarray(_get(source, f"{prefix}depth").transpose(1, 2, 0)).view("<f4")[..., 0],
        meshes=meshes,
        amodal=amodal,
        segments=tuple(Segment(**segment) for segment in words["segments"]),
        attributes=_tuples(words["attributes"]),
        captions=_tuples(words["captions"]),
        phrases=tuple(Phrase(**{k: _tuples(v) for k, v in phrase.items()}) for phrase in words["phrases"]),
        **arrays,
    )


def _tuples(value: Any) -> Any:
    """Convert JSON's lists back to tuples."""
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
