"""Selective search (Uijlings et al., 2013), the implementation of OpenCV: boxes around merged image segments.

Letters: N boxes, h w pixels.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from scenekit.detection.proposals.cache import BoxCache
from scenekit.detection.proposals.config import SelectiveSearchConfig
from scenekit.detection.proposals.pixels import image_pixels
from scenekit.detection.proposals.stage import Candidates, ranked
from scenekit.errors import InputError
from scenekit.model.preprocess import resize
from scenekit.recipe import InputConfig
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.images import ImageBatch

INSTALL = 'pip install "scenekit[selective-search]"'

RANK_SEED = 0
"""Seed of the random factors of the ranking, the same for all images."""


def opencv_search() -> Any:
    """Import OpenCV's selective search.

    Returns:
        The module `cv2.ximgproc.segmentation`.

    Raises:
        InputError: It is not installed, or an OpenCV without it is.
    """
    try:
        module = importlib.import_module("cv2")
    except ImportError:
        raise InputError(
            f"selective search needs OpenCV with its extra modules, which is not installed; {INSTALL}, or choose "
            "another source of proposals"
        ) from None
    try:
        return module.ximgproc.segmentation
    except AttributeError:
        raise InputError(
            "selective search needs OpenCV's extra modules (cv2.ximgproc), which the installed OpenCV lacks. All its "
            "packages share the folder cv2: uninstall what `pip list` shows of opencv-python, opencv-python-headless "
            f"and opencv-contrib-python, then {INSTALL}"
        ) from None


class SelectiveSearch:
    """Proposes the bounding boxes of the segments that selective search merges.

    The ranking is that of the paper: the i-th box from the top of the hierarchy has the value i times a random number
    in 0..1, smallest first, so that large boxes tend to come early and every size occurs among the first ones. OpenCV
    tells neither the hierarchy nor always the same order; here boxes are numbered by area, largest first (a segment is
    never larger than the one that it merges into), and the random numbers are the same each time. A box's score is its
    rank, 1 for the first one down to 1 / N.

    Results are kept by the pixels of the image, in memory and in the folder `cache`.

    Args:
        config: Mode, limits and cache.
        images: How images enter the network.

    Raises:
        InputError: OpenCV's extra modules are not installed, or the cache cannot be written.
    """

    def __init__(self, config: SelectiveSearchConfig, images: InputConfig) -> None:
        self.config, self.input = config, images
        self.cache = BoxCache(config.cache)
        opencv_search()

    def __call__(self, images: ImageBatch, index: int) -> Candidates:
        """Return the boxes of an image, best first.

        Args:
            images: The batch.
            index: Index of the image in the batch.

        Returns:
            Boxes whose shorter side is at least the option `min_side`.
        """
        pixels = image_pixels(images, index, self.input)
        size = images.sizes[index]
        searched = self._searched(size)
        pixels = resize(pixels, searched)
        found = self.cache.get(self._fingerprint(pixels), lambda: ranking(search(pixels, self.config.mode)))
        boxes = Geometry.resize(searched, size).boxes(torch.from_numpy(found))
        return ranked(boxes[(boxes[:, 2:] - boxes[:, :2] >= self.config.min_side).all(dim=1)])

    def _searched(self, size: Size) -> Size:
        """Return the (height, width) at which the image is searched."""
        height, width = size
        scale = min(1.0, (self.config.max_width or width) / width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _fingerprint(self, pixels: UInt8[Tensor, "3 h w"]) -> str:
        """Return a digest of all that the boxes depend on."""
        version = importlib.import_module("cv2").__version__
        digest = hashlib.sha256(f"{version} {self.config.mode} {tuple(pixels.shape)}".encode())
        digest.update(pixels.contiguous().numpy().tobytes())
        return digest.hexdigest()


def search(pixels: UInt8[Tensor, "3 h w"], mode: str) -> Int[np.ndarray, "N 4"]:
    """Run selective search.

    Args:
        pixels: RGB image.
        mode: "fast" or "quality": how many color spaces, similarities and initial segmentations are combined.

    Returns:
        Distinct boxes x, y, width, height in pixels; their order has no meaning and is not always the same.
    """
    searcher = opencv_search().createSelectiveSearchSegmentation()
    searcher.setBaseImage(np.ascontiguousarray(pixels.flip(0).permute(1, 2, 0).numpy()))  # OpenCV's order is BGR
    if mode == "quality":
        searcher.switchToSelectiveSearchQuality()
    else:
        searcher.switchToSelectiveSearchFast()
    return np.asarray(searcher.process(), dtype=np.int64).reshape(-1, 4)


def ranking(boxes: Int[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 4"]:
    """Rank boxes, as `SelectiveSearch` says.

    Args:
        boxes: Distinct boxes x, y, width, height, in any order.

    Returns:
        Boxes x0, y0, x1, y1, best first.
    """
    x, y, width, height = boxes.T
    by_area = np.lexsort((height, width, y, x, -width * height))  # ties by the box itself, whatever the order was
    positions = np.arange(1, len(boxes) + 1) * np.random.RandomState(RANK_SEED).uniform(size=len(boxes))
    x, y, width, height = boxes[by_area[np.argsort(positions, kind="stable")]].T
    return np.stack((x, y, x + width, y + height), axis=1).astype(np.float32)
