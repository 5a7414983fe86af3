"""Tables of the values of a scene, from the columns of their fields; plugins' keys included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from scenekit.fields.frame import Swatch
from scenekit.keys import IMAGE, OBJECTS, Key, Stream
from scenekit.scene import Scene
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import label_color, stuff_color
from scenekit.visualization.report.tables import Column, labelled, remainder, section, table, worded

MOST_ROWS = 20
"""Rows of the tables that may be long; those of objects are all shown."""

NUMBERS = re.compile(r"[-+\d.,e×/%\s]*|nan|-?inf")
"""A cell that is set as a number."""

NONE_FOUND = '<p class="note">none found</p>'


def region_tables(scene: Scene) -> Iterator[str]:
    """Yield a table of the objects, and one of the regions of each other stream."""
    yield objects_table(scene)
    for stream in scene.streams:
        if stream != OBJECTS:
            yield stream_table(scene, stream)


def objects_table(scene: Scene) -> str:
    """Return the table of the objects: number, label, score, box, and what each key that follows them shows."""
    objects = scene.objects
    if not len(objects):
        return section("Objects", NONE_FOUND)
    numbers = Column("", list(map(str, range(len(objects)))), numeric=True)
    labels = Column("label", list(map(labelled, object_colors(scene), scene.names())))
    return section(
        "Objects", fitting_table([numbers, labels, *box_columns(scene, OBJECTS), *columns_of(scene, OBJECTS)])
    )


def stream_table(scene: Scene, stream: Stream) -> str:
    """Return the table of the regions of another stream, by descending score, less those that no key describes."""
    regions, described = scene.regions(stream), columns_of(scene, stream)
    rows = [row for row in range(len(regions)) if not described or any(column.cells[row] for column in described)]
    if regions.scores is not None:
        scores = regions.scores.nan_to_num(0).tolist()
        rows.sort(key=lambda row: -scores[row])
    if not rows:
        return section(title_of(stream), NONE_FOUND)
    columns = [shown(column, rows[:MOST_ROWS]) for column in (*box_columns(scene, stream), *described)]
    return section(title_of(stream), fitting_table(columns) + remainder(min(len(rows), MOST_ROWS), len(rows)))


def image_tables(scene: Scene) -> Iterator[str]:
    """Yield a table of each key of the image, and one of all that show a single cell."""
    single: dict[str, str] = {}
    for key in scene.values:
        if key.of is IMAGE and (columns := key_columns(scene, key)):
            if [len(column.cells) for column in columns] == [1] and columns[0].title == key.name:
                single[key.name] = columns[0].cells[0]
            else:
                yield section(title_of(key), long_table(columns))
    if single:
        names = Column("", [escape(name) for name in single])
        yield section("Image", worded([names, Column("value", list(single.values()))]))


def long_table(columns: Sequence[Column]) -> str:
    """Return the first rows of a table, and how many more there are."""
    count = len(columns[0].cells)
    columns = [column for column in columns if any(column.cells)]
    cut = [shown(column, range(min(count, MOST_ROWS))) for column in columns]
    return table(cut) + remainder(min(count, MOST_ROWS), count) if count else NONE_FOUND


def columns_of(scene: Scene, stream: Stream) -> list[Column]:
    """Return the columns of all keys that follow a stream, numbers before texts; none that are blank throughout."""
    columns = (column for key in scene.values if key.of == stream for column in key_columns(scene, key))
    return sorted((column for column in columns if any(column.cells)), key=lambda column: not column.numeric)


def key_columns(scene: Scene, key: Key[Any, Any]) -> list[Column]:
    """Return what the field of a key shows of its value; blanks in rows that do not carry it."""
    frame = scene.frame(key)
    columns = []
    for title, cells in key.field.columns(scene[key], frame).items():
        if frame.valid is not None:
            cells = [cell if carries else "" for cell, carries in zip(cells, frame.valid.tolist(), strict=True)]
        numeric = all(isinstance(cell, str) and NUMBERS.fullmatch(cell) for cell in cells)
        columns.append(Column(title or key.name, [html_of(cell, scene) for cell in cells], numeric))
    return columns


def box_columns(scene: Scene, stream: Stream) -> Iterator[Column]:
    """Yield the columns of scores, where there are any, and of boxes in pixels."""
    regions = scene.regions(stream)
    if regions.scores is not None:
        yield Column("score", [f"{score:.2f}" for score in regions.scores.tolist()], numeric=True)
    boxes = [", ".join(f"{value:.0f}" for value in box) for box in regions.boxes.tolist()]
    yield Column("box x0, y0, x1, y1", boxes, numeric=True)


def html_of(cell: str | Swatch, scene: Scene) -> str:
    """Return the cell with its color, as in the images."""
    if isinstance(cell, str):
        return escape(cell)
    if cell.row is not None:
        return labelled(object_colors(scene)[cell.row], cell.text)
    if cell.label is not None:
        names, is_thing = scene.vocabulary.labels, cell.label < len(scene.vocabulary.things)
        color = label_color(cell.label) if is_thing else stuff_color(cell.label, names[cell.label])
        return labelled(color, cell.text)
    return escape(cell.text)


def fitting_table(columns: Sequence[Column]) -> str:
    """Return a table whose texts may take several lines where there are any beside the label."""
    return (
        worded(columns) if any(not column.numeric and column.title != "label" for column in columns) else table(columns)
    )


def shown(column: Column, rows: Sequence[int]) -> Column:
    """Return some rows of a column."""
    return replace(column, cells=[column.cells[row] for row in rows])


def title_of(key: Key[Any, Any]) -> str:
    """Return the name of a key as a title."""
    return key.name[:1].upper() + key.name[1:]
