"""`scenekit predict`: understand pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.cli.main import USER_ERROR
from scenekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from scenekit.structures.scene import Scene


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Picture files.", show_default=False)],
    model: output.ModelOption = "small",
    tasks: output.TasksOption = None,
    threshold: output.ThresholdOption = 0.5,
    device: output.DeviceOption = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write a drawing and a JSON file per picture here.")
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Run all tasks, or the named ones, on pictures in one pass each.

    A picture that cannot be read costs a line of error and the exit status 2; the others are done all the same.
    """
    wanted = output.task_names(tasks)
    check_files(images)
    import scenekit as sk
    from scenekit.cli.device import device_named

    network = sk.load(model).to(device_named(device))
    if out is not None:
        output.made_folder(out)
    unreadable: list[str] = []
    named = output.progress(list(zip(images, unique_stems(images), strict=True)), "predicting")
    scenes = predicted(named, partial(network.predict, tasks=wanted, threshold=threshold), unreadable, out)
    if as_json:
        output.print_json_array(scene.to_json() for scene in scenes)
    elif rows := [summary(scene) for scene in scenes]:
        output.print_table("", ("picture", "objects", "also"), rows)
    if unreadable:
        raise typer.Exit(USER_ERROR)


def predicted(
    named: Iterable[tuple[str, str]], understand: Callable[[Tensor], Scene], unreadable: list[str], out: Path | None
) -> Iterator[Scene]:
    """The scene of each (picture, stem of its files), the files written to `out`; one at a time is held.

    Pictures that cannot be read are said, left out and added to `unreadable`.
    """
    from scenekit.data.images import read_image

    for name, stem in named:
        try:
            picture = read_image(name)
        except InputError as error:
            output.complain(error)
            unreadable.append(name)
            continue
        scene = replace(understand(picture), path=name)
        if out is not None:
            save(scene, out / stem)
        yield scene


def check_files(names: Iterable[str]) -> None:
    """Refuse files that are not there before any work is done on the others."""
    for name in names:
        if not Path(name).exists():
            raise InputError(f"{name}: no such file")


def unique_stems(names: Sequence[str]) -> list[str]:
    """One file name without suffix per picture: its own, numbered where several pictures share it."""
    stems: list[str] = []
    for name in names:
        stem, number = Path(name).stem, 2
        while stem in stems:
            stem, number = f"{Path(name).stem}-{number}", number + 1
        stems.append(stem)
    return stems


def save(scene: Scene, target: Path) -> None:
    """Write `target`.json and `target`.png."""
    scene.save(target.with_name(f"{target.name}.json"))
    output.save_picture(scene.draw(), target.with_name(f"{target.name}.png"))


def summary(scene: Scene) -> tuple[Any, ...]:
    """A row of text: the picture, how many objects of what kind, and what else is known of it."""
    counts = Counter(scene.names())
    objects = ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"
    return scene.path, objects, ", ".join(sorted(key.name for key in scene.values))
