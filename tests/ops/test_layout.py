import pytest
import torch

from scenekit.ops import layout
from scenekit.ops.layout import for_convolutions


@pytest.mark.parametrize("fast", [False, True])
def test_channels_last_unless_a_cpu_without_avx512_goes_back(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "FAST_BACKWARD", fast)
    maps = torch.arange(120.0).reshape(2, 3, 4, 5)
    with torch.no_grad():
        looking = for_convolutions(maps)
    learning = for_convolutions(looking)
    assert looking.is_contiguous(memory_format=torch.channels_last)
    assert learning.is_contiguous(memory_format=torch.channels_last if fast else torch.contiguous_format)
    assert torch.equal(looking, maps) and torch.equal(learning, maps)
