"""Label maps against the resizings done one after the other."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures.geometry import Size
from scenekit_plugins.semantic.label_maps import BAND, best_labels


def one_after_the_other(logits: Tensor, stride: int, source: Size, size: Size) -> Tensor:
    upsampled = F.interpolate(logits[None], scale_factor=float(stride), mode="bilinear", align_corners=False)
    cut = upsampled[:, :, : source[0], : source[1]]
    return F.interpolate(cut, size=size, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((31, 37), (31, 37)),
        ((32, 40), (75, 90)),
        ((29, 40), (12, 11)),
        ((32, 39), (2 * BAND + 3, 50)),
        ((1, 1), (3, 2)),
    ],
)
def test_labels_are_those_of_the_resizings_one_after_the_other(source: Size, size: Size) -> None:
    logits = torch.randn(7, 8, 10, generator=torch.Generator().manual_seed(0))
    resized = one_after_the_other(logits, 4, source, size)
    best = best_labels(logits, 4, source, size)
    # Where two labels tie but for rounding, either may come out.
    assert best.shape == size and best.dtype == torch.int64
    chosen = resized.gather(0, best[None])[0]
    assert (resized.amax(0) - chosen).max() < 1e-5
    assert (best == resized.argmax(0)).float().mean() > 0.999


def test_the_first_of_equals_wins_and_broken_logits_stay_labels() -> None:
    logits = torch.tensor([1.0, 3.0, 3.0])[:, None, None].expand(3, 2, 2)
    assert (best_labels(logits, 4, (8, 8), (5, 5)) == 1).all()
    assert (best_labels(logits * torch.nan, 4, (8, 8), (5, 5)) == 0).all()
