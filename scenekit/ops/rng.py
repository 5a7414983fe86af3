"""Random numbers that depend on a seed and a name alone."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *names: str | int) -> torch.Generator:
    """Create a random generator for one purpose: the same seed and names give the same numbers on every machine.

    Args:
        seed: Seed of an image (see `ImageBatch.seeds`).
        names: The purpose of the numbers, so that draws of one task never shift those of another.

    Returns:
        A generator on the CPU.
    """
    text = "\0".join(map(str, (seed, *names)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
