"""Random numbers by name."""

import torch

from scenekit.ops.rng import generator


def draw(seed: int, *names: str | int) -> tuple[int, ...]:
    return tuple(torch.randint(0, 1_000_000, (4,), generator=generator(seed, *names)).tolist())


def test_the_seed_is_the_same_on_every_machine() -> None:
    """BLAKE2b of "7", a zero byte and "proposals", 8 bytes, as `hashlib` and `b2sum -l 64` give it; top 63 bits."""
    assert generator(7, "proposals").initial_seed() == 0x616382F7D0FC3857 >> 1
    assert draw(7, "proposals") == draw(7, "proposals")


def test_seed_and_every_name_matter() -> None:
    drawn = [draw(7, "a"), draw(8, "a"), draw(7, "b"), draw(7, "a", 0), draw(7, "a", 1), draw(7, "a0")]
    assert len(set(drawn)) == len(drawn)
