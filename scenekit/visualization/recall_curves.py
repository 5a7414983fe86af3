"""The recall of proposals, drawn: against their number, and against IoU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from scenekit.visualization.line_chart import Panel, draw_panels

COUNT_TICKS = (1.0, 10.0, 100.0, 1000.0)
IOU_TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def draw_recall(results: Mapping[str, Mapping[str, Any]], limit: int = 1000) -> Image.Image:
    """Draw recall against the number of proposals, and against the IoU threshold.

    One set of proposals has a line for each IoU threshold (0.5, 0.75 and their mean from 0.5 to 0.95) and one for each
    number of proposals; several are compared by average recall, and at `limit` proposals.

    Args:
        results: What `ProposalRecall.result` returns, by the name of the proposals.
        limit: 100, 300 or 1000 proposals per image, for several results.

    Returns:
        The image, RGB.

    Example:
        ```python
        draw_recall({"selective search": scores, "RPN": others}).save("recall.png")
        ```
    """
    if len(results) == 1:
        ((_, scores),) = results.items()
        by_count = {name: _line(scores, "count", key) for name, key in _OF_COUNT.items()}
        by_iou = {f"{key.removeprefix('R@')} proposals": _line(scores, "iou", key) for key in _at_limits(scores)}
        return _drawn("recall against number", by_count, "recall against IoU", by_iou)
    by_count = {name: _line(scores, "count", "AR") for name, scores in results.items()}
    by_iou = {name: _line(scores, "iou", f"R@{limit}") for name, scores in results.items()}
    return _drawn("average recall against number", by_count, f"recall of {limit} proposals", by_iou)


_OF_COUNT = {"IoU 0.5": "R50", "IoU 0.75": "R75", "average recall": "AR"}


def _at_limits(scores: Mapping[str, Any]) -> list[str]:
    return [key for key in scores["curves"] if key.startswith("R@")]


def _line(scores: Mapping[str, Any], x: str, y: str) -> list[tuple[float, float]]:
    curves = scores["curves"]
    return [(float(place), float(height)) for place, height in zip(curves[x], curves[y], strict=True)]


def _drawn(count_title: str, by_count: Mapping[str, Any], iou_title: str, by_iou: Mapping[str, Any]) -> Image.Image:
    return draw_panels(
        [
            Panel(count_title, "proposals per image", by_count, COUNT_TICKS, logarithmic=True),
            Panel(iou_title, "IoU threshold", by_iou, IOU_TICKS),
        ]
    )
