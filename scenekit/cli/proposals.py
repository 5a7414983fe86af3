"""`scenekit proposals`: write the proposals of a source or a model for the images of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.cli.evaluate import parsed_options
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.data.sample import Sample
    from scenekit.detection.proposals import ProposalsConfig
    from scenekit.model.scene_model import SceneModel


def proposals(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered data set, such as coco.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write, such as val.json.")],
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="sliding_window or selective_search. Default: --model's."),
    ] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="KEY=VALUE", help="For the source, such as mode=quality; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="A model whose proposals are written, such as small.")
    ] = None,
    number: Annotated[
        int, typer.Option("--number", metavar="N", min=1, help="How many of each image at most, best first.")
    ] = 2000,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Which part of the data set.")] = "val",
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="For the data set, such as root=/data/coco; repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N samples.")] = None,
    file_names: Annotated[
        bool,
        typer.Option(
            "--file-names",
            help="Name the file of each image beside its id, for `predict --proposals` and for several data sets, whose"
            " ids may be the same.",
        ),
    ] = False,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Write class-agnostic boxes for each image of a data set, in the layout of COCO's results.

    A detector reads them by the source `files`; `scenekit score proposals` measures them.
    """
    if (source is None) == (model is None):
        raise InputError("name where the proposals are from: --source selective_search, or --model small")
    options = parsed_options(source_option or (), "--with")
    if source is None and options:
        raise InputError("--with is for --source; a model has the options that it was trained with")
    from itertools import islice

    import scenekit as sk
    from scenekit.data.skipping import SkippedSamples, usable
    from scenekit.io.proposal_files import write_proposals

    chosen = source_config(source, options) if source is not None else opened(model or "", device)
    data = sk.dataset(name, **{"split": split, **parsed_options(option or (), "--set")})
    count = len(data) if limit is None else min(limit, len(data))
    skipped = SkippedSamples(len(data))
    samples = output.progress(islice(usable(data, skipped, name, strict=True), count), "proposing", count)
    boxes = write_proposals(out, entries(chosen, samples, number, file_names))
    skipped.report()
    images = min(count, len(data) - len(skipped.samples))
    if as_json:
        output.print_json({"proposals": str(out), "images": images, "boxes": boxes})
    else:
        output.print_text(f"wrote {boxes} boxes of {images} images to {out}")


def source_config(name: str, options: Mapping[str, Any]) -> ProposalsConfig:
    """Return the options of a source.

    Args:
        name: Its name.
        options: Those of its section.

    Returns:
        The options.

    Raises:
        InputError: There is no such source, or it has no such option.
    """
    from scenekit.config import validated
    from scenekit.detection.proposals import ProposalsConfig

    section = {name: options} if options else {}
    return validated(ProposalsConfig, {"name": name, "limit_test": None, **section}, "--source")


def opened(name: str, device: str) -> SceneModel:
    """Load a model.

    Args:
        name: As `scenekit.load` knows it.
        device: As --device names it.

    Returns:
        The model on that device.
    """
    import scenekit as sk
    from scenekit.cli.device import on_device

    return on_device(sk.load(name), device)


def entries(
    source: SceneModel | ProposalsConfig, samples: Iterable[Sample], number: int, file_names: bool = False
) -> Iterator[tuple[int, str | None, Any, Any]]:
    """Yield what is written of each image.

    Args:
        source: A model, or the options of a source.
        samples: The images.
        number: Proposals per image, best first.
        file_names: Whether images are named by their files, too.

    Yields:
        Id, file, boxes in pixels of the image, and scores.
    """
    from scenekit.detection.proposals import proposals_of

    for sample, found in proposals_of(source, samples):
        yield (
            sample.id,
            sample.scene.path if file_names else None,
            found.boxes[:number].numpy(),
            found.scores[:number].numpy(),
        )
