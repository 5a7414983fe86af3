"""The command `scenekit example`: class names in a predicted scene, with their counts. Make it yours."""

import json
from pathlib import Path
from typing import Annotated

import typer


def example(
    scene: Annotated[Path, typer.Argument(metavar="FILE", help="A scene, as `scenekit predict` writes it.")],
    threshold: Annotated[float, typer.Option(help="Leave out objects with a lower score, 0 to 1.")] = 0.5,
) -> None:
    """Print how many objects of each class a scene has, as JSON."""
    import scenekit as sk  # not at the top: commands that are not run must not load torch

    loaded = sk.Scene.load(scene)
    scores = loaded.objects.scores
    if scores is not None:
        loaded = loaded.select(sk.OBJECTS, scores >= threshold)
    print(json.dumps(loaded.counts()))
