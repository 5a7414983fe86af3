"""A network as a program of torch.export: flat tensors in, flat tensors out, sizes left open where they may differ."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from scenekit.errors import InputError, PluginError, one_line
from scenekit.runtimes.networks import Inputs, Network, computed
from scenekit.structures.tensors import map_tensors, tensors_in

TOLERANCE = 1e-3
"""Largest difference between runtimes, as a part of the largest value."""


class RefusedError(InputError):
    """A module that cannot be one network; those within it may be."""


class Flat(nn.Module):
    """A network whose arguments and results are tensors alone.

    Args:
        module: The module.
        inputs: Its arguments, whose tensors are replaced in order.
    """

    def __init__(self, module: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.module, self.inputs = module, inputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run it.

        Args:
            tensors: The tensors of the arguments.

        Returns:
            Those of the result.
        """
        left = iter(tensors)
        return tuple(tensors_in(computed(self.module, map_tensors(lambda _: next(left), self.inputs))))


def program_of(network: Network) -> ExportedProgram:
    """Export a network, with its `sizes` left open where they are.

    Args:
        network: The network.

    Returns:
        The program.

    Raises:
        RefusedError: torch.export cannot follow it.
    """
    example = network.example
    shapes = tuple({axis: Dim.AUTO for axis, size in enumerate(sizes) if size is None} for sizes in network.sizes)
    try:
        with torch.no_grad(), quietly():
            flat = Flat(network.module, example.inputs).eval()
            return torch.export.export(flat, example.tensors, dynamic_shapes=(shapes,), strict=False)
    except Exception as error:  # torch.export raises errors of many kinds
        raise RefusedError(f"{network.name}: torch.export does not follow it ({one_line(error)})") from error


@contextmanager
def quietly() -> Iterator[None]:
    """Keep off the terminal what torch prints of each module that it cannot follow, and of each optimization."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@torch.no_grad()
def check_parity(network: Network, run: Callable[..., Any]) -> None:
    """Check that a runtime computes the same as torch for every recorded call.

    Args:
        network: The network.
        run: Runs it in place of the module.

    Raises:
        RefusedError: It fails, or an output differs by more than `TOLERANCE` of the largest value.
        PluginError: The runtime breaks its contract.
    """
    for call in network.calls:
        try:
            results = list(tensors_in(computed(run, map_tensors(Tensor.contiguous, call.inputs))))
        except PluginError:
            raise
        except Exception as error:  # runtimes raise errors of their own
            raise RefusedError(f"{network.name}: does not run ({one_line(error)})") from error
        for number, (own, expected) in enumerate(zip(results, tensors_in(call.output), strict=True)):
            limit = TOLERANCE * float(expected.abs().max()) if expected.numel() else 0.0
            if own.shape != expected.shape or not bool(((own - expected).abs() <= limit).all()):
                raise RefusedError(f"{network.name}: output {number} differs from that of torch")
