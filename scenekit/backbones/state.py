"""Reading the weights of a backbone from a file, with errors that name what does not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from scenekit.backbones.stored_weights import read_content, weights_in
from scenekit.errors import InputError, listed

SHOWN = 4
"""How many keys an error lists before it only counts."""


def read_state(path: Path, own: Collection[str] = (), entry: str | None = None) -> dict[str, Tensor]:
    """Read a state dict from a safetensors or a PyTorch file; no code in it is run.

    The state dict may stand beside an optimizer and other entries under a name such as `model` or `state_dict`, and
    its names may have the prefixes of wrappers (`module.`, `_orig_mod.`, `model.`). An average over the training
    (`ema`, `model_ema`) goes before the weights of the last step; a warning says so.

    Args:
        path: The file.
        own: Names of the network's parameters, where they are known: these keep what looks like a prefix.
        entry: Name under which the weights are; None for the usual ones.

    Returns:
        Tensors by name.

    Raises:
        InputError: If the file is missing or damaged, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist; name a .safetensors or .pth file")
    return weights_in(read_content(path), path, own, entry)


def load_state(model: nn.Module, state: dict[str, Tensor], within: Sequence[str], fit: str) -> None:
    """Load the weights of some sub-modules; other parts of the state dict (the classifier) may differ.

    Args:
        model: The network, which is changed.
        state: The state dict.
        within: Names of the sub-modules.
        fit: Beginning of error messages: which weights do not fit which network.

    Raises:
        InputError: If parameters are missing, unexpected or of another shape.
    """
    own = model.state_dict()
    needed = {key for key in own if key.startswith(tuple(f"{prefix}." for prefix in within))}
    check_fit(own, state, needed, fit)
    model.load_state_dict({key: state[key] for key in needed & state.keys()}, strict=False)


def check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], needed: Collection[str], fit: str) -> None:
    """Check that a state dict fits a network.

    Args:
        own: State dict of the network.
        state: The state dict to check.
        needed: Names of the parameters that it must have.
        fit: Beginning of error messages: which weights do not fit which network.

    Raises:
        InputError: If parameters are missing, unexpected or of another shape.
    """
    problems = {
        # Counters of batches, which only a momentum of None would read, are left out of many published files.
        "missing": {key for key in needed if key not in state and not key.endswith(".num_batches_tracked")},
        "unexpected": state.keys() - own.keys(),
        "of another shape": {key for key in needed if key in state and own[key].shape != state[key].shape},
    }
    if any(problems.values()):
        parts = [f"{len(keys)} {kind} ({listed(sorted(keys), SHOWN)})" for kind, keys in problems.items() if keys]
        raise InputError(f"{fit}: {'; '.join(parts)}; name the backbone it was saved from")
