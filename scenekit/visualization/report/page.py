"""One HTML file that shows what a model predicts: images, tables and timings, with nothing outside the file.

Letters: H W pixels of the scene.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

import torch
from PIL import Image

from scenekit.graph.build import has_edges
from scenekit.io.files import write_atomically
from scenekit.scene import Scene
from scenekit.visualization.draw import (
    available_layers,
    base_image,
    draw_layers,
    draw_views,
    is_blank,
)
from scenekit.visualization.export.mesh_scene import glb, has_solids
from scenekit.visualization.report.graph_view import graph_view, numbered
from scenekit.visualization.report.tables import Column, section, table
from scenekit.visualization.report.values import image_tables, region_tables

EMBEDDED_SIDE = 1600
"""Larger images are embedded at this longer side; the report is for looking, not for measuring."""

QUALITY = 86
"""Of the embedded WebP images: text on them stays clean at about a tenth of the size of PNG."""


@dataclass(frozen=True)
class ReportEntry:
    """One image of a report."""

    name: str
    """Its title."""
    image: Image.Image
    """RGB, upright and in its original size."""
    scene: Scene
    """The predictions, or the annotations of a data set."""
    layers: Mapping[str, Image.Image]
    """Drawn images by name, as `draw_layers` makes them."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by name of the step."""
    ground_truth: Scene | None = None
    """Is drawn beside the layers that it has too."""


def write_report(
    path: str | Path, entries: Sequence[ReportEntry], *, title: str, model_info: Mapping[str, object]
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: The HTML file; missing folders are made.
        entries: The images.
        title: The title of the page.
        model_info: Is shown at the top by its own names (model, tasks, device, ...), then torch's version and the date.

    Raises:
        InputError: The file cannot be written.
    """
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    facts = {**model_info, "torch": torch.__version__, "date": date}
    page = document(title, [header(title, facts), summary(entries), *map(card, range(1, len(entries) + 1), entries)])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def document(title: str, parts: Iterable[str]) -> str:
    """Return the page around its parts."""
    style = files("scenekit.visualization.report").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def header(title: str, facts: Mapping[str, object]) -> str:
    """Return the title and what the results were made with."""
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(fact_text(v))}</dd></div>" for k, v in facts.items())
    return f'<header>\n<h1>{escape(title)}</h1>\n<dl class="facts">{pairs}</dl>\n</header>'


def fact_text(value: object) -> str:
    """Return a fact as text; collections with commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)


def summary(entries: Sequence[ReportEntry]) -> str:
    """Return all images in one table, with links to their cards."""
    links = [f'<a href="#image-{n}">{escape(entry.name)}</a>' for n, entry in enumerate(entries, 1)]
    columns = [
        Column("image", links),
        Column("size", [size_text(entry.scene) for entry in entries]),
        Column("objects", [str(len(entry.scene.objects)) for entry in entries], numeric=True),
    ]
    if any(entry.ground_truth is not None for entry in entries):
        counts = ["" if entry.ground_truth is None else str(len(entry.ground_truth.objects)) for entry in entries]
        columns.append(Column("in ground truth", counts, numeric=True))
    columns.append(Column("classes", [escape(inventory(entry.scene)) for entry in entries]))
    if any(entry.timings for entry in entries):
        times = [milliseconds(sum(entry.timings.values())) if entry.timings else "" for entry in entries]
        columns.append(Column("time", times, numeric=True))
    return f'<section class="card">\n<header><h2>Summary</h2></header>\n{table(columns)}\n</section>'


def card(number: int, entry: ReportEntry) -> str:
    """Return all of one image; the timings stand below it where comparisons leave room there, else at the end."""
    timings = timings_table(entry.timings)
    below, last = (timings, "") if entry.ground_truth is not None else ("", timings)
    graph = graph_of(entry)
    tables = "\n".join(filter(None, (*region_tables(entry.scene), *image_tables(entry.scene), last)))
    return (
        f'<article class="card" id="image-{number}">\n<header><h2>{escape(entry.name)}</h2>'
        f'<p class="note">{size_text(entry.scene)} · {escape(inventory(entry.scene))}</p></header>\n'
        f'<div class="views">\n{views(entry, below)}\n</div>\n<div class="tables">\n{tables}\n</div>\n{graph}</article>'
    )


def graph_of(entry: ReportEntry) -> str:
    """Return the graph beside its image; nothing where no value of the scene gives edges."""
    if not has_edges(entry.scene):
        return ""
    boxes = numbered(base_image(entry.scene, entry.image), entry.scene)
    shown = embedded(boxes, f"{entry.name} with the objects of the graph")
    return graph_view(entry.scene.graph(), shown, entry.ground_truth)


def views(entry: ReportEntry, below: str) -> str:
    """Return the image with what stands `below` it, then its layers and further views, beside those of ground truth."""
    annotated = {} if entry.ground_truth is None else ground_truth_layers(entry.ground_truth, entry)
    content = inventory(entry.scene)
    figures = [f"<div>{figure('image', embedded(entry.image, entry.name))}{below}</div>"]
    base = base_image(entry.scene, entry.image)
    for name, drawn in entry.layers.items():
        if is_blank(drawn, base) and is_blank(annotated.get(name, base), base):
            continue
        shown = embedded(drawn, f"{entry.name} with {name} as predicted: {content}")
        if name in annotated:
            shown = compared(shown, embedded(annotated[name], f"{entry.name} with {name} of the ground truth"))
        figures.append(figure(name, shown))
    return "\n".join([*figures, *further_views(entry), solids_link(entry.name, entry.scene)])


def further_views(entry: ReportEntry) -> Iterator[str]:
    """Embed the views that tasks bring, such as the one from above, beside those of the ground truth."""
    there = entry.ground_truth
    annotated = {} if there is None else draw_views(there, beside=entry.scene)
    for name, view in draw_views(entry.scene, beside=there).items():
        shown = embedded(view, f"{entry.name}, {name} view, as predicted")
        if name in annotated:
            shown = compared(shown, embedded(annotated[name], f"{entry.name}, {name} view, ground truth"))
        yield figure(f"{name} view", shown)


def solids_link(name: str, scene: Scene) -> str:
    """Return a link that saves the solids of the scene as a GLB file, which the report itself holds."""
    if not has_solids(scene):
        return ""
    address = f"data:model/gltf-binary;base64,{base64.b64encode(glb(scene)).decode('ascii')}"
    file = f"{escape(name)}.glb"
    return f'<p class="note"><a download="{file}" href="{address}">Solids in metres: {file}</a></p>'


def compared(prediction: str, ground_truth: str) -> str:
    """Return two views beside each other."""
    return f'<div class="pair">{captioned(prediction, "prediction")}{captioned(ground_truth, "ground truth")}</div>'


def ground_truth_layers(ground_truth: Scene, entry: ReportEntry) -> dict[str, Image.Image]:
    """Draw the entry's layers of its ground truth, as far as that has them."""
    return draw_layers(
        ground_truth, entry.image, [name for name in available_layers(ground_truth) if name in entry.layers]
    )


def figure(caption: str, content: str) -> str:
    """Return a titled view."""
    return f"<figure><figcaption>{escape(caption.capitalize())}</figcaption>{content}</figure>"


def captioned(content: str, caption: str) -> str:
    """Return one half of a comparison."""
    return f'<div>{content}<p class="note">{escape(caption)}</p></div>'


def embedded(image: Image.Image, description: str) -> str:
    """Return an embedded image that a click or the space bar enlarges."""
    text = escape(description)
    return (
        f'<label class="zoom"><input type="checkbox" aria-label="Enlarge: {text}">'
        f'<img src="{data_uri(image)}" alt="{text}" width="{image.width}" height="{image.height}"></label>'
    )


def data_uri(image: Image.Image) -> str:
    """Return the image itself as an address."""
    small = image.convert("RGB")
    small.thumbnail((EMBEDDED_SIDE, EMBEDDED_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def timings_table(timings: Mapping[str, float]) -> str:
    """Return the table of milliseconds by step, with a bar each."""
    if not timings:
        return ""
    longest = max(max(timings.values()), 1e-9)
    meters = [f'<span class="meter"><i style="width:{100 * t / longest:.0f}%"></i></span>' for t in timings.values()]
    columns = [
        Column("step", list(map(escape, timings))),
        Column("time", list(map(milliseconds, timings.values())), numeric=True),
        Column("", meters),
    ]
    return section("Time", table(columns))


def inventory(scene: Scene) -> str:
    """Return what is in the scene, such as `2 × chair, lamp`."""
    counts = scene.counts().items()
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts) or "no objects"


def size_text(scene: Scene) -> str:
    """Return `width × height`."""
    return f"{scene.size[1]} × {scene.size[0]}"


def milliseconds(seconds: float) -> str:
    """Return whole milliseconds, tenths where they are few."""
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"
