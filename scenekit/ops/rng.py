"""Random numbers that depend on nothing but their name."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A generator on the CPU for one purpose: the same (seed, names) give the same numbers on every machine.

    `seed` is that of an image (see `ImageBatch.seeds`); `names` say what the numbers are for, so that one task's
    draws never shift another's.
    """
    text = "\0".join(map(str, (seed, *names)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
