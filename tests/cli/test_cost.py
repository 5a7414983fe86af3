"""`scenekit cost`: what programs read, what people get, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.model.ledger import Ledger, Row

LEDGER = Ledger(
    rows={
        "backbone": Row("backbone", False, (), 2_000_000, 3_000_000_000, 0.020, 0.0, 2**20, 2**21),
        "semantic": Row("semantic", True, ("backbone",), 1000, 500_000_000, 0.004, 0.001, 0, 2**21),
        "masks": Row("masks", True, ("backbone",), 500, 250_000_000, 0.025, 0.005, None, None),
    },
    preprocess=0.0015,
    rest=0.0005,
    together=0.055,
    together_memory=2**22,
    image=(48, 64),
    network=(64, 96),
    regions={"objects": 5},
    device="cpu",
    threshold=0.5,
    repeats=5,
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """No passes: a ledger with round numbers; returns the sizes that it was asked for."""
    sizes: list[tuple[int, ...]] = []

    def cost(model: sk.SceneModel, pixels: torch.Tensor, **options: object) -> Ledger:
        sizes.append(tuple(pixels.shape[1:]))
        return replace(LEDGER, image=sizes[-1])

    monkeypatch.setattr(sk, "cost", cost)
    return sizes


def test_json_of_a_measured_model(run, tiny_model) -> None:
    options = ("--size", "48x64", "--tasks", "semantic", "--threshold", "0", "--device", "cpu")
    result = run("cost", tiny_model, *options, "--json", "--budget", "1000s")
    (ledger,) = result.json["ledgers"]
    assert ledger["image"] == {"height": 48, "width": 64} and ledger["regions"] == {"objects": 5}
    parts = {part["name"]: part for part in ledger["parts"]}
    assert [name for name, part in parts.items() if part["kind"] == "task"] == ["semantic"]
    semantic, backbone = parts["semantic"], parts["backbone"]
    assert semantic["requires"] == ["backbone"] and semantic["flops"] > 0 and semantic["alone_bytes"] > 0
    around = ledger["preprocess_ms"] + ledger["rest_ms"]
    assert semantic["alone_ms"] == pytest.approx(around + backbone["marginal_ms"] + semantic["marginal_ms"])
    assert ledger["sum_ms"] == pytest.approx(around + sum(part["marginal_ms"] for part in parts.values()))
    assert ledger["budget"]["tasks"] == ["semantic"] and ledger["budget"]["left_out"] == []
    assert ledger["budget"]["measured_ms"] > 0


def test_a_table_for_each_size(run, tiny_model, measured) -> None:
    result = run("cost", tiny_model, "--size", "48x64", "--size", "30X40")
    assert result.status == 0 and measured == [(48, 64), (30, 40)]
    assert "image 48 x 64, network 64 x 96, 5 objects" in result.out and "image 30 x 40" in result.out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.out.splitlines() if "│" in line]
    table = {row[0]: row[1:] for row in rows}
    assert table["semantic"] == ["1,000", "0.50", "4.0", "1.0", "5.0", "27.0", "0.0", "2.0"]
    assert table["masks"] == ["500", "0.25", "25.0", "5.0", "30.0", "52.0", "", ""]
    assert table["sum"][:5] == ["2,001,500", "3.75", "", "", "57.0"]
    assert table["one pass, measured"][5:] == ["55.0", "", "4.0"]


def test_a_budget_says_what_fits_and_runs_it(run, tiny_model, measured) -> None:
    result = run("cost", tiny_model, "--budget", "30ms")
    assert result.status == 0 and "within 30.0 ms: semantic\nleft out: masks\n27.0 ms by the ledger, " in result.out
    assert measured == [(240, 320)]  # the rendered scene
    result = run("cost", tiny_model, "--budget", "54ms", "--tasks", "masks,semantic", "--json")
    (ledger,) = result.json["ledgers"]
    assert ledger["budget"]["tasks"] == ["masks"] and ledger["budget"]["left_out"] == ["semantic"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--size", "48"), "--size: expected height x width in pixels, such as 480x640, each 1 to 32768, got '48'"),
        (
            ("--size", "48x64", "--size", "0x10"),
            "--size: expected height x width in pixels, such as 480x640",
        ),
        (("--budget", "60"), "budget: expected a time with a unit, such as '60ms' or '0.06s', got '60'"),
        (("--budget", "1us"), "nothing fits into 0.001 ms; the core without tasks takes 22.0 ms"),
        (("--image", "none.png"), "none.png: no such file"),
        (("--tasks", ","), "--tasks expects"),
    ],
)
def test_what_is_refused(refused, tiny_model, measured, options: tuple[str, ...], reason: str) -> None:
    assert reason in refused("cost", tiny_model, "--device", "cpu", *options, "--json")


def test_an_unknown_task_or_model_is_refused(refused, tiny_model, tmp_path: Path) -> None:
    assert "no task 'semantics'; did you mean 'semantic'?" in refused("cost", tiny_model, "--tasks", "semantics")
    refused("cost", str(tmp_path / "none"))
