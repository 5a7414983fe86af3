"""How the tasks of a run interfere: mean cosines of their gradients, and which task pays for which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import Any, TypeAlias

from scenekit.visualization.report.chart import Points, chart
from scenekit.visualization.report.tables import Column, table

Records: TypeAlias = Sequence[Mapping[str, Any]]

LEAST_LOST = 0.05
"""Pairs in which the payer loses less are no conflict."""

MOST_PAIRS = 6
"""Pairs whose cosine is drawn over time: the most negative ones."""


@dataclass(frozen=True)
class Pair:
    """Two tasks over all records in which both had labels."""

    payer: str
    """The task that loses the larger share of its own descent to the other one."""
    winner: str
    """The other task."""
    records: int
    """In how many records both are."""
    cosine: float
    """Mean cosine of their gradients."""
    conflicting: float
    """Share of the records in which the cosine is negative."""
    lost: float
    """Share of what a step along its own gradient gains the payer that the other gradient undoes, to first order."""

    @property
    def sentence(self) -> str:
        """What the numbers mean, for a pair that conflicts."""
        return (
            f"{self.payer} pays for {self.winner}: their gradients point apart in {self.conflicting:.0%} of "
            f"{self.records} records (mean cosine {self.cosine:.2f}), and {self.winner} undoes {self.lost:.0%} of what "
            f"a step along its own gradient would gain {self.payer}."
        ).replace("-", "−")


def pairs_of(records: Records) -> list[Pair]:
    """Summarize each pair of tasks.

    With gradients a and b, a step along -(a + b) lowers the first loss by |a|^2 + a.b: of the |a|^2 that its own
    gradient would give, the other one undoes -a.b / |a|^2 = -cosine |b| / |a|.

    Args:
        records: Records of the interference.

    Returns:
        The pairs, that with the most negative mean cosine first.
    """
    tasks = dict.fromkeys(task for record in records for task in record["tasks"])
    found = [pair for a, b in combinations(tasks, 2) if (pair := _pair(a, b, list(_seen(records, a, b)))) is not None]
    return sorted(found, key=lambda pair: pair.cosine)


def _seen(records: Records, a: str, b: str) -> Iterator[tuple[float, float, float, float]]:
    """Yield step, cosine and both norms of each record that has both tasks."""
    for record in records:
        if a in record["tasks"] and b in record["tasks"]:
            i, j = record["tasks"].index(a), record["tasks"].index(b)
            norms, cosines = record["norms"], record["cosines"]
            yield float(record["step"]), float(cosines[i][j]), float(norms[i]), float(norms[j])


def _pair(a: str, b: str, seen: Sequence[tuple[float, float, float, float]]) -> Pair | None:
    if not seen:
        return None
    cosines = [cosine for _, cosine, _, _ in seen]
    lost_a = sum(-cosine * norm_b / norm_a for _, cosine, norm_a, norm_b in seen) / len(seen)
    lost_b = sum(-cosine * norm_a / norm_b for _, cosine, norm_a, norm_b in seen) / len(seen)
    payer, winner, lost = (a, b, lost_a) if lost_a >= lost_b else (b, a, lost_b)
    conflicting = sum(cosine < 0 for cosine in cosines) / len(seen)
    return Pair(payer, winner, len(seen), sum(cosines) / len(seen), conflicting, lost)


def conflicts_of(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that point apart on average and in most records, those that cost the payer most first."""
    found = [pair for pair in pairs if pair.conflicting > 0.5 and pair.cosine < 0 and pair.lost >= LEAST_LOST]
    return sorted(found, key=lambda pair: -pair.lost)


def interference_view(records: Records) -> str:
    """Return the part of the page on interference.

    Args:
        records: Records of the interference; at least one.

    Returns:
        Sentences on the conflicts, the matrix of mean cosines, and cosines over time.
    """
    pairs = pairs_of(records)
    said = "".join(f"<li>{escape(pair.sentence)}</li>" for pair in conflicts_of(pairs))
    conflicts = (
        f'<ul class="conflicts">{said}</ul>'
        if said
        else f'<p class="note">No task loses {LEAST_LOST:.0%} or more of its gain to another one.</p>'
    )
    lines = {
        f"{pair.payer}, {pair.winner}": [
            (step, cosine) for step, cosine, _, _ in _seen(records, pair.payer, pair.winner)
        ]
        for pair in pairs[:MOST_PAIRS]
    }
    largest = max((abs(cosine) for points in lines.values() for _, cosine in points), default=1.0)
    over_time = chart("cosine over steps, of the pairs that agree least", lines, y_range=(-largest, largest))
    matrix = f"<section><h3>Mean cosine</h3>{matrix_table(pairs)}</section>"
    return f'{conflicts}<div class="halves">{matrix}{over_time}</div>'


def matrix_table(pairs: Sequence[Pair]) -> str:
    """Return the mean cosines as a table, negative ones red and positive ones blue."""
    tasks = list(dict.fromkeys(task for pair in pairs for task in sorted((pair.payer, pair.winner))))
    cosines = {frozenset((pair.payer, pair.winner)): pair.cosine for pair in pairs}
    columns = [Column("", [escape(task) for task in tasks])]
    for column in tasks:
        cells = [cell(cosines.get(frozenset((row, column)))) for row in tasks]
        columns.append(Column(column, cells, numeric=True))
    return f'<div class="matrix">{table(columns)}</div>'


def cell(cosine: float | None) -> str:
    """Return a cosine on a ground whose strength is its size."""
    if cosine is None:
        return ""
    color = "#e5484d" if cosine < 0 else "#3e8fd6"
    ground = f"background:color-mix(in srgb, {color} {100 * min(abs(cosine), 1):.0f}%, transparent)"
    return f'<span style="{ground}">{cosine:.2f}</span>'.replace(">-", ">−")


def norm_lines(records: Records) -> dict[str, Points]:
    """Return the gradient norm of each task over steps."""
    tasks = dict.fromkeys(task for record in records for task in record["tasks"])
    return {
        task: [(r["step"], r["norms"][r["tasks"].index(task)]) for r in records if task in r["tasks"]] for task in tasks
    }
