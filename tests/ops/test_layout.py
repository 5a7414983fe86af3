import torch

from scenekit.ops.layout import for_convolutions


def test_channels_last_unless_a_cpu_goes_back() -> None:
    maps = torch.arange(120.0).reshape(2, 3, 4, 5)
    with torch.no_grad():
        looking = for_convolutions(maps)
    learning = for_convolutions(looking)
    assert looking.is_contiguous(memory_format=torch.channels_last) and learning.is_contiguous()
    assert torch.equal(looking, maps) and torch.equal(learning, maps)
