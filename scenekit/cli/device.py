"""Choice of the device of a command."""

import torch

from scenekit.errors import InputError
from scenekit.model.scene_model import SceneModel
from scenekit.weights.exported import is_exported


def on_device(model: SceneModel, text: str) -> SceneModel:
    """Move a model to a device of this machine.

    Args:
        model: The model.
        text: A device, or auto: a GPU where there is one, but the CPU for an exported model.

    Returns:
        The model.

    Raises:
        InputError: If there is no such kind of device, this machine lacks it, or the model runs on the CPU alone.
    """
    exported = is_exported(model)
    device = device_named("cpu" if exported and text == "auto" else text)
    if exported and device.type != "cpu":
        raise InputError(f"--device: exported networks run on the CPU alone, got {text!r}; leave it out, or name cpu")
    return model.to(device)


def device_named(text: str) -> torch.device:
    """Return a device of this machine.

    Args:
        text: cpu, cuda, cuda:1, mps, or auto: a GPU where there is one.

    Returns:
        The device.

    Raises:
        InputError: If there is no such kind of device, or this machine lacks it.
    """
    if text == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = text.partition(":")
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if kind not in present or (index and not index.isdecimal()):
        raise InputError(f"--device: unknown device {text!r}; expected cpu, cuda, cuda:1, mps or auto")
    if int(index or 0) >= present[kind]:
        have = ", ".join(f"{count} {name}" for name, count in present.items() if count)
        raise InputError(f"--device: this machine has no {text!r}; it has {have}")
    return torch.device(text)
