"""Events as bars along the time of a clip, with their texts."""

from __future__ import annotations

from scenekit.keys import EVENTS
from scenekit.scene import Scene
from scenekit.structures import Events
from scenekit.visualization.palette import label_color
from scenekit.visualization.scene_canvas import Canvas

SHOWN = 8
"""So many events, best first, find room in an image."""

LONGEST = 72
"""Characters of a text that are written out."""

BAR = 0.12
"""Where a bar lies between its text and the next one, as a part of the height of a line."""

MARGIN = 0.04
"""Part of the sides that stays free around the bars."""


def draw_events(canvas: Canvas, scene: Scene) -> None:
    """Draw a bar for each event from left to right, and its text; at a moment of the clip only what happens then.

    From left to right are the beginning of the clip's clock and the end of its last event.

    Args:
        canvas: What is drawn on.
        scene: The scene of a clip, or of a frame of it that knows its moment.
    """
    events, rows = scene[EVENTS], shown_rows(scene)
    height, width = scene.size
    end = max(float(events.spans[:, 1].max()), 1e-6) if rows else 1.0
    left, right, line = MARGIN * width, (1 - MARGIN) * width, height / (SHOWN + 1)
    texts = []
    for place, row in enumerate(rows):
        y, color = height - line * (len(rows) - place - 0.5), label_color(row)
        ends = [left + (right - left) * min(max(time / end, 0.0), 1.0) for time in events.spans[row].tolist()]
        under = y + BAR * line  # a text is written above its box
        canvas.line([(ends[0], under), (max(ends[1], ends[0] + 1), under)], color)
        texts.append(((left, y, right, y + line / 2), _label(events, row), color))
    canvas.texts(texts)


def shown_rows(scene: Scene) -> list[int]:
    """Return the events to draw: the best ones by their start; of a frame those at its moment.

    Args:
        scene: A scene with events.

    Returns:
        At most `SHOWN` rows.
    """
    events = scene[EVENTS]
    spans, rows = events.spans.tolist(), list(range(len(events)))
    if scene.moment is not None:
        time = scene.moment.time
        rows = [row for row in rows if spans[row][0] <= time <= spans[row][1]]
    scores = [1.0] * len(events) if events.scores is None else events.scores.tolist()
    best = sorted(rows, key=lambda row: -scores[row])[:SHOWN]
    return sorted(best, key=lambda row: spans[row])


def _label(events: Events, row: int) -> str:
    texts = events.captions.texts[row]
    text = texts[0] if texts else ""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
    start, end = events.spans[row].tolist()
    return f"{start:.1f}-{end:.1f} s {text}"
