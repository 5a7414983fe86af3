"""`scenekit predict`: understand images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output, writing
from scenekit.cli.main import USER_ERROR
from scenekit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from scenekit.scene import Scene
    from scenekit.structures.cameras import Camera

LEAST_FOCAL = 0.1
"""By the longer side of the image: below it a pinhole camera would span 157 degrees and more."""


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    model: output.ModelOption = "small",
    tasks: output.TasksOption = None,
    threshold: output.ThresholdOption = 0.5,
    device: output.DeviceOption = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write drawings and a JSON file per image here.")
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            "--graph",
            metavar="FILE",
            help="Write the scene graph here, .graphml or .json; of several images a .graphml each in this folder.",
        ),
    ] = None,
    relations: Annotated[
        int | None, typer.Option("--relations", metavar="N", min=0, help="Only the N best relations in the graph.")
    ] = None,
    mesh: Annotated[
        Path | None,
        typer.Option(
            "--mesh",
            metavar="FILE",
            help="Write meshes, or else 3D boxes, in metres here, .glb or .obj; of several images a .glb each in this"
            " folder.",
        ),
    ] = None,
    rerun: Annotated[
        Path | None,
        typer.Option("--rerun", metavar="FILE", help="Write all images as one recording for rerun's viewer, .rrd."),
    ] = None,
    given: Annotated[
        Path | None,
        typer.Option(
            "--given",
            metavar="FOLDER",
            help="Look at the objects of the scene files here, named as --out names them, instead of detecting any.",
        ),
    ] = None,
    focal: Annotated[
        float | None,
        typer.Option(
            "--focal",
            metavar="PIXELS",
            help="Focal length of the camera, in pixels of the images; without it metres rest on an assumed one.",
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Run all tasks, or the named ones, on images in one pass each.

    An image that cannot be read costs a line of error and the exit status 2; the others are done all the same.
    """
    wanted = output.task_names(tasks)
    stems = unique_stems(images)
    known = [] if given is None else [str(given / f"{stem}.json") for stem in stems]
    check_files([*images, *known])
    writing.check_target("--graph", graph, len(images), writing.graph_format)
    writing.check_target("--mesh", mesh, len(images), writing.mesh_format)
    import scenekit as sk
    from scenekit.cli.device import device_named

    with writing.recording_at(rerun) as recording:
        network = sk.load(model).to(device_named(device))
        files = writing.Files(None if out is None else output.made_folder(out), graph, relations, mesh, recording)
        unreadable: list[str] = []
        named = output.progress(list(zip(images, stems, strict=True)), "predicting")
        understand = partial(understood, partial(network.predict, tasks=wanted, threshold=threshold), given, focal)
        tell(predicted(named, understand, unreadable, files.write), as_json)
    if unreadable:
        raise typer.Exit(USER_ERROR)


def tell(scenes: Iterable[Scene], as_json: bool) -> None:
    """Print each scene as soon as it is there, or a table of all of them."""
    if as_json:
        output.print_json_array(scene.to_json() for scene in scenes)
    elif rows := [summary(scene) for scene in scenes]:
        output.print_table("", ("image", "objects", "also"), rows)


def predicted(
    named: Iterable[tuple[str, str]],
    understand: Callable[[Tensor, str], Scene],
    unreadable: list[str],
    write: Callable[[Scene, str], None],
) -> Iterator[Scene]:
    """The scene of each (image, stem of its files), handed to `write` with the stem; one at a time is held.

    Images that cannot be read are said, left out and added to `unreadable`.
    """
    from scenekit.io.images import read_image

    for name, stem in named:
        try:
            image = read_image(name)
        except InputError as error:
            output.complain(error)
            unreadable.append(name)
            continue
        scene = replace(understand(image, stem), path=name)
        write(scene, stem)
        yield scene


def understood(
    predict: Callable[..., Scene], given: Path | None, focal: float | None, image: Tensor, stem: str
) -> Scene:
    """The scene of an image; with the objects of its scene file, where there is a folder of those.

    A `focal` length in pixels stands for the camera that looks along the middle of the image.
    """
    import scenekit as sk

    camera = None if focal is None else pinhole(focal, *image.shape[1:])
    return predict(image, given=None if given is None else sk.Scene.load(given / f"{stem}.json"), camera=camera)


def pinhole(focal: float, height: int, width: int) -> Camera:
    """The camera with this focal length in pixels; refuses what can only be one in millimetres, or of a fisheye."""
    from scenekit.structures import Camera

    if 0 < focal < LEAST_FOCAL * max(height, width):
        angle = math.degrees(2 * math.atan(max(height, width) / 2 / focal))
        raise InputError(
            f"--focal {focal:g}: in pixels expected; an image of {width} x {height} would span {angle:.0f} degrees. Of"
            " millimetres, that is focal length / width of the sensor x width of the image"
        )
    return Camera.pinhole(focal, height, width)


def check_files(names: Iterable[str]) -> None:
    """Refuse files that are not there before any work is done on the others."""
    for name in names:
        if not Path(name).exists():
            raise InputError(f"{name}: no such file")


def unique_stems(names: Sequence[str]) -> list[str]:
    """One file name without suffix per image: its own, numbered where several images share it."""
    stems: list[str] = []
    for name in names:
        stem, number = Path(name).stem, 2
        while stem in stems:
            stem, number = f"{Path(name).stem}-{number}", number + 1
        stems.append(stem)
    return stems


def summary(scene: Scene) -> tuple[Any, ...]:
    """A row of text: the image, how many objects of what kind, and what else is known of it."""
    objects = ", ".join(f"{count} {name}" for name, count in scene.counts().items()) or "none"
    return scene.path, objects, ", ".join(sorted(key.name for key in scene.values))
