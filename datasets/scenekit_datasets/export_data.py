"""The command `scenekit export-data`: any data set as COCO-style or Omni3D-style JSON with its images.

It is not in the package `coco`, which imports torch: the help needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.cli.evaluate import parsed_options


def export_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered data set, such as synthetic.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write.")],
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Which part of it.")] = "train",
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="For the data set, as keys=[masks]; repeatable."),
    ] = None,
    style: Annotated[
        str,
        typer.Option("--style", metavar="coco|omni3d", help="Labels of every kind, or 3D boxes as Omni3D has them."),
    ] = "coco",
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N samples.")] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write a data set as annotations.json with images and maps, which the data set of that style reads."""
    from itertools import islice

    import scenekit as sk
    from scenekit.data.skipping import SkippedSamples, usable
    from scenekit.errors import InputError, nearest
    from scenekit_datasets.coco.export import write_coco
    from scenekit_datasets.omni3d.export import write_omni3d

    writers = {"coco": write_coco, "omni3d": write_omni3d}
    if style not in writers:
        raise InputError(f"unknown style {style!r}{nearest(style, tuple(writers))}")
    data = sk.dataset(name, split=split, **parsed_options(option or (), "--set"))
    count = len(data) if limit is None else min(limit, len(data))
    skipped = SkippedSamples(len(data))
    output.make_folder(out)
    path = writers[style](
        output.progress(islice(usable(data, skipped, name, strict=True), count), "writing", count), out
    )
    skipped.report()
    if as_json:
        written = min(count, len(data) - len(skipped.samples))
        output.print_json({"annotations": str(path), "samples": written})
    else:
        output.print_text(f"wrote {path}; inspect it with: scenekit doctor data {style} --set annotations={path}")
