"""Tables from the files in benchmarks/results: no number on a page is typed by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scenekit_docs.markdown import code, table

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def table_of(name: str) -> str:
    """The table of one file."""
    return TABLES[name](json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def small_val(found: Mapping[str, Any]) -> str:
    """Every metric of every task over all classes."""
    rows = [
        (task, code(metric), number(value))
        for task, metrics in found.items()
        for metric, value in metrics.items()
        if not isinstance(value, Mapping)
    ]
    return table(("task", "metric", "value"), rows)


def inference_time(found: Mapping[str, Any]) -> str:
    """Milliseconds by request, then by step."""
    head = f"{found['device']}, torch {found['torch']}, {found['pictures']} pictures of {size(found['picture'])}.\n\n"
    requests = table(("asked for", "milliseconds"), found["requests_ms"].items())
    steps = table(("step of the pass", "milliseconds"), found["steps_ms"].items())
    return f"{head}{requests}\n{steps}"


def size(picture: list[int]) -> str:
    """Width x height from height and width."""
    return f"{picture[1]}x{picture[0]}"


def number(value: Any) -> str:
    """Three digits behind the point."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "small_val": small_val,
    "inference_time": inference_time,
}
