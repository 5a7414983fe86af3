"""Maps of an image [H W]: padded into a batch, moved with the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.fields.frame import Columns, Swatch
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary


def pad_maps(maps: Sequence[Tensor], size: Size, value: int | float) -> Tensor:
    """Stack maps into a batch, padded at the right and bottom.

    Args:
        maps: The map of each image.
        size: Height and width of the padded images, in pixels.
        value: The value of the padding.

    Returns:
        The packed maps.
    """
    packed = maps[0].new_full((len(maps), *size), value)
    for row, item in zip(packed, maps, strict=True):
        row[: item.shape[0], : item.shape[1]] = item
    return packed


def transform_map(item: Tensor, geometry: Geometry) -> Tensor:
    """Transform a map with its image, by nearest neighbor, so that no new values appear.

    Args:
        item: The map of one image, such as labels or depth.
        geometry: The change, in pixels of the image.

    Returns:
        The map of the resulting image.
    """
    x0, y0, x1, y1 = geometry.window
    cut = item[y0:y1, x0:x1]
    if tuple(cut.shape) != geometry.size:
        nearest_exact = tv.InterpolationMode.NEAREST_EXACT
        cut = tv.resize(cut[None].double(), list(geometry.size), interpolation=nearest_exact)[0].to(item.dtype)
    return cut.flip(-1) if geometry.mirrored else cut


def other_size(item: Tensor, size: Size) -> str | None:
    """Return how the size of a map differs from the size of its image.

    Args:
        item: The map; its first two dimensions are height and width.
        size: Height and width of the image, in pixels.

    Returns:
        A phrase such as "has 3 x 4 pixels"; None where both sizes agree.
    """
    height, width = item.shape[:2]
    return None if (height, width) == tuple(size) else f"has {height} x {width} pixels"


def shares_of(ids: Int[Tensor, "H W"]) -> dict[int, float]:
    """Return the part of a map that each of its values covers.

    Args:
        ids: The map.

    Returns:
        Fractions of all pixels, by value.
    """
    values, counts = np.unique(ids.cpu().numpy(), return_counts=True)
    return {int(v): int(c) / ids.numel() for v, c in zip(values, counts, strict=True)}


def label_columns(shown: Sequence[tuple[Swatch, float]], vocabulary: Vocabulary) -> Columns:
    """Return the columns of a table of labels, each with its share of the image.

    Args:
        shown: Each label in its color, and its fraction of the pixels.
        vocabulary: What the labels mean.

    Returns:
        Cells by the title of their column.
    """
    things = len(vocabulary.things)
    kinds = ["thing" if swatch.label is not None and swatch.label < things else "stuff" for swatch, _ in shown]
    shares = [f"{share:.1%}" for _, share in shown]
    return {"label": [swatch for swatch, _ in shown], "kind": kinds, "of image": shares}
