"""What every test shares: one thread, a fixed seed, and the sample files where they are at hand."""

import gc
import os
import random
from collections.abc import Generator
from pathlib import Path

# The import hook keeps bytecode under a name of its own, also of all that scenekit imports: those not imported before
# are compiled anew in a fresh checkout.
import accelerate  # noqa: F401
import numpy as np
import pytest
import torch
import torchvision  # noqa: F401
import trimesh  # noqa: F401

import tests.shape_checks  # noqa: F401  named by the option --jaxtyping-packages

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """One thread per worker: the suite runs in parallel processes, and sums then have one order."""
    torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end: no search for garbage need go through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same random state, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real sample images and annotations; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("SCENEKIT_SAMPLES", REPOSITORY.parent / "shared" / "samples"))
    if not folder.is_dir():
        pytest.skip(f"no sample files: {folder} does not exist (name a folder in SCENEKIT_SAMPLES)")
    return folder
