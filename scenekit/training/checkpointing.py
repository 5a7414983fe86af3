"""Gradient checkpointing of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from torch import nn

from scenekit.backbones import FPN, Backbone
from scenekit.backbones.checkpointing import ChangedInputError, checkpointing
from scenekit.errors import InputError


def trunks_of(model: nn.Module) -> list[Backbone | FPN]:
    """Return the backbones and feature pyramids of a model.

    Args:
        model: The model that is trained.

    Returns:
        The modules.

    Raises:
        InputError: If none of them is trained.
    """
    trunks = [module for module in model.modules() if isinstance(module, Backbone | FPN)]
    if not any(parameter.requires_grad for trunk in trunks for parameter in trunk.parameters()):
        raise InputError(
            "train.gradient_checkpointing needs a backbone or a feature pyramid that is trained, whose activations "
            "are not kept; train one, or set gradient_checkpointing: false"
        )
    return trunks


@contextmanager
def checkpointing_trunks(trunks: Sequence[Backbone | FPN]) -> Iterator[None]:
    """Let backbones and feature pyramids keep no activations for the backward pass, within the context.

    Args:
        trunks: The modules.

    Raises:
        InputError: A module of theirs changes its input in place.
    """
    with ExitStack() as stack:
        for trunk in trunks:
            stack.enter_context(trunk.checkpointed() if isinstance(trunk, Backbone) else checkpointing([trunk]))
        try:
            yield
        except ChangedInputError as error:
            raise InputError(f"train.gradient_checkpointing: {error}, or leave the option out") from error
