"""`scenekit export`: a model whose networks run in another runtime."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError, nearest
from scenekit.io.files import new_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenekit.io.images import ImageSource
    from scenekit.model.scene_model import SceneModel
    from scenekit.weights.exported import ExportedNetwork
    from scenekit.weights.exporting import ExportResult

CALIBRATION = 24
"""How many images the calibration uses."""

LONGEST_REASON = 200
"""How many characters of the reason for a refused module are shown."""

CalibrateOption = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="DATA",
        help=f"For --int8: a folder of images like those to come, of which {CALIBRATION} are used, or synthetic.",
    ),
]
WholeThresholdOption = Annotated[
    float | None,
    typer.Option("--threshold", min=0.0, max=1.0, help="For --whole: objects that score less are padding; default: 0."),
]


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model such as small, or a checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="A new or empty folder.")],
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="onnx, openvino, pt2, or the format of a plugin.")
    ] = "onnx",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Resize images to this size in pixels, and take no other one."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Take images of any size, the default.")] = False,
    tasks: output.TasksOption = None,
    int8: Annotated[bool, typer.Option("--int8", help="Compute in int8 where a network loses little by it.")] = False,
    calibrate: CalibrateOption = None,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="One ONNX file that runs without scenekit; with --size."),
    ] = False,
    detections: Annotated[
        int | None,
        typer.Option("--detections", metavar="N", min=1, help="For --whole: rows of objects; all by default."),
    ] = None,
    threshold: WholeThresholdOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Export the networks of a model; the folder is a model for --model and for scenekit.load."""
    check_whole(whole, size, format, int8, detections, threshold)
    out = check_options(out, size, dynamic, int8, calibrate)
    sides = None if size is None else output.parse_size(size)
    names = output.task_names(tasks)
    if whole and sides is not None:
        check_tasks(model, names)
        write_one_file(model, out, sides, names, detections, threshold or 0.0, as_json)
    else:
        write_networks(model, out, format, sides, names, calibrate, as_json)


def check_options(out: Path, size: str | None, dynamic: bool, int8: bool, calibrate: str | None) -> Path:
    """Check options that depend on each other.

    Args:
        out: The option --out.
        size: The option --size.
        dynamic: The option --dynamic.
        int8: The option --int8.
        calibrate: The option --calibrate.

    Returns:
        The folder to write.

    Raises:
        InputError: They do not go together, or the folder has files.
    """
    if dynamic and size is not None:
        raise InputError("--size and --dynamic exclude each other; name one of them")
    if int8 != (calibrate is not None):
        raise InputError("--int8 and --calibrate DATA go together: name images like those that the model will see")
    return new_folder(out)


def check_tasks(model: str, names: Sequence[str] | None) -> None:
    """Check names of tasks before the weights of a model on this disk are read.

    Args:
        model: Name or path of the model.
        names: Names of tasks, or `detection`; None for all.

    Raises:
        InputError: The model lacks one.
    """
    from scenekit.weights import config_of, path_on_disk

    if names is None or path_on_disk(model) is None:
        return
    known = [*config_of(model).tasks, "detection"]
    for name in names:
        if name not in known:
            raise InputError(f"{model} has no task {name!r}{nearest(name, known)}")


def check_whole(
    whole: bool, size: str | None, format: str, int8: bool, detections: int | None, threshold: float | None
) -> None:
    """Check options that go with --whole, or do not.

    Args:
        whole: The option --whole.
        size: The option --size.
        format: The option --format.
        int8: The option --int8.
        detections: The option --detections.
        threshold: The option --threshold.

    Raises:
        InputError: They do not go together.
    """
    for name, value in {"--detections": detections, "--threshold": threshold}.items():
        if value is not None and not whole:
            raise InputError(f"{name} is an option of --whole; leave it out, or add --whole")
    if whole and format != "onnx":
        raise InputError(f"--whole writes ONNX, not {format!r}; leave out --format")
    if whole and int8:
        raise InputError("--whole writes float, no int8; leave out --int8 and --calibrate")
    if whole and size is None:
        raise InputError("--whole writes a graph for one size: give --size, such as 480x640")


def write_networks(
    model: str,
    out: Path,
    format: str,
    size: tuple[int, int] | None,
    tasks: Sequence[str] | None,
    calibrate: str | None,
    as_json: bool,
) -> None:
    """Write the networks of a model, and print a row for each of its parts.

    Args:
        model: Name or path of the model.
        out: Folder to write to.
        format: Name of a runtime.
        size: Height and width of the images, in pixels; None for any.
        tasks: Names of its tasks; all, if None.
        calibrate: Where images for the calibration of int8 are from; None for float.
        as_json: Whether to print JSON.
    """
    from scenekit.weights import load
    from scenekit.weights.exporting import export, runtime_for
    from scenekit.weights.grafting import limited_to

    runtime_for(format, size, int8=calibrate is not None)
    check_tasks(model, tasks)
    images = [] if calibrate is None else calibration_images(calibrate)
    source = load(model, networks=False)
    source = source if tasks is None else limited_to(tasks, source, model)
    with output.console.status("exporting") as status:
        done = export(source, out, format, size, images, lambda name: status.update(f"exporting {name}"))
    left = done.left_in(source)
    if as_json:
        networks = {name: about.model_dump() for name, about in done.networks.items()}
        result = {"model": str(out), "format": format, "networks": networks, "refused": done.refused, "in_torch": left}
        output.print_json(result)
    else:
        print_networks(source, done, left)
        output.print_text(f"wrote {out}; use it with: scenekit predict --model {out} IMAGE")


def print_networks(model: SceneModel, done: ExportResult, left: dict[str, float]) -> None:
    """Print a row for each part of a model, and a note if modules were refused.

    Args:
        model: The model that was exported.
        done: What was exported.
        left: The share of the weights of each part that torch still runs.
    """
    quantized = any(about.int8 is not None for about in done.networks.values())
    columns = ["part", "networks", "MB", "weights left to torch"]
    columns += ["layers in int8", "largest error"] if quantized else []
    rows = [(*row, *[""] * (len(columns) - len(row))) for row in _rows(model, done, left)]
    output.print_table("", columns, rows)
    if done.refused:
        reason = shorten(next(iter(done.refused.values())), LONGEST_REASON, placeholder=" ...")
        output.print_note(
            f"{len(done.refused)} modules are no network as a whole, only in parts or not at all, such as {reason}; "
            "--json lists all"
        )


def write_one_file(
    model: str,
    out: Path,
    size: tuple[int, int],
    tasks: Sequence[str] | None,
    detections: int | None,
    threshold: float,
    as_json: bool,
) -> None:
    """Write a model as one graph, and print what it holds.

    Args:
        model: Name or path of the model.
        out: Folder to write to.
        size: Height and width of the images, in pixels.
        tasks: Names of its tasks; all that can be part of it, if None.
        detections: Rows of objects.
        threshold: Objects that score less are padding.
        as_json: Whether to print JSON.
    """
    from scenekit.io.files import created
    from scenekit.runtimes.whole import check_writable, export_whole, write_whole
    from scenekit.weights import load

    check_writable()
    with created(out), output.console.status("exporting"):  # before work that takes minutes
        graph = export_whole(load(model, networks=False), size, detections, tasks, threshold)
        path = write_whole(graph, out)
    if as_json:
        output.print_json({"model": str(path), "outputs": list(graph.outputs), "left_out": dict(graph.left_out)})
        return
    outputs = [(name, " x ".join(map(str, tensor.shape))) for name, tensor in graph.outputs.items()]
    output.print_table("", ("output", "shape"), outputs)
    for name, reason in graph.left_out.items():
        output.print_text(f"left out {name}: {reason}")
    output.print_text(f"wrote {path}, and whole.json, which describes it")


def _rows(model: SceneModel, done: ExportResult, left: dict[str, float]) -> list[tuple[str, ...]]:
    """Return a row for each stage and head that has weights."""
    rows: list[tuple[str, ...]] = []
    for kind, parts in (("stages", model.stages), ("heads", model.heads)):
        for name in (name for name, part in parts.items() if any(True for _ in part.parameters())):
            files = [about for own, about in done.networks.items() if f"{own}.".startswith(f"{kind}.{name}.")]
            size = sum(about.size for about in files) / 1e6
            rows.append((name, str(len(files)), f"{size:.2f}", f"{left[name]:.0%}", *_in_int8(files)))
    return rows


def _in_int8(files: Sequence[ExportedNetwork]) -> tuple[str, ...]:
    parts = [about.int8 for about in files if about.int8 is not None]
    if not parts:
        return ()
    layers, possible = sum(part.layers for part in parts), sum(part.of for part in parts)
    return f"{layers} of {possible}", f"{max(part.error for part in parts):.1%}"


def calibration_images(data: str) -> list[ImageSource]:
    """Return images for the calibration, spread evenly over a folder, or synthetic ones.

    Args:
        data: A folder, or "synthetic".

    Returns:
        At most `CALIBRATION` images.

    Raises:
        InputError: There is no such folder, or it has no images.
    """
    if data == "synthetic":
        from scenekit.data.datasets import dataset

        scenes = dataset("synthetic", "train")
        return [scenes[index].image for index in range(CALIBRATION)]
    from PIL import Image

    folder, known = Path(data), Image.registered_extensions()
    if not folder.is_dir():
        raise InputError(f"--calibrate: expected a folder of images or synthetic, got {data!r}")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in known)
    if not images:
        raise InputError(f"--calibrate: {folder} has no images; expected files such as .jpg and .png")
    count = min(CALIBRATION, len(images))
    return [images[place * len(images) // count] for place in range(count)]
