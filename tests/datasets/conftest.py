"""Scenes that several tests look at, generated once."""

from dataclasses import dataclass

import pytest

from scenekit_datasets.synthetic.render import Renderer
from scenekit_datasets.synthetic.scene import SyntheticScene, compose, generate

SEED = 7


@dataclass(frozen=True)
class Case:
    """A finished scene and the geometry it was made from."""

    scene: SyntheticScene
    renderer: Renderer


@pytest.fixture(scope="session")
def cases() -> list[Case]:
    """Twelve scenes, amodal masks included."""
    return [Case(generate(SEED, index, amodal=True), compose(SEED, index)[0]) for index in range(12)]
