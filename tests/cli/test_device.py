"""`--device`: what this machine has, and clear words for what it has not."""

import pytest
import torch

from scenekit.cli.device import device_named
from scenekit.errors import InputError


def test_devices_with_two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_named("auto").type == "cuda" and device_named("cpu").type == "cpu"
    assert device_named("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="no 'cuda:2'; it has 1 cpu, 2 cuda"):
        device_named("cuda:2")


@pytest.mark.parametrize("text", ["", "gpu", "meta", "cuda:one", "cuda:-1", "cpu0"])
def test_unknown_device(text: str) -> None:
    with pytest.raises(InputError, match="unknown device"):
        device_named(text)


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_named("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="this machine has no 'cuda'; it has 1 cpu"):
        device_named("cuda")
