"""The page on a run: charts and conflicts, against numbers worked out by hand; whole, and without what is missing."""

import math
from pathlib import Path

import pytest

from scenekit.visualization.report.chart import Axis, chart, powers, round_numbers, thinned, tick
from scenekit.visualization.report.interference import conflicts_of, norm_lines, pairs_of
from scenekit.visualization.report.run import RunRecords, measured, metric_charts, write_run_report
from tests.visualization.test_report import Page

LOG = [
    {"step": step, "loss": 3.0, "losses": {"masks.mask": 1.0, "a<b.x": 2.0}, "grad_norm": {"total": 1.0, "masks": 0.5}}
    for step in (10, 20)
]
RECORDS = [
    {"step": 1, "tasks": ["a", "b"], "norms": [1.0, 2.0], "cosines": [[1.0, -0.5], [-0.5, 1.0]]},
    {
        "step": 2,
        "tasks": ["b", "a", "c"],
        "norms": [2.0, 1.0, 3.0],
        "cosines": [[1, -0.1, 0.5], [-0.1, 1, 0], [0.5, 0, 1]],
    },
]


def written(path: Path, records: RunRecords) -> tuple[str, Page]:
    write_run_report(path / "report.html", records, title="Run <x>", facts={"steps": "20 of 20"})
    html = (path / "report.html").read_text(encoding="utf-8")
    return html, Page(html)


def test_the_task_with_the_shorter_gradient_pays():
    # a loses 0.5 * 2 / 1 and 0.1 * 2 / 1 of its gain to b; b loses 0.25 and 0.05 to a.
    pairs = {frozenset((pair.payer, pair.winner)): pair for pair in pairs_of(RECORDS)}
    pair = pairs[frozenset("ab")]
    assert (pair.payer, pair.winner, pair.records) == ("a", "b", 2)
    assert pair.cosine == pytest.approx(-0.3) and pair.lost == pytest.approx(0.6) and pair.conflicting == 1.0
    assert conflicts_of(list(pairs.values())) == [pair]
    assert pair.sentence == (
        "a pays for b: their gradients point apart in 100% of 2 records (mean cosine −0.30), and b undoes 60% of what "
        "a step along its own gradient would gain a."
    )
    assert pairs[frozenset("bc")].cosine == 0.5 and pairs[frozenset("bc")].records == 1


def test_what_a_step_loses_is_what_its_sentence_says():
    """With gradients a = (1, 0) and b = (-2, 1), a step along -(a + b) changes the first loss by -1 + 2."""
    a, b = (1.0, 0.0), (-2.0, 1.0)
    norms = [math.hypot(*a), math.hypot(*b)]
    cosine = (a[0] * b[0] + a[1] * b[1]) / (norms[0] * norms[1])
    (pair,) = pairs_of([{"step": 1, "tasks": ["a", "b"], "norms": norms, "cosines": [[1, cosine], [cosine, 1]]}])
    assert pair.payer == "a" and pair.lost == pytest.approx(2.0)


def test_norms_over_steps():
    assert norm_lines(RECORDS) == {"a": [(1, 1.0), (2, 1.0)], "b": [(1, 2.0), (2, 2.0)], "c": [(2, 3.0)]}


def test_the_page_is_whole_and_loads_nothing(tmp_path):
    numbers = {"images": 5, "instances": None, "classes": ["cat"], "estimated_from": 2}
    coverage = {
        "data": [{"name": "toys", "samples": 5, "share": 1.0, "drawn": 20, "read": 2}],
        "tasks": {"masks": {"masks": {"toys": numbers}}},
        "warnings": ["nothing supervises the task <b>"],
    }
    evaluations = [{"step": 20, "results": {"masks": {"AP": 0.5, "per_class": {"cat": {"AP": 0.1}}}}}]
    skipped = [{"origin": "toys", "index": n, "reason": "no <image>"} for n in range(25)]
    html, page = written(tmp_path, RunRecords(LOG, evaluations, RECORDS, coverage, skipped))
    assert "http" not in html and not page.named("script") and not page.named("link")
    text = " ".join(page.text)
    for part in ("Run <x>", "a<b", "a pays for b", "≈ 5", "the task <b>", "4.00", "no <image>", "and 5 more", "AP"):
        assert part in text
    assert [titles.get("aria-label") for titles in page.named("svg")] == [
        "all tasks",
        "masks",
        "a<b",
        "masks",
        "by task, of the weighted losses",
        "cosine over steps, of the pairs that agree least",
    ]


def test_a_run_with_a_log_alone_has_its_losses_and_norms(tmp_path):
    html, page = written(tmp_path, RunRecords(LOG))
    assert "Losses" in html and "Gradient norms" in html
    assert "Who pays" not in html and "Evaluations" not in html and "Skipped" not in html and "Ground truth" not in html
    assert len(page.named("svg")) == 4


def test_metrics_of_one_data_set_or_of_several():
    results = {"masks": {"AP": 0.5, "per_class": {"cat": {"AP": 1.0}}}, "coco/val": {"detection": {"AP": 0.25}}}
    assert list(measured(results)) == [("masks", {"AP": 0.5}), ("coco/val, detection", {"AP": 0.25})]


def test_several_data_sets_have_charts_of_their_own():
    """As the log has them: a line each, null where nothing was measured, which a count alone does not change."""
    evaluations = [
        {"step": 20, "data": "coco/val", "results": {"panoptic": {"PQ": 0.5, "n": 7}}},
        {"step": 20, "data": "kitti/train", "results": {"panoptic": {"PQ": None, "n": 0}, "detection": {"AP": 0.25}}},
    ]
    titles = [figure.split("</figcaption>")[0] for figure in metric_charts(evaluations)]
    assert [title.split(">")[-1] for title in titles] == ["coco/val, panoptic", "kitti/train, detection"]


def test_charts_leave_out_what_is_no_number():
    assert chart("empty", {"a": [(1, math.nan)]}) == ""
    drawn = chart("one", {"a": [(1, math.nan), (2, 0.5)], "b": []})
    assert drawn.count("<polyline") == drawn.count("<circle") == 1 and "nan" not in drawn


def test_axes():
    assert round_numbers(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert round_numbers(-3.0, 7.0) == pytest.approx([-2, 0, 2, 4, 6])
    assert round_numbers(10.0, 12.0, least=1.0) == pytest.approx([10, 11, 12])
    assert powers(0.2, 30.0) == pytest.approx([0.2, 0.5, 1, 2, 5, 10, 20])
    assert powers(1e-6, 1e3) == pytest.approx([1e-6, 1e-4, 1e-2, 1, 100])
    assert Axis(1.0, 100.0, 0.0, 10.0, logarithmic=True).place(10.0) == pytest.approx(5.0)
    assert Axis(0.0, 4.0, 10.0, 0.0).place(1.0) == 7.5
    assert [tick(value) for value in (0.30000000000000004, -0.5, 20000.0, 1500.0)] == ["0.3", "−0.5", "20k", "1500"]


def test_long_lines_become_means():
    points = [(float(step), float(step % 2)) for step in range(1000)]
    found = thinned(points, 100)
    assert len(found) == 100 and found[0] == (9.0, 0.5) and found[-1][0] == 999.0
    assert thinned(points[:50], 100) == points[:50]
