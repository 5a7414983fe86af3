"""How `predict` works on several images: together, ahead of time and in other threads, with the same results."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.errors import InputError
from scenekit.hooks import TaskSpec
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC, Key
from scenekit.model import prediction
from scenekit.model.board import Board
from scenekit.model.prediction import AHEAD, Predictor, Request
from scenekit.model.preprocess import make_batch
from scenekit.model.region_selection import RegionSelector
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.structures import ImageBatch
from tests.model.test_pipeline import running
from tests.tiny import VOCABULARY, config, extended, sample

MARK: Key[Any, Any] = Key("test.several.mark", doc="the width of the image")
WIDE, HIGH = (48, 64), (64, 48)


@pytest.fixture(autouse=True, params=[0, 2])
def beside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of threads beside the network: none, as on a CPU, or those that a GPU has."""
    monkeypatch.setattr(prediction, "threads_beside", lambda device: request.param)
    return int(request.param)


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


class Marked(sk.Head[Tensor, Tensor]):
    """Records the batches of its network and the threads that finish; images of 50 pixels cannot be finished."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[tuple[int, int], ...]] = []
        self.threads: list[threading.Thread] = []

    def forward(self, board: Board) -> Tensor:
        self.batches.append(board.images.original_sizes)
        return torch.tensor([float(width) for _, width in board.images.original_sizes])

    def loss(self, raw: Tensor, board: Board, targets: Any) -> dict[str, Tensor]:
        return {}

    def decode(self, raw: Tensor, board: Board) -> Tensor:
        return raw

    def finish(self, value: Any, scene: Any, geometry: Any) -> Tensor:
        self.threads.append(threading.current_thread())
        if scene.size[1] == 50:
            raise InputError(f"an image of {scene.size[1]} pixels")
        if scene.size[1] == 51:
            raise ZeroDivisionError
        return torch.tensor(scene.size[1])


@pytest.fixture
def marked(model: SceneModel) -> SceneModel:
    """A model whose only other tasks are those of `model`."""
    return extended(model, TaskSpec("mark", "", (MARK,), lambda core, options: Marked()))


def head_of(model: SceneModel) -> Marked:
    head = model.heads["mark"]
    assert isinstance(head, Marked)
    return head


def images_of(sizes: Sequence[tuple[int, int]]) -> list[Any]:
    return [sample(number, size).image for number, size in enumerate(sizes)]


def equal(first: Scene, second: Scene) -> None:
    """To the bit."""
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(first.objects, name), getattr(second.objects, name))
    torch.testing.assert_close(first[KEYPOINTS].xy, second[KEYPOINTS].xy, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(first[SEMANTIC], second[SEMANTIC]) and first[MASKS].rles == second[MASKS].rles
    assert torch.equal(first[PANOPTIC].ids, second[PANOPTIC].ids) and len(first.objects) > 0


@pytest.mark.parametrize("inference", [False, True])
def test_lists_are_predicted_as_their_images_are(model: SceneModel, inference: bool) -> None:
    """To the bit, by threads that share the mode of this one."""
    images = images_of([WIDE, HIGH, WIDE, (96, 64), HIGH])
    with torch.inference_mode() if inference else nullcontext():
        scenes = model.predict(images, threshold=0.0)
        for scene, image in zip(scenes, images, strict=True):
            equal(scene, model.predict(image, threshold=0.0))
        assert scenes[0].objects.boxes.is_inference() == inference and not scenes[0].objects.boxes.requires_grad
    assert running() == []


def test_images_of_a_list_run_with_those_of_their_size(marked: SceneModel) -> None:
    """To the bit as the pass of these images."""
    images = images_of([WIDE, HIGH] * 3)
    scenes = marked.predict(images, threshold=0.0, batch_size=3)
    assert head_of(marked).batches == [(WIDE,) * 3, (HIGH,) * 3]
    assert [scene.size for scene in scenes] == [WIDE, HIGH] * 3
    with torch.no_grad():
        outputs = marked(marked.preprocess(images[1::2]))
    for scene, expected in zip(scenes[1::2], marked.scenes(outputs), strict=True):
        equal(scene, expected)


def test_an_image_waits_for_others_of_its_size_for_a_few_batches(marked: SceneModel) -> None:
    """The size is that of the padded network input, which 48 x 64 and 46 x 64 share."""
    sizes = [HIGH, *[WIDE, (46, 64)] * 8, HIGH]
    scenes = marked.predict(images_of(sizes), tasks="mark", batch_size=2)
    batches = head_of(marked).batches
    assert [scene.size for scene in scenes] == sizes
    assert AHEAD == 4 and [len(batch) for batch in batches] == [2, 2, 2, 1, 2, 2, 2, 2, 2, 1]  # eight others are read
    assert batches[3] == batches[-1] == (HIGH,) and batches[0] == (WIDE, (46, 64))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_of_an_iterator_no_more_images_are_taken_than_a_batch_holds(marked: SceneModel, size: int) -> None:
    taken: list[int] = []

    def frames() -> Iterator[Tensor]:
        for number, image in enumerate(images_of([WIDE, HIGH, WIDE, WIDE, HIGH, WIDE, HIGH])):
            taken.append(number)
            yield image

    results = marked.predict(frames(), tasks="mark", batch_size=size)
    for number, scene in enumerate(results):
        assert isinstance(scene, Scene) and scene.size == ([WIDE, HIGH, WIDE, WIDE, HIGH, WIDE, HIGH][number])
        assert len(taken) == min(7, (number // size + 1) * size)
    assert set(head_of(marked).threads) == {threading.current_thread()}


def test_of_a_list_a_bounded_number_of_images_is_read_ahead(marked: SceneModel) -> None:
    class Images(Sequence[Tensor]):
        """Knows how far it was read."""

        read = 0

        def __len__(self) -> int:
            return 60

        def __getitem__(self, place: Any) -> Any:
            if place >= 60:
                raise IndexError(place)
            assert threading.current_thread() is threading.main_thread()
            self.read = max(self.read, place + 1)
            return sample(0, WIDE if place else HIGH).image

    images = Images()
    request = Request.of(marked, "mark", 0.5, 2, "raise")
    results = Predictor(marked, request).each(images, None, None)
    ahead = [images.read - number for number, _ in enumerate(results)]
    # The first one waits for others of its size; two batches are in work, and a batch is being read.
    assert max(ahead) == ahead[0] <= AHEAD * 2 + 3 * 2 and max(ahead[20:]) <= 4 * 2
    assert len(ahead) == 60 and running() == []


def test_threads_end_when_nothing_more_is_asked_for(marked: SceneModel, beside: int) -> None:
    request = Request.of(marked, "mark", 0.5, 1, "raise")
    results = Predictor(marked, request).each(images_of([WIDE] * 20), None, None)
    next(results)
    assert len(running()) == beside
    results.close()  # type: ignore[attr-defined]
    assert running() == [] and len(head_of(marked).batches) < 6


@pytest.mark.parametrize("size", [1, 2, 4])
def test_errors_are_in_the_place_of_their_images(marked: SceneModel, size: int) -> None:
    """Of reading and of finishing, alone and beside images that can be used."""
    images: list[Any] = images_of([WIDE, (40, 50), HIGH, WIDE, HIGH, WIDE])
    images[3] = torch.zeros(2, 2, 2)
    given = [None] * 5 + [{OBJECTS: torch.tensor([[500.0, 500.0, 600.0, 600.0]])}]
    for sequence in (images, iter(images)):
        results = marked.predict(sequence, tasks="mark", given=given, batch_size=size, on_error="return")
        texts = [str(one) if isinstance(one, InputError) else one.size for one in results]
        assert [texts[0], texts[2], texts[4]] == [WIDE, HIGH, HIGH]
        assert "an image of 50 pixels" in str(texts[1])
        assert str(texts[3]).startswith("image 3: expected a tensor") and str(texts[5]).startswith("given objects: box")
    with pytest.raises(InputError, match="an image of 50 pixels"):  # the first one, though the fourth is read earlier
        marked.predict(images, tasks="mark", given=given, batch_size=size)
    before = list(marked.predict(images[:3], tasks="mark", batch_size=size, on_error="return"))
    assert [isinstance(one, Scene) for one in before] == [True, False, True] and running() == []


@pytest.mark.parametrize("kind", [list, iter])
def test_an_image_that_cannot_be_finished_runs_no_network_again(
    model: SceneModel, marked: SceneModel, kind: Any
) -> None:
    images = images_of([WIDE, (48, 50), WIDE])  # which are padded to one size
    results = list(marked.predict(kind(images), threshold=0.0, batch_size=3, on_error="return"))
    assert [isinstance(one, Scene) for one in results] == [True, False, True]
    assert head_of(marked).batches == [(WIDE, (48, 50), WIDE)]
    with torch.no_grad():
        expected = model.scenes(model(model.preprocess(images)))
    equal(results[0], expected[0])
    equal(results[2], expected[2])


def test_images_that_fail_together_are_finished_in_the_thread_of_the_others(
    marked: SceneModel, monkeypatch: pytest.MonkeyPatch, beside: int
) -> None:
    head = head_of(marked)
    forward = head.forward

    def alone(board: Board) -> Tensor:
        if len(board.images) > 1:
            raise InputError("one image at a time")
        return forward(board)

    monkeypatch.setattr(head, "forward", alone)
    assert len(marked.predict(images_of([WIDE] * 4), tasks="mark", batch_size=2)) == 4
    assert head.batches == [(WIDE,)] * 4
    assert len(set(head.threads)) == 1 and (threading.current_thread() in head.threads) == (beside == 0)


@pytest.mark.parametrize("kind", [list, iter])
def test_the_board_of_a_batch_is_freed_during_the_next_one(
    marked: SceneModel, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    head, freed = head_of(marked), [threading.Event() for _ in range(6)]
    forward = head.forward

    def watched(board: Board) -> Tensor:
        number = len(head.batches)
        if number:
            assert freed[number - 1].wait(timeout=10)
        weakref.finalize(board.images, freed[number].set)
        return forward(board)

    monkeypatch.setattr(head, "forward", watched)
    assert len(list(marked.predict(kind(images_of([WIDE, HIGH] * 4)[:6]), tasks="mark", batch_size=2))) == 6


def test_other_errors_end_it_in_this_thread(marked: SceneModel) -> None:
    with pytest.raises(ZeroDivisionError):
        marked.predict(images_of([WIDE, (40, 51), WIDE, WIDE]), tasks="mark")
    assert running() == [] and not any(module.training for module in marked.modules())


def test_a_model_that_learns_is_back_in_its_mode(marked: SceneModel) -> None:
    marked.train()
    try:
        marked.predict(images_of([WIDE, HIGH]), tasks="mark", batch_size=2)
        assert all(module.training for module in marked.modules())
    finally:
        marked.eval()


def test_a_budget_is_that_of_an_image_by_itself(marked: SceneModel) -> None:
    """Nothing else runs meanwhile."""
    ledger = sk.cost(marked, sample().image, tasks="mark", repeats=1)
    head_of(marked).threads.clear()
    scenes = marked.predict(images_of([WIDE, WIDE]), tasks="mark", budget=1000.0, ledger=ledger, batch_size=2)
    assert len(scenes) == 2 and set(head_of(marked).threads) == {threading.current_thread()}
    assert all(len(batch) == 1 for batch in head_of(marked).batches)


def test_prepared_images_are_concatenated_to_the_batch_of_all() -> None:
    images, options = images_of([WIDE, WIDE]), config().input
    cameras = [sk.Camera.pinhole(60.0, *WIDE), None]
    whole = make_batch(images, options, cameras=cameras).named(["a", None])
    alone = [make_batch([image], options, cameras=[camera]) for image, camera in zip(images, cameras, strict=True)]
    joined = ImageBatch.cat([alone[0].named(["a"]), alone[1].named([None])])
    assert torch.equal(joined.pixels, whole.pixels) and len(joined) == 2
    assert (joined.sizes, joined.original_sizes, joined.divisor) == (whole.sizes, whole.original_sizes, whole.divisor)
    assert joined.origins == whole.origins and joined.cameras is not None and whole.cameras is not None
    assert joined.cameras[1] is None and torch.equal(joined.camera(0).matrix, whole.camera(0).matrix)
    assert ImageBatch.cat([whole, alone[1]]).origins is None and ImageBatch.cat([whole]) is whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"divisor": 16}, "one divisor, got 32, 16"),
        ({"pixels": torch.zeros(1, 3, 64, 64)}, r"one padded size, got \(64, 96\), \(64, 64\)"),
    ],
)
def test_batches_that_differ_are_not_concatenated(change: dict[str, Any], message: str) -> None:
    batch = make_batch(images_of([WIDE]), config().input)
    with pytest.raises(InputError, match=message):
        ImageBatch.cat([batch, replace(batch, **change)])


def test_batches_without_an_input_that_others_have_get_nan() -> None:
    batch, inputs = make_batch(images_of([WIDE]), config().input), {"depth": torch.ones(1, 1, 64, 96)}
    joined = ImageBatch.cat([batch, replace(batch, inputs=inputs), batch]).inputs["depth"]
    assert joined[:, 0, 0, 0].isnan().tolist() == [True, False, True] and torch.equal(joined[1:2], inputs["depth"])


def test_tasks_with_equal_limits_have_the_same_rows(model: SceneModel) -> None:
    """Those of persons, and those above the threshold."""
    with torch.no_grad():
        outputs = model(model.preprocess([sample().image]), threshold=0.2)
    board = outputs.parts[0].board
    objects, masks = board[OBJECTS], board.rows_of(MASKS)
    selector = RegionSelector(board, None, VOCABULARY, {}, 0.2)
    rows = {name: selector.inference_regions(model.specs[name], [OBJECTS])[OBJECTS] for name in ("masks", "keypoints")}
    assert selector.inference_regions(model.specs["masks"], [OBJECTS])[OBJECTS] is rows["masks"]
    assert torch.equal(rows["masks"].boxes, objects.boxes[objects.scores >= 0.2])
    assert torch.equal(rows["masks"].root_rows, masks.root_rows)
    labels = rows["keypoints"].labels
    assert labels is not None and set(labels.tolist()) <= {1} and rows["keypoints"] is not rows["masks"]
