"""The running average, against the recurrence written out."""

import torch
from torch import nn

from scenekit.training.ema import Ema


def set_all(module, value):
    for tensor in module.state_dict().values():
        tensor.fill_(value)


def test_recurrence():
    module = nn.BatchNorm1d(1)
    set_all(module, 0)
    ema = Ema(module, decay=0.15)
    expected = 0.0
    for step, value in enumerate([1, 2, 3, 4]):
        set_all(module, value)
        ema.update(module, step)
        decay = min(0.15, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert torch.allclose(ema.average["weight"], torch.tensor(expected))
    assert torch.allclose(ema.average["running_mean"], torch.tensor(expected))
    assert ema.average["num_batches_tracked"].item() == 4


def test_swapping_is_undone():
    module = nn.Linear(1, 1)
    ema = Ema(module, 0.9)
    set_all(module, 7.0)
    before = ema.average["weight"].clone()
    with ema.swapped_into(module):
        assert torch.equal(module.weight, before)
    assert module.weight.item() == 7.0


def test_saved_average_goes_on():
    module = nn.Linear(2, 2)
    ema, other = Ema(module, 0.9), Ema(nn.Linear(2, 2), 0.9)
    other.load(ema.average)
    set_all(module, 1.0)
    ema.update(module, 5)
    other.update(module, 5)
    assert torch.equal(ema.average["weight"], other.average["weight"])
