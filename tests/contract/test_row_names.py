"""The rule of the kit that keeps rows of classes from being handed on by chance."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.hooks import registry
from scenekit.testing import Report, check_task


class Classifier(sk.Head[Tensor, Any]):
    """Attributes of objects; `named` says whether it tells what its rows are."""

    def __init__(self, core: sk.Core, named: bool, wrongly: bool = False) -> None:
        super().__init__()
        words = core.vocabulary.attributes
        self.net = nn.Linear(core.channels, len(words))
        if named:
            self.axis_names = sk.rows_by_name({"net": sk.AxisNames(words[1:] if wrongly else words)})

    def forward(self, board: sk.Board) -> Tensor:
        return self.net(board.pool(sk.OBJECTS, size=7).mean((2, 3)))

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        return {"attributes": sk.safe_mean((raw.sigmoid() - targets[sk.ATTRIBUTES]).abs())}

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return torch.sigmoid(raw)


def checked(**options: bool) -> Report:
    spec = sk.TaskSpec(
        name="checked",
        summary="for tests",
        provides=(sk.ATTRIBUTES,),
        learns_from=(sk.ATTRIBUTES,),
        build=lambda core, config: Classifier(core, **options),
    )
    return check_task(spec, only=["row_names"])


def test_rows_with_names() -> None:
    assert "row_names" in checked(named=True).passed


def test_names_are_no_duty() -> None:
    report = checked(named=False)
    assert report.ok
    assert report.skipped["row_names"].startswith("net.weight grows along axis 0 with the vocabulary")


def test_names_that_do_not_fit() -> None:
    (finding,) = checked(named=True, wrongly=True).findings
    assert "axis_names of heads.checked.net.weight: 1 names with 1 entries each need 1 entries" in finding.reason


@pytest.mark.parametrize("name", registry().names("task"))
def test_installed_tasks_name_their_rows(name: str) -> None:
    report = check_task(registry().get("task", name), only=["row_names"])
    assert "row_names" in report.passed, str(report)
