"""Heads that each break one rule, and what the kit says of them."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageDraw
from torch import Tensor, distributed, nn

import scenekit as sk
from scenekit.fields.base import Field, ImageField
from scenekit.fields.pairs import PairField
from scenekit.fields.semantic import SemanticField
from scenekit.hooks import Policy, TaskSpec
from scenekit.keys import FEATURES, OBJECTS, PROPOSALS, SEMANTIC, Key
from scenekit.testing import BUILDS, CHECKS, Report, check_task
from scenekit.testing.rules import distributed as processes

SCORE: Key[Any, Any] = Key("tests.contract.score", of=OBJECTS, doc="a number per object", shape=("N",))
TONE: Key[Any, Any] = Key("tests.contract.tone", doc="a number per image")
MAP: Key[Any, Any] = Key("tests.contract.map", doc="a label per pixel", field=SemanticField())


class Good(sk.Head[Tensor, Any]):
    """One linear layer on the mean features of each object."""

    def __init__(self, core: sk.Core, config: Any) -> None:
        super().__init__()
        self.net = nn.Linear(core.channels, 1)

    def forward(self, board: sk.Board) -> Tensor:
        return self.net(board.pool(OBJECTS, size=7).mean((2, 3)))[:, 0]

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        return {"score": sk.safe_mean((raw - targets[SCORE]).abs())}

    def decode(self, raw: Tensor, board: sk.Board) -> Any:
        return raw


def checked(head: Any, only: Collection[str] | None = None, **more: Any) -> Report:
    values = {"provides": (SCORE,), "learns_from": (SCORE,), "build": head, **more}
    return check_task(TaskSpec(name="checked", summary="for tests", **values), only=only)


def reason(check: str, head: Any, **more: Any) -> str:
    """Why a head fails the check."""
    report = checked(head, None if check == BUILDS else [check], **more)
    assert report.failed == (check,) and not report.ok, str(report)
    assert f"{check}: {report.findings[0].reason}. Remedy: {report.findings[0].remedy}" in str(report)
    return report.findings[0].reason


def test_class_names_of_a_task_of_its_own_are_made_up() -> None:
    class Named(Good):
        def __init__(self, core: sk.Core, config: Any) -> None:
            super().__init__(core, config)
            assert core.vocabulary.names("tests.moods") == ("calm", "wild", "first", "second", "third")

    ways: Key[Any, Any] = Key("tests.contract.moods", field=PairField("tests.moods", mirror=[("calm", "wild")]))
    report = checked(Named, ["state_dict"], learns_from=(SCORE, ways))
    assert report.ok, str(report)


def test_a_good_head_keeps_every_rule() -> None:
    report = checked(Good)
    assert report.ok, str(report)
    assert set(report.passed) | set(report.skipped) == {BUILDS, *(check.name for check in CHECKS)}


# Running


def test_a_head_that_cannot_be_built() -> None:
    def build(core: sk.Core, config: Any) -> Any:
        raise ZeroDivisionError("of mine")

    assert reason(BUILDS, build).startswith("ZeroDivisionError: of mine (test_broken_heads.py:")
    assert "`build` of task 'checked' must return a Head, got int" in reason(BUILDS, lambda core, config: 7)


def test_a_key_that_nobody_provides() -> None:
    assert "requires 'tests.contract.tone', which nothing" in reason(BUILDS, Good, requires=(TONE,))


def test_an_undeclared_read() -> None:
    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            return super().forward(board) * len(board[PROPOSALS])

    report = checked(Broken)
    assert report.failed == ("reads",) and report.skipped["gradients"] == "reads comes first"
    assert "task 'checked' reads 'proposals' without declaring it" in report.findings[0].reason


def test_rows_that_are_not_those_of_the_regions() -> None:
    class Broken(Good):
        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return raw[:-1]

    found = reason("shapes", Broken)
    assert "checked put 5 rows of 'tests.contract.score' on the board, expected 6 rows" in found


def test_another_shape_than_the_key_declares() -> None:
    class Broken(Good):
        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return raw[:, None]

    assert "of shape [6, 1], expected [N]" in reason("shapes", Broken)


class OfImage(Good):
    """Means of the features."""

    def forward(self, board: sk.Board) -> Tensor:
        return self.net(board[FEATURES].maps[0].mean((2, 3)))[:, 0]

    def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        truth = raw.new_tensor([math.nan if tone is None else tone for tone in targets[TONE]])
        return {"tone": sk.safe_mean((raw - truth)[targets.valid[TONE]].abs())}


OF_IMAGE = {"provides": (TONE,), "learns_from": (TONE,)}


def test_a_good_head_of_images() -> None:
    assert checked(OfImage, **OF_IMAGE).ok


def test_entries_that_are_not_those_of_the_images() -> None:
    class Broken(OfImage):
        def decode(self, raw: Tensor, board: sk.Board) -> list[float]:
            return [0.0]

    assert "'tests.contract.tone' has 1 entries for a batch of 3 images" in reason("shapes", Broken, **OF_IMAGE)


def test_one_image_only() -> None:
    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            (_,) = board.images.sizes
            return super().forward(board)

    assert "ValueError: too many values to unpack" in reason("batches", Broken)


def test_a_loss_that_is_no_number() -> None:
    class Broken(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            return {"score": (raw - targets[SCORE]).abs()}

    assert "checked.score is a tensor of shape [2], expected a tensor without dimensions" in reason("batches", Broken)


def test_no_loss_at_all() -> None:
    class Broken(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            return {}

    assert "labelled images give no loss" in reason("batches", Broken)


class NeedsRows(Good):
    """Cannot do without."""

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw / raw.max()


def test_no_objects() -> None:
    assert "RuntimeError: max()" in reason("no_objects", NeedsRows)


def test_objects_none_of_which_applies() -> None:
    persons = {"applies_to": lambda vocabulary: vocabulary.things_with_skeleton}
    assert "RuntimeError: max()" in reason("nothing_applies", NeedsRows, **persons)


# Learning


def test_a_parameter_without_gradient() -> None:
    class Broken(Good):
        def __init__(self, core: sk.Core, config: Any) -> None:
            super().__init__(core, config)
            self.spare = nn.Linear(2, 2)

    assert reason("gradients", Broken) == "no gradient reaches spare.weight, spare.bias"


def test_parameters_that_nothing_teaches() -> None:
    assert "`learns_from` is empty" in reason("gradients", Good, learns_from=())


def test_a_loss_without_labels() -> None:
    """The core asks no head for losses then; what is left to break is a parameter that is no number."""

    class Broken(Good):
        def __init__(self, core: sk.Core, config: Any) -> None:
            super().__init__(core, config)
            self.temperature = nn.Parameter(torch.tensor(math.inf))

        def forward(self, board: sk.Board) -> Tensor:
            return super().forward(board) + 1 / self.temperature

    assert "unlabelled is nan where nothing is labelled, expected 0" in reason("unlabelled", Broken)


def test_a_loss_of_images_without_labels() -> None:
    class Broken(OfImage):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            return {"tone": (raw - 0.5).abs().mean()}

    assert "the losses follow an image that has no labels" in reason("partly_labelled", Broken, **OF_IMAGE)


def test_a_loss_of_rows_without_labels() -> None:
    detections = {"streams": {OBJECTS: Policy.DETECTIONS}}

    class Masked(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            labelled = targets.learnable(SCORE, board[OBJECTS])
            return {"score": sk.safe_mean((raw - targets[SCORE])[labelled].abs())}

    assert checked(Masked, ["partly_labelled"], **detections).ok
    assert "score is nan, expected a finite number" in reason("partly_labelled", Good, **detections)


# Sharing


def test_changes_in_place_are_named_by_any_pass() -> None:
    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            return self.net(board.pool(OBJECTS, size=7).relu_().mean((2, 3)))[:, 0]

    found = reason("shared_tensors", Broken)
    assert "BoardError: 'checked' changes RoI features of side 7 pooled from 'features' in place" in found


def test_pooled_features_changed_in_place() -> None:
    """Through `data`, past the version counter of the tensor; so do the tests below."""

    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            return self.net(board.pool(OBJECTS, size=7).data.relu_().mean((2, 3)))[:, 0]

    assert "pooled features are no longer what the pooler gave" in reason("shared_tensors", Broken)


def test_feature_maps_changed_in_place() -> None:
    class Broken(Good):
        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            board[FEATURES].maps[0].data.zero_()
            return raw

    assert "the shared feature maps are no longer what the pyramid gave" in reason("shared_tensors", Broken)


def test_regions_and_targets_changed_in_place() -> None:
    class Boxes(Good):
        def forward(self, board: sk.Board) -> Tensor:
            board[OBJECTS].boxes.data.add_(1.0)
            return super().forward(board)

    class Labels(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            targets.packed(SCORE)[0].data.mul_(2.0)
            return super().loss(raw, board, targets)

    for broken in (Boxes, Labels):
        assert "images, regions or targets are no longer what they were" in reason("shared_tensors", broken)


def test_another_task_is_disturbed() -> None:
    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            board.pool(OBJECTS, size=7).data.mul_(2.0)
            return super().forward(board)

    assert "'scenekit.testing.witness' changes with this task in the model" in reason("other_tasks", Broken)


def test_values_that_depend_on_who_else_runs() -> None:
    class Broken(Good):
        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return raw + len(board._store.writers)

    assert "asked for alone, the task gives something else" in reason("fewer_tasks", Broken)


def test_an_optional_input_that_is_not() -> None:
    class Broken(Good):
        def forward(self, board: sk.Board) -> Tensor:
            return super().forward(board) + board[SEMANTIC].mean()

    found = reason("optional_inputs", Broken, uses=(SEMANTIC,))
    assert "reads 'semantic', which is not on the board" in found


@pytest.mark.parametrize("where", ["decode", "loss"])
def test_randomness_of_its_own(where: str) -> None:
    generator = torch.Generator().manual_seed(0)  # nobody else's: it goes on from pass to pass

    class Broken(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            # A shift that all rows share can leave a sum of absolute errors as it was.
            return super().loss(
                raw + float(where == "loss") * torch.rand(len(raw), generator=generator), board, targets
            )

        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return raw + float(where == "decode") * torch.rand(len(raw), generator=generator)

    assert "differ" in reason("deterministic", Broken)


# Keeping


def test_state_that_is_not_stored() -> None:
    class Broken(Good):
        def __init__(self, core: sk.Core, config: Any) -> None:
            super().__init__(core, config)
            self.offset = torch.rand(())

        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return raw + self.offset

    assert "a fresh head with the same state_dict gives something else" in reason("state_dict", Broken)


class SetField(ImageField[Any, Any]):
    """Sets, which JSON does not know."""

    def encode(self, item: Any, vocabulary: sk.Vocabulary) -> Any:
        return {1, 2}


class RoundedField(Field[Any, Any]):
    """Loses what stands behind the point."""

    def encode(self, item: Any, vocabulary: sk.Vocabulary) -> Any:
        return [round(number) for number in item.tolist()]


ROUNDED: Key[Any, Any] = Key("tests.contract.rounded", of=OBJECTS, field=RoundedField())
A_SET: Key[Any, Any] = Key("tests.contract.set", field=SetField())


def test_values_that_json_does_not_know() -> None:
    class Broken(Good):
        def decode(self, raw: Tensor, board: sk.Board) -> Any:
            return [None] * len(board.images)

    assert "not JSON serializable" in reason("json", Broken, provides=(A_SET,))


def test_values_that_come_back_changed() -> None:
    found = reason("json", Good, provides=(ROUNDED,))
    assert "'tests.contract.rounded' comes back as something else" in found


def test_values_in_network_pixels() -> None:
    class Broken(OfImage):
        def decode(self, raw: Tensor, board: sk.Board) -> list[Tensor]:
            return [torch.zeros(size, dtype=torch.int64) for size in board.images.sizes]

        def finish(self, value: Tensor, scene: sk.Scene, geometry: Any) -> Tensor:
            return value

    found = reason("original_pixels", Broken, provides=(MAP,), learns_from=(TONE,))
    assert "'tests.contract.map' has 64 x 96 pixels in an image of (32, 48) pixels" in found


def test_a_metric_that_cannot_be_taken() -> None:
    class Broken:
        def __init__(self, vocabulary: sk.Vocabulary) -> None: ...

        def update(self, truth: Any, prediction: Any) -> None: ...

    assert "with update, merge and result was expected, got a Broken" in reason("measures", Good, evaluator=Broken)


def test_a_drawing_of_another_size() -> None:
    def small(canvas: Any, scene: sk.Scene) -> None:
        canvas.image = canvas.image.resize((8, 8))

    assert "must leave an image of (96, 64) pixels on the canvas" in reason("draws", Good, draw=small)


def test_a_drawing_that_is_returned() -> None:
    found = reason("draws", Good, draw=lambda canvas, scene: canvas.image)
    assert "must draw on the canvas and return None, got Image" in found


def test_a_drawing_that_is_not_scaled() -> None:
    def unscaled(canvas: Any, scene: sk.Scene) -> None:
        for box in scene.objects.boxes.tolist():
            ImageDraw.Draw(canvas.image).rectangle(box, outline=(255, 0, 0))

    found = reason("draws", Good, draw=unscaled)
    assert "an object at [600, 450, 900, 675] of an image 3 times as large" in found
    assert "is drawn at [200, 150, 301, 226]" in found


def test_a_drawing_in_pixels_of_the_scene() -> None:
    def scaled(canvas: Any, scene: sk.Scene) -> None:
        for box in scene.objects.boxes.tolist():
            canvas.box(box, (255, 0, 0), "here")

    assert checked(Good, ["draws"], draw=scaled).ok


# Processes


def test_other_gradients_in_two_processes() -> None:
    class Broken(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            (score,) = super().loss(raw, board, targets).values()
            return {"score": score * (2.0 if distributed.is_initialized() else 1.0)}

    assert "process 0 has other gradients" in reason("two_processes", Broken)


def test_a_process_that_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TIMEOUT_S", 8.0)

    class Broken(Good):
        def loss(self, raw: Tensor, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
            if distributed.is_initialized():
                distributed.barrier()
            return super().loss(raw, board, targets)

    found = reason("two_processes", Broken)
    assert "fails" in found or "waits" in found


def test_every_check_is_broken_by_some_head() -> None:
    """Here or beside."""
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert not [check.name for check in CHECKS if check.name not in texts]
