"""One HTML file on a data set: counts, sizes, ranges, issues, and drawn samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from scenekit.data.inspection import SIZES, Findings, Inspection
from scenekit.data.sample import Sample
from scenekit.io.files import write_atomically
from scenekit.visualization.draw import draw_layers
from scenekit.visualization.palette import label_color
from scenekit.visualization.report.page import ReportEntry, card, document, header
from scenekit.visualization.report.tables import Column, labelled, section, table

MOST = 12
"""Rows of a table of counts."""

PLACES = 6
"""Places of one kind of issue that the page spells out."""


def write_data_report(
    path: str | Path, inspection: Inspection, samples: Sequence[Sample], *, title: str, facts: Mapping[str, object]
) -> None:
    """Write the page to `path` atomically; missing folders are made. `facts` are shown at the top."""
    parts = [
        header(title, {**facts, "samples": looked_at(inspection)}),
        block("Issues", findings_table(inspection.findings)),
        block("Statistics", '<div class="tables">' + "".join(overview(inspection)) + "</div>"),
        block("Classes", classes_table(inspection)),
        *(card(number, entry_of(sample)) for number, sample in enumerate(samples, start=1)),
    ]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, document(title, parts).encode())


def looked_at(inspection: Inspection) -> str:
    """Return `500`, or `500 of 10,000, spread evenly`."""
    rest = "" if inspection.looked_at == inspection.length else f" of {inspection.length:,}, spread evenly"
    return f"{inspection.looked_at:,}{rest}"


def block(title: str, content: str) -> str:
    """Return a titled part of the page."""
    return f'<section class="card">\n<header><h2>{escape(title)}</h2></header>\n{content}\n</section>'


def findings_table(findings: Mapping[str, Findings]) -> str:
    """Return kinds of issues, the most frequent first, with the first places of each."""
    if not findings:
        return '<p class="note">None.</p>'
    ordered = sorted(findings.items(), key=lambda entry: -entry[1].count)
    columns = [
        Column("kind", [escape(kind) for kind, _ in ordered]),
        Column("count", [f"{entry.count:,}" for _, entry in ordered], numeric=True),
        Column("where", [places(entry) for _, entry in ordered]),
    ]
    return f'<div class="folded">{table(columns)}</div>'


def places(findings: Findings) -> str:
    """Return the first places, and a mark where there are more."""
    more = "; ..." if findings.count > PLACES else ""
    return escape("; ".join(findings.places[:PLACES]) + more)


def overview(inspection: Inspection) -> list[str]:
    """Return labels by key, sizes of images and objects, ranges, predicates."""
    labels = sorted(inspection.labels.items())
    ranges = [(what, numbers) for what, numbers in inspection.ranges.items() if numbers.count]
    by_key = [
        Column("key", [escape(name) for name, _ in labels]),
        Column("images", [f"{entry.images:,}" for _, entry in labels], numeric=True),
        Column("supervised", [f"{entry.supervised:,}" for _, entry in labels], numeric=True),
        Column("rows", [f"{entry.rows:,}" if entry.rows else "" for _, entry in labels], numeric=True),
    ]
    measured = [
        Column("", [escape(what) for what, _ in ranges]),
        Column("least", [short(numbers.low) for _, numbers in ranges], numeric=True),
        Column("mean", [short(numbers.total / numbers.count) for _, numbers in ranges], numeric=True),
        Column("most", [short(numbers.high) for _, numbers in ranges], numeric=True),
    ]
    parts = [section("Labels", table(by_key)), section("Ranges", table(measured))]
    sizes = [(name, inspection.sizes[name]) for name in SIZES]
    counted = {"Objects by size": sizes, "Images by size": inspection.shapes.most_common(MOST)}
    counted |= {kind.capitalize(): counts.most_common(MOST) for kind, counts in inspection.names.items()}
    below_each_other = "".join(section(name, counts_table(counts)) for name, counts in counted.items() if counts)
    return [*parts, f'<div class="stack">{below_each_other}</div>']


def classes_table(inspection: Inspection) -> str:
    """Return objects and images by class, the most frequent first, in columns; then the classes without objects."""
    things = inspection.vocabulary.things
    present = sorted(
        (n for n, name in enumerate(things) if inspection.objects[name]), key=lambda n: -inspection.objects[things[n]]
    )
    absent = [name for name in things if not inspection.objects[name]]
    parts = [present[start : start + MOST] for start in range(0, len(present), MOST)]
    tables = "".join(f"<section>{classes_part(inspection, part)}</section>" for part in parts)
    note = f'<p class="note">Without objects: {escape(", ".join(absent))}.</p>' if absent else ""
    return f'<div class="tables">{tables}</div>{note}'


def classes_part(inspection: Inspection, labels: Sequence[int]) -> str:
    """Return the table of some classes."""
    names = [inspection.vocabulary.things[label] for label in labels]
    most = max(inspection.objects.values())
    columns = [
        Column("class", [labelled(label_color(label), name) for label, name in zip(labels, names, strict=True)]),
        Column("objects", [f"{inspection.objects[name]:,}" for name in names], numeric=True),
        Column("images", [f"{inspection.images_of[name]:,}" for name in names], numeric=True),
        Column("", [meter(inspection.objects[name] / most) for name in names]),
    ]
    return table(columns)


def counts_table(counts: Sequence[tuple[str, int]]) -> str:
    """Return names, counts and a bar each."""
    most = max(1, *(count for _, count in counts))
    columns = [
        Column("", [escape(name) for name, _ in counts]),
        Column("count", [f"{count:,}" for _, count in counts], numeric=True),
        Column("", [meter(count / most) for _, count in counts]),
    ]
    return table(columns)


def meter(share: float) -> str:
    """Return a bar that is filled to a share of 1."""
    return f'<span class="meter"><i style="width:{100 * share:.0f}%"></i></span>'


def short(value: float) -> str:
    """Return three significant digits, more of whole numbers."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def entry_of(sample: Sample) -> ReportEntry:
    """Return a sample with all its layers drawn."""
    image = Image.fromarray(sample.image.permute(1, 2, 0).numpy())
    return ReportEntry(f"image {sample.id}", image, sample.scene, draw_layers(sample.scene, image))
