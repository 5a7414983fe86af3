"""`scenekit cost`: what each stage and task of a model costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.cli.image_inputs import check_files

if TYPE_CHECKING:
    from scenekit.io.images import Pixels
    from scenekit.model.ledger import Ledger, Row
    from scenekit.model.scene_model import SceneModel

COLUMNS = (
    *("part", "parameters", "GFLOPs", "network ms", "finish ms", "marginal ms", "alone ms"),
    *("marginal MiB", "alone MiB"),
)


SizesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--size", metavar="HxW", help="Resize the image to this height and width, such as 480x640; repeatable."
    ),
]
ImageOption = Annotated[
    Path | None,
    typer.Option("--image", metavar="FILE", help="Image to run on. Default: a rendered scene with ten objects."),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Run the tasks that fit into this time, such as 60ms: those of --tasks in their order, else the cheapest "
        "first.",
    ),
]


def cost(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A shipped model such as small, a checkpoint, or SOURCE/NAME.")
    ] = "small",
    size: SizesOption = None,
    image: ImageOption = None,
    tasks: output.TasksOption = None,
    budget: BudgetOption = None,
    threshold: output.ThresholdOption = 0.5,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Measure what each stage and task of a model costs: parameters, operations, time and memory.

    marginal: what a part adds to a pass in which the core and all that it requires run anyway. alone: a pass for this
    part alone. FLOPs are those of convolutions, matrix products and attention. Times are medians of repeated passes,
    from decoded pixels to the scene; they depend on the number of objects in the image. Memory is the peak of tensors
    beside the model.
    """
    sizes: Sequence[tuple[int, int] | None] = [output.parse_size(text) for text in size or ()] or [None]
    wanted = output.task_names(tasks)
    check_files([] if image is None else [str(image)])
    import scenekit as sk
    from scenekit.cli.device import on_device
    from scenekit.model.ledger import seconds_of
    from scenekit.model.measuring import pixels_of

    limit = None if budget is None else seconds_of(budget)
    images = [pixels_of(image, resized) for resized in sizes]
    network = on_device(sk.load(model), device)
    ledgers = [measured(model, network, pixels, wanted, threshold, limit, not as_json) for pixels in images]
    if as_json:
        output.print_json({"model": model, "ledgers": ledgers})


def measured(
    model: str,
    network: SceneModel,
    pixels: Pixels,
    tasks: list[str] | None,
    threshold: float,
    limit: float | None,
    printed: bool,
) -> dict[str, Any]:
    """Measure a model on an image, and run what a budget allows.

    Args:
        model: Its name.
        network: The model.
        pixels: The image.
        tasks: Tasks to measure; all, if None.
        threshold: Smallest score of an object.
        limit: Seconds of the budget, if there is one.
        printed: Whether to print tables.

    Returns:
        The ledger as plain JSON, and what `budgeted` returns under "budget".
    """
    import scenekit as sk

    with output.progress_bar("measuring", None):
        ledger = sk.cost(network, pixels, tasks=tasks, threshold=threshold)
    if printed:
        print_ledger(model, ledger)
    runs = {} if limit is None else {"budget": budgeted(network, pixels, ledger, limit, tasks)}
    if printed:
        print_budget(**runs)
    return {**ledger.to_json(), **runs}


def budgeted(
    network: SceneModel, pixels: Pixels, ledger: Ledger, limit: float, wanted: list[str] | None
) -> dict[str, Any]:
    """Run the tasks that fit into a budget.

    Args:
        network: The model.
        pixels: The image.
        ledger: Its ledger.
        limit: Seconds.
        wanted: Tasks in order of priority; all, if None.

    Returns:
        The tasks, those left out, what the ledger expects, and the median of the measured time.
    """
    choice, seconds = ledger.within(limit, wanted), []
    for _ in range(ledger.repeats):
        start = time.perf_counter()
        scene = network.predict(pixels, choice.run, ledger.threshold)
        seconds.append(time.perf_counter() - start)
    return {
        "limit_ms": 1e3 * limit,
        "tasks": list(choice.tasks),
        "left_out": list(choice.left_out),
        "expected_ms": 1e3 * choice.seconds,
        "measured_ms": 1e3 * statistics.median(seconds),
        "regions": {stream.name: len(regions) for stream, regions in scene.streams.items()},
    }


def print_ledger(model: str, ledger: Ledger) -> None:
    """Print a table with a row for each part.

    Args:
        model: Name of the model.
        ledger: The ledger.
    """
    rows: list[tuple[object, ...]] = [("preprocess", *blank(4), ms(ledger.preprocess))]
    rows += [row_of(row, ledger) for row in ledger.rows.values()]
    parameters = sum(row.parameters for row in ledger.rows.values())
    rows.append(("rest", *blank(4), ms(ledger.rest)))
    rows.append(("sum", f"{parameters:,}", gflops(ledger.flops), *blank(2), ms(ledger.seconds(list(ledger.rows)))))
    rows.append(("one pass, measured", *blank(5), ms(ledger.together), None, mib(ledger.together_memory)))
    (height, width), (high, wide) = ledger.image, ledger.network
    regions = ", ".join(f"{count} {name}" for name, count in ledger.regions.items()) or "no regions"
    title = f"{model} on {ledger.device}, image {height} x {width}, network {high} x {wide}, {regions}"
    output.print_table(title, COLUMNS, [(*row, *blank(len(COLUMNS) - len(row))) for row in rows])


def row_of(row: Row, ledger: Ledger) -> tuple[object, ...]:
    """Return the cells of a part.

    Args:
        row: The part.
        ledger: Its ledger.

    Returns:
        A cell for each column.
    """
    times = (row.network, row.finish, row.marginal, ledger.seconds([row.name]))
    memory = (row.marginal_memory, row.alone_memory)
    return row.name, f"{row.parameters:,}", gflops(row.flops), *map(ms, times), *map(mib, memory)


def print_budget(budget: dict[str, Any] | None = None) -> None:
    """Print which tasks a budget allows.

    Args:
        budget: What `budgeted` returned; None without a budget.
    """
    if budget is None:
        return
    tasks, left_out = (", ".join(budget[name]) or "none" for name in ("tasks", "left_out"))
    from scenekit.model.ledger import milliseconds

    output.print_text(f"within {milliseconds(1e-3 * budget['limit_ms'])}: {tasks}")
    output.print_text(f"left out: {left_out}")
    output.print_text(f"{budget['expected_ms']:.1f} ms by the ledger, {budget['measured_ms']:.1f} ms measured")


def blank(count: int) -> tuple[None, ...]:
    """Return empty cells.

    Args:
        count: Their number.

    Returns:
        The cells.
    """
    return (None,) * count


def ms(seconds: float) -> str:
    """Format a time.

    Args:
        seconds: The time.

    Returns:
        Milliseconds.
    """
    return f"{1e3 * seconds:.1f}"


def gflops(count: int | None) -> str | None:
    """Format a number of operations.

    Args:
        count: The number; None where it is unknown.

    Returns:
        Billions; None for an empty cell.
    """
    return None if count is None else f"{count / 1e9:.2f}"


def mib(count: int | None) -> str | None:
    """Format a size in memory.

    Args:
        count: Bytes; None where they are unknown.

    Returns:
        MiB; None for an empty cell.
    """
    return None if count is None else f"{count / 2**20:.1f}"
