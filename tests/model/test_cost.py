"""The ledger of a model: numbers worked out by hand, and what a budget allows."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import scenekit as sk
from scenekit.errors import InputError
from scenekit.model import measuring
from scenekit.model.budget import check_ledger
from scenekit.model.counters import StepCounter, counters
from scenekit.model.ledger import Ledger, Row, seconds_of
from scenekit.model.measuring import pixels_of
from scenekit.model.scene_model import SceneModel
from tests.tiny import VOCABULARY, config, sample

CORE = ("backbone", "rpn", "proposals", "detection")


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


@pytest.fixture(scope="module")
def ledger(model: SceneModel) -> Ledger:
    return sk.cost(model, sample().image, threshold=0.0, repeats=1)


def test_every_part_has_a_row(model: SceneModel, ledger: Ledger) -> None:
    assert ledger.core == CORE and set(ledger.tasks) == set(model.tasks)
    assert sum(row.parameters for row in ledger.rows.values()) == sum(p.numel() for p in model.parameters())
    assert ledger.image == (48, 64) and ledger.network == (64, 96) and ledger.regions["objects"] > 0


def test_a_task_requires_the_stages_that_it_reads(ledger: Ledger) -> None:
    assert ledger.rows["semantic"].requires == ("backbone",)
    assert set(ledger.rows["masks"].requires) == set(CORE)
    assert set(ledger.rows["panoptic"].requires) == {*CORE, "semantic", "masks"}


def test_alone_is_what_it_requires_and_itself(ledger: Ledger) -> None:
    rows = ledger.rows
    around = ledger.preprocess + ledger.rest
    assert ledger.seconds(["semantic"]) == pytest.approx(
        around + rows["backbone"].marginal + rows["semantic"].network + rows["semantic"].finish
    )
    parts = (*CORE, "semantic", "masks", "panoptic")
    assert ledger.seconds(["panoptic"]) == pytest.approx(around + sum(rows[name].marginal for name in parts))
    assert ledger.seconds(["panoptic", "masks"]) == ledger.seconds(["panoptic"])


def test_costs_are_sizes(ledger: Ledger) -> None:
    assert min(ledger.preprocess, ledger.together, *(row.network for row in ledger.rows.values())) > 0
    assert ledger.rest >= 0 and all(row.finish >= 0 for row in ledger.rows.values())
    assert ledger.seconds(list(ledger.rows)) == pytest.approx(ledger.together, rel=0.8)  # one pass each, other load
    for row in ledger.rows.values():
        assert row.marginal_memory is not None and row.alone_memory is not None and ledger.together_memory is not None
        assert 0 <= row.marginal_memory <= row.alone_memory <= ledger.together_memory


def test_inference_mode_changes_no_count(model: SceneModel, ledger: Ledger) -> None:
    with torch.inference_mode():
        again = sk.cost(model, sample().image, tasks=["keypoints"], threshold=0.0, repeats=1)
    row, known = again.rows["keypoints"], ledger.rows["keypoints"]
    assert (row.flops, row.alone_memory) == (known.flops, known.alone_memory)


def test_operations_of_the_rpn_are_those_of_its_convolution(model: SceneModel, ledger: Ledger) -> None:
    """A convolution 3 x 3 from 16 to 16 channels at every cell of strides 4 to 64, twice for multiply and add."""
    cells = sum((-(-64 // stride)) * (-(-96 // stride)) for stride in (4, 8, 16, 32, 64))
    assert ledger.rows["rpn"].flops == 2 * 9 * 16 * 16 * cells


def test_memory_of_steps_worked_by_hand() -> None:
    """A tensor of 4 kB stays; one of 8 kB is freed in its step; views hold nothing of their own."""
    weights = torch.ones(1000)
    with counters(torch.device("cpu")) as (operations, memory):
        counter = StepCounter(torch.device("cpu"), operations=operations, memory=memory)
        with counter.step("first"):
            kept = weights + 1
            weights[:10].t(), kept.view(10, 100)
            kept.add_(1)
        with counter.step("second"):
            kept.repeat(2)
        with counter.step("third"):
            nn.functional.linear(kept[None], weights[None])
    assert [count.peak for count in counter.counts.values()] == [4000, 12000, 4004]
    assert [count.flops for count in counter.counts.values()] == [0, 0, 2000]


def made(**seconds: float) -> Ledger:
    """A ledger of a core of 10 ms and tasks that require it; `both` requires the tasks `a` and `b`."""
    rows = {"core": Row("core", False, (), 0, 0, 0.009, 0.0, None, None)}
    for name, own in seconds.items():
        requires = ("core", "a", "b") if name == "both" else ("core",)
        rows[name] = Row(name, True, requires, 0, 0, own, 0.0, None, None)
    return Ledger(rows, 0.0005, 0.0005, 0.1, None, (1, 1), (1, 1), {}, "cpu", 0.5, 1)


LEDGER = made(c=0.030, a=0.010, b=0.015, both=0.001)


def test_the_cheapest_tasks_come_first() -> None:
    choice = LEDGER.within("37ms")
    assert choice.tasks == ("a", "b", "both") and choice.left_out == ("c",) and choice.seconds == pytest.approx(0.036)
    assert choice.run == ("core", "a", "b", "both")
    assert LEDGER.within(0.0355).left_out == ("both", "c")
    assert LEDGER.within("10.5ms").tasks == () and LEDGER.within("10.5ms").run == ("core",)


def test_a_task_without_the_whole_core_is_named() -> None:
    rows = {**LEDGER.rows, "light": Row("light", True, (), 0, 0, 0.002, 0.0, None, None)}
    with pytest.raises(InputError, match=r"'light' alone takes 3.0 ms: allow that much, and ask for that task$"):
        replace(LEDGER, rows=rows).within("5ms")
    assert replace(LEDGER, rows=rows).within("5ms", ["light"]).run == ("light",)


def test_named_tasks_come_in_their_order() -> None:
    choice = LEDGER.within("45ms", ["c", "b", "a"])
    assert choice.tasks == choice.run == ("c",) and choice.left_out == ("b", "a")
    assert LEDGER.within("50ms", ["c", "b", "a"]).run == ("c", "a")
    assert LEDGER.within("40ms", ["both", "c"]).run == ("both",)
    assert LEDGER.within("40ms", []).run == () and LEDGER.within("40ms", "c").run == ("c",)


@pytest.mark.parametrize(
    ("budget", "tasks", "reason"),
    [
        ("5ms", None, "nothing fits into 5.0 ms; the core without tasks takes 10.0 ms: allow that much"),
        ("12ms", ["both", "b"], "nothing fits into 12.0 ms; 'b' alone takes 25.0 ms"),
        ("90ms", ["d"], "no task 'd'"),
        ("soon", None, "budget: expected a time with a unit, such as '60ms' or '0.06s', got 'soon'"),
    ],
)
def test_what_does_not_fit(budget: str, tasks: list[str] | None, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        LEDGER.within(budget, tasks)


@pytest.mark.parametrize(
    ("budget", "seconds"), [("60ms", 0.06), (" 1.5 s", 1.5), ("250us", 0.00025), (0.06, 0.06), (2, 2.0)]
)
def test_times(budget: object, seconds: float) -> None:
    assert seconds_of(budget) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "budget", ["60", "", "-1ms", "0ms", "ms", 0, -1.0, float("nan"), float("inf"), True, None, [1]]
)
def test_no_times(budget: object) -> None:
    with pytest.raises(InputError, match="budget: expected a time"):
        seconds_of(budget)


def test_predict_runs_what_fits_and_says_what_does_not(
    model: SceneModel, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    dear = replace(ledger.rows["semantic"], network=1000.0)
    known = replace(ledger, rows={**ledger.rows, "semantic": dear})
    with caplog.at_level(logging.WARNING):
        first, second = model.predict([sample().image] * 2, threshold=0.0, budget=500.0, ledger=known)
    assert first.left_out == second.left_out == ("semantic", "panoptic")
    assert {sk.MASKS, sk.KEYPOINTS} == set(first.values) and len(first.objects) > 0
    (record,) = caplog.records
    assert "a budget of 500000.0 ms leaves out semantic, panoptic" in record.message
    assert sk.Scene.from_json(first.to_json()).left_out == first.left_out


def test_a_budget_that_nothing_fits_is_the_error_of_each_frame(model: SceneModel, ledger: Ledger) -> None:
    frames = iter([sample().image, sample().image])
    results = list(model.predict(frames, budget="1us", ledger=ledger))
    assert len(results) == 2 and all("nothing fits into 0.001 ms" in str(result) for result in results)


def test_a_budget_for_all_changes_nothing(model: SceneModel, ledger: Ledger) -> None:
    plain = model.predict(sample().image, threshold=0.0)
    scene = model.predict(sample().image, threshold=0.0, budget="1000s", ledger=ledger)
    assert scene.left_out == () and set(scene.values) == set(plain.values) and "left_out" not in scene.to_json()
    assert torch.equal(scene.objects.boxes, plain.objects.boxes)


def test_the_ledger_is_measured_once_for_what_the_network_sees(
    model: SceneModel, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []

    def measured(model: SceneModel, pixels: torch.Tensor, *options: object, **more: object) -> Ledger:
        seen.append(tuple(pixels.shape[1:]))
        return ledger

    monkeypatch.setattr(measuring, "measured", measured)
    for size in ((48, 64), (24, 32), (64, 48), (48, 64)):
        model.predict(pixels_of(sample().image, size), threshold=0.0, budget="1000s")
    assert seen == [(48, 64), (64, 48)]
    model.predict(sample().image, threshold=0.9, budget="1000s")  # heads get fewer objects, and cost less
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"budget": "fast"}, "budget: expected a time"),
        ({"ledger": LEDGER}, "ledger: expected what sk.cost"),
        ({"budget": "1s", "ledger": 3}, "ledger: expected what sk.cost"),
        ({"budget": "1s", "ledger": LEDGER}, "ledger: it is of another model"),
        ({"budget": "1s", "given": {sk.OBJECTS: torch.zeros(0, 4)}}, "no costs of external regions"),
    ],
)
def test_what_predict_refuses(model: SceneModel, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        model.predict(sample().image, **options)


def test_a_model_without_tasks(model: SceneModel) -> None:
    bare = sk.build(config(()), VOCABULARY).eval()
    with pytest.raises(InputError, match="has no tasks to choose from"):
        bare.predict(sample().image, budget="1s")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": (0, 10)}, "size: expected"),
        ({"size": (10, 40000)}, "size: expected"),
        ({"repeats": 0}, "repeats: expected a whole number from 1, got 0"),
        ({"threshold": float("nan")}, "threshold: expected a score"),
    ],
)
def test_arguments_that_are_none(model: SceneModel, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        sk.cost(model, **options)


def test_an_unknown_task(model: SceneModel) -> None:
    with pytest.raises(InputError, match="no task 'mask'; did you mean 'masks'"):
        sk.cost(model, tasks="mask")


def test_a_ledger_takes_a_single_name(ledger: Ledger) -> None:
    assert ledger.seconds("masks") == ledger.seconds(["masks"])


class Elsewhere(partial[Any]):
    """Stands for the forward of another runtime."""

    elsewhere = True


def test_a_forward_that_was_replaced_in_torch_is_counted(model: SceneModel, ledger: Ledger) -> None:
    """As that of gradient checkpointing."""
    head = model.heads["keypoints"]
    head.forward = partial(type(head).forward, head)
    try:
        again = sk.cost(model, sample().image, threshold=0.0, repeats=1)
    finally:
        del head.forward
    assert again.rows["keypoints"].flops == ledger.rows["keypoints"].flops and again.flops == ledger.flops


def test_what_another_runtime_computes_is_unknown() -> None:
    """Of a head in another runtime, whose first call torch computes, too."""
    exported = sk.build(config(), VOCABULARY).eval()
    head = exported.heads["keypoints"]
    head.forward = Elsewhere(type(head).forward, head)
    for _ in range(2):
        ledger = sk.cost(exported, sample().image, threshold=0.0, repeats=1)
        keypoints, masks = ledger.rows["keypoints"], ledger.rows["masks"]
        assert (keypoints.flops, keypoints.marginal_memory, keypoints.alone_memory) == (None, None, None)
        assert ledger.flops is None and ledger.together_memory is None and ledger.to_json()["parts"][-1]["flops"] == 0
        assert masks.flops is not None and masks.marginal_memory is not None and masks.alone_memory is not None


def test_memory_above_a_core_of_another_runtime_is_unknown() -> None:
    exported = sk.build(config(("semantic",)), VOCABULARY).eval()
    stage = exported.stages["rpn"]
    stage.forward = Elsewhere(type(stage).forward, stage)
    row = sk.cost(exported, sample().image, threshold=0.0, repeats=1).rows["semantic"]
    assert row.flops is not None and row.alone_memory is not None and row.marginal_memory is None


def test_a_ledger_of_something_else_is_refused(model: SceneModel, ledger: Ledger) -> None:
    image = torch.zeros((3, 48, 64), dtype=torch.uint8)
    check_ledger(ledger, model, image, None)
    check_ledger(ledger, model, torch.zeros((3, 64, 48), dtype=torch.uint8), None)  # as many pixels
    semantic = ledger.rows["semantic"]
    wider = replace(ledger, rows={**ledger.rows, "semantic": replace(semantic, parameters=semantic.parameters + 1)})
    others = {
        "of another model": wider,
        "measured on cpu in bfloat16, but the model is on cpu in float32": replace(ledger, dtype="bfloat16"),
        "measured on cuda in float32": replace(ledger, device="cuda"),
        "no costs of masks": replace(ledger, rows={k: row for k, row in ledger.rows.items() if k != "masks"}),
        "enter the network with 32 x 96 pixels, this one with 64 x 96": replace(ledger, network=(32, 96)),
    }
    for reason, other in others.items():
        with pytest.raises(InputError, match=reason):
            check_ledger(other, model, image, None)
    check_ledger(others["no costs of masks"], model, image, ["semantic"])


@pytest.mark.parametrize("names", ["masks", None, [1]])
def test_what_was_left_out_is_a_list_of_names(names: object) -> None:
    data = {**sample().scene.to_json(), "left_out": names}
    with pytest.raises(InputError, match="left_out: expected a list of names"):
        sk.Scene.from_json(data)
