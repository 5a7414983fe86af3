"""What a task of one's own may do: rows and policies, values of other tasks, several keys, a whole plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import scenekit_distance
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.errors import BoardError, InputError
from scenekit.hooks import Origin, Policy, TaskSpec, registry
from scenekit.keys import FEATURES, MASKS, OBJECTS, PROPOSALS, SEMANTIC, Key
from scenekit.model.board import Board
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.structures import Regions
from tests.tiny import KEYS, PERSON, VOCABULARY, batch, config, empty, extended, sample

VERDICT: Key[Any, Any] = Key("tests.verdict", of=OBJECTS, doc="a number per object [N]", shape=("N",))
CLUTTER: Key[Any, Any] = Key("tests.clutter", doc="a number per image")


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


class Probe(sk.Head[Tensor, Any]):
    """One linear layer on pooled features; remembers its rows and what it read of `reads`."""

    def __init__(self, channels: int, reads: Key[Any, Any] | None = None) -> None:
        super().__init__()
        self.net = nn.Linear(channels, 1)
        self.reads = reads
        self.rows: list[Regions] = []
        self.read: list[Any] = []

    def forward(self, board: Board) -> Tensor:
        self.rows.append(board[OBJECTS])
        if self.reads is not None:
            self.read.append(board[self.reads])
        result: Tensor = self.net(board.pool(OBJECTS, size=7).mean((2, 3)))[:, 0]
        return result

    def loss(self, raw: Tensor, board: Board, targets: Targets) -> dict[str, Tensor]:
        labelled = targets.learnable(VERDICT, board[OBJECTS])
        return {"verdict": sk.safe_mean((raw - targets[VERDICT])[labelled].abs())}

    def decode(self, raw: Tensor, board: Board) -> Any:
        return raw


def spec(name: str = "verdict", reads: Key[Any, Any] | None = None, **more: Any) -> TaskSpec:
    values = {"provides": (VERDICT,), "learns_from": (VERDICT,), "build": lambda core, _: Probe(core.channels, reads)}
    return TaskSpec(name=name, summary="for tests", **{**values, **more})


def judged(number: int = 0, **more: Any) -> sk.Sample:
    return sample(number, values={VERDICT: torch.tensor([1.0, 2.0])}, **more)


def probe(model: SceneModel, name: str = "verdict") -> Probe:
    head = model.heads[name]
    assert isinstance(head, Probe)
    return head


def near_truth(model: SceneModel) -> dict[Key[Any, Any], Any]:
    """Proposals at the ground truth, so that fresh weights detect something that matches."""
    truth = batch(model, [judged(0), judged(1)])[1].streams[OBJECTS].regions
    return {PROPOSALS: Regions(truth.boxes, truth.image_index)}


# Rows


def test_at_most_so_many_regions_the_best_first(model: SceneModel) -> None:
    few = extended(model, spec(max_regions=3))
    with torch.no_grad():
        outputs = few(batch(few, [sample(0), sample(1)])[0])
    for scene in few.scenes(outputs):
        assert scene.objects.scores is not None and len(scene.objects) > 3
        best = scene.objects.scores >= scene.objects.scores.sort(descending=True).values[2]
        assert torch.equal(scene.rows_with(VERDICT), best)
        assert scene[VERDICT][best].isfinite().all() and scene[VERDICT][~best].isnan().all()


def test_applies_to_limits_rows_with_and_without_targets(model: SceneModel) -> None:
    persons = extended(model, spec(applies_to=lambda vocabulary: vocabulary.things_with_skeleton))
    pictures, targets = batch(persons, [judged(0), judged(1)])
    losses = persons(pictures, targets).losses
    persons(pictures)
    assert losses["verdict.verdict"].isfinite()
    assert all((rows.labels == PERSON).all() and len(rows) for rows in probe(persons).rows)


def test_a_label_of_rows_serves_a_task_of_the_image(model: SceneModel) -> None:
    """Provides one number an image, learns from rows: the stream of its labels is there without being required."""

    class Total(Probe):
        def decode(self, raw: Tensor, board: Board) -> list[float]:
            index = board[OBJECTS].image_index
            return [float(raw[index == picture].sum()) for picture in range(len(board.images))]

    total = extended(model, spec(provides=(CLUTTER,), build=lambda core, _: Total(core.channels)))
    losses = total(*batch(total, [judged()]), tasks=["verdict"]).losses
    assert losses["verdict.verdict"] > 0
    assert isinstance(total.predict(sample().image, tasks=["verdict"])[CLUTTER], float)


# Policies


DETECTIONS = {"streams": {OBJECTS: Policy.DETECTIONS}}


def test_detections_are_those_of_inference_with_their_matches(model: SceneModel) -> None:
    learner = extended(model, spec(**DETECTIONS))
    pictures, targets = batch(learner, [judged(0), judged(1)])
    given = near_truth(learner)
    losses = learner(pictures, targets, given=given).losses
    with torch.no_grad():
        found = learner(pictures, given=given).board[OBJECTS]
    (rows, _) = probe(learner).rows
    assert torch.equal(rows.boxes, found.boxes) and torch.equal(rows.labels, found.labels)
    assert torch.equal(rows.scores, found.scores)
    truth = targets.streams[OBJECTS].regions
    assert rows.matched is not None and (rows.matched >= 0).any() and (rows.matched < 0).any()
    fits = rows.matched >= 0
    assert torch.equal(rows.labels[fits], truth.labels[rows.matched[fits]])
    assert torch.equal(rows.image_index[fits], truth.image_index[rows.matched[fits]])
    assert losses["verdict.verdict"] > 0


def test_detections_are_decoded_once_and_pooled_once(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    other: Key[Any, Any] = Key("tests.opinion", of=OBJECTS, shape=("N",))
    learner = extended(model, spec("first", **DETECTIONS), spec("second", **{**DETECTIONS, "provides": (other,)}))
    detector, calls, pooled = learner.stages["detection"], [], []
    decode, pool = detector.detections, learner.pooler

    def counted(board: Board, targets: Targets) -> Regions:
        calls.append(board)
        return decode(board, targets)

    def noted(features: Any, regions: Regions, size: int) -> Tensor:
        pooled.append((regions, size))
        return pool(features, regions, size)

    monkeypatch.setattr(detector, "detections", counted)
    monkeypatch.setattr(learner, "pooler", noted)
    learner(*batch(learner, [judged(0), judged(1)]), given=near_truth(learner), tasks=["first", "second"])
    first, second = probe(learner, "first").rows[0], probe(learner, "second").rows[0]
    assert len(calls) == 1 and first.root is second.root
    # Sampled regions, proposals for the detections, the detections themselves.
    assert len(pooled) == 3 and {size for _, size in pooled} == {7}


def test_learning_on_detections_reaches_the_backbone_and_not_the_detector(model: SceneModel) -> None:
    learner = extended(model, spec(**DETECTIONS))
    pictures, targets = batch(learner, [judged(0), judged(1)])
    loss = learner(pictures, targets, given=near_truth(learner), tasks=["verdict"]).losses["verdict.verdict"]
    loss.backward()
    try:
        assert all(p.grad is None for p in learner.stages["detection"].parameters())
        assert any(p.grad is not None and p.grad.any() for p in learner.stages["backbone"].parameters())
    finally:
        learner.zero_grad()


def test_detections_change_no_other_loss(model: SceneModel) -> None:
    learner, samples = extended(model, spec(**DETECTIONS)), [judged(0), judged(1)]
    with torch.no_grad():
        alone, beside = model(*batch(model, samples)).losses, learner(*batch(learner, samples)).losses
    assert beside.keys() - alone.keys() == {"verdict.verdict"} or "verdict.unlabelled" in beside
    assert all(torch.equal(beside[name], alone[name]) for name in alone)


def test_no_detection_no_label_no_error(model: SceneModel) -> None:
    learner = extended(model, spec(**DETECTIONS))
    for samples in ([sample(0)], [empty(0)]):
        losses = learner(*batch(learner, samples)).losses
        assert losses["verdict.unlabelled"] == 0


def test_a_detector_without_detections_says_so(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = extended(model, spec(**DETECTIONS))
    monkeypatch.setattr(type(learner.stages["detection"]), "detections", sk.Provider.detections)
    with pytest.raises(InputError, match="'detection' has no detections"):
        learner(*batch(learner, [judged()]))


# Reading other tasks


@pytest.mark.parametrize("policy", list(Policy))
def test_values_read_while_learning_cover_every_row(model: SceneModel, policy: Policy) -> None:
    """Masks are read on images that have none to learn from, on sampled regions and on detections."""
    reader = extended(model, spec(reads=MASKS, requires=(MASKS,), streams={OBJECTS: policy}))
    pictures, targets = batch(reader, [judged(0, keys=()), judged(1, keys=KEYS)])
    losses = reader(pictures, targets, given=near_truth(reader)).losses
    (rows,), (masks,) = probe(reader).rows, probe(reader).read
    assert len(rows) == len(masks) > 0 and masks.isfinite().all() and not masks.requires_grad
    assert losses["verdict.verdict"] > 0 and losses["masks.mask"] > 0


def test_values_nobody_learns_from_are_not_decoded_with_targets(model: SceneModel) -> None:
    board = model(*batch(model, [sample()])).board
    assert MASKS not in board and SEMANTIC not in board


def test_reading_changes_no_other_loss(model: SceneModel) -> None:
    reader, samples = extended(model, spec(reads=MASKS, requires=(MASKS,))), [judged(0), judged(1, keys=(SEMANTIC,))]
    with torch.no_grad():
        alone, beside = model(*batch(model, samples)).losses, reader(*batch(reader, samples)).losses
    assert all(torch.equal(beside[name], alone[name]) for name in alone)


def test_values_are_read_through_a_task_in_between(model: SceneModel) -> None:
    """A weightless task makes something of masks, a third one learns from that."""
    area: Key[Any, Any] = Key("tests.area", of=OBJECTS, shape=("N",))

    class Area(sk.Head[Tensor, Tensor]):
        def forward(self, board: Board) -> Tensor:
            result: Tensor = board[MASKS].mean((1, 2))
            return result

        def decode(self, raw: Tensor, board: Board) -> Tensor:
            return raw

    between = TaskSpec("area", "for tests", (area,), lambda core, _: Area(), requires=(MASKS,))
    chain = extended(model, between, spec(reads=area, requires=(area,), **DETECTIONS))
    chain(*batch(chain, [judged(0), judged(1)]), given=near_truth(chain))
    (values,) = probe(chain).read
    assert len(values) > 0 and values.isfinite().all()


def test_tasks_of_both_policies_read_one_key(model: SceneModel) -> None:
    """Each gets the values on its own rows, the same as if the other was not there, and no gradient leads back."""
    reads = {"reads": MASKS, "requires": (MASKS,)}
    other: Key[Any, Any] = Key("tests.opinion", of=OBJECTS, shape=("N",))
    detected, sampled = spec("first", **reads, **DETECTIONS), spec("second", **reads, provides=(other,))
    for order in ((detected, sampled), (sampled, detected)):
        both = extended(model, *order)
        losses = both(*batch(both, [judged(0), judged(1)]), given=near_truth(both)).losses
        alone = {one.name: extended(model, one) for one in order}
        for name, learner in alone.items():
            learner(*batch(learner, [judged(0), judged(1)]), given=near_truth(learner))
            (values,), (expected,) = probe(both, name).read, probe(learner, name).read
            assert len(values) > 0 and not values.requires_grad
            torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)
            assert losses[f"{name}.verdict"].isfinite()
        (first,), (second,) = probe(both, "first").rows, probe(both, "second").rows
        assert first.root is not second.root


@pytest.mark.parametrize("learning", [True, False])
def test_an_undeclared_read_is_named(model: SceneModel, learning: bool) -> None:
    sneaky = extended(model, spec(reads=MASKS, **DETECTIONS))
    pictures, targets = batch(sneaky, [judged(0), judged(1)])
    given = near_truth(sneaky)
    with pytest.raises(BoardError, match="'verdict' reads 'masks' without declaring it"):
        sneaky(pictures, targets if learning else None, given=given)


def test_what_the_model_lacks_of_uses_is_simply_not_there(model: SceneModel) -> None:
    lacking = extended(model, spec(uses=(sk.PHRASE_CAPTIONS,)))
    assert lacking.predict(sample().image, tasks=["verdict"], threshold=0.0).rows_with(VERDICT).all()


# Several keys


class Both(sk.Head[Tensor, Any]):
    """A number per object and one per image."""

    def __init__(self, *leaves_out: Key[Any, Any]) -> None:
        super().__init__()
        self.leaves_out = leaves_out

    def forward(self, board: Board) -> Tensor:
        result: Tensor = board.pool(OBJECTS, size=7).mean((1, 2, 3))
        return result

    def decode(self, raw: Tensor, board: Board) -> Any:
        brightness = [float(features.mean()) for features in board[FEATURES].maps[0]]
        decoded = {VERDICT: raw, CLUTTER: brightness}
        return {key: value for key, value in decoded.items() if key not in self.leaves_out}


def test_several_keys_are_finished_together(model: SceneModel) -> None:
    task = TaskSpec("both", "for tests", (VERDICT, CLUTTER), lambda core, _: Both(), max_regions=2)
    scene = extended(model, task).predict(sample().image, tasks=["both"], threshold=0.0)
    assert scene.rows_with(VERDICT).sum() == 2 and isinstance(scene[CLUTTER], float)
    assert sk.Scene.from_json(scene.to_json())[CLUTTER] == pytest.approx(scene[CLUTTER])


def test_a_key_that_decode_leaves_out_is_named(model: SceneModel) -> None:
    task = TaskSpec("both", "for tests", (VERDICT, CLUTTER), lambda core, _: Both(CLUTTER))
    with pytest.raises(BoardError, match=r"task 'both' must return a mapping with the keys .*got \['tests.verdict'\]"):
        extended(model, task).predict(sample().image, tasks=["both"])


# A third party's plugin


@pytest.fixture
def distance() -> Iterator[None]:
    """The plugin as if it were installed."""
    found = registry()
    found.add(scenekit_distance, Origin("distance", "acme", "1.0"))
    assert not [failure for failure in found.failures if failure.origin.plugin == "distance"]
    yield
    found.manager.unregister(scenekit_distance)
    del found.records["task"]["distance"]


def test_a_third_party_head_trains_and_predicts(distance: None) -> None:
    named = config().model_copy(update={"tasks": {**config().tasks, "distance": {}}})
    model = sk.build(named, VOCABULARY).eval()
    metres = {scenekit_distance.DISTANCE: torch.tensor([2.0, 5.0])}
    pictures, targets = batch(model, [sample(number, values=metres) for number in range(2)])
    optimizer = torch.optim.Adam(model.heads["distance"].parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        loss = model(pictures, targets, tasks=["distance"]).losses["distance.distance"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    scene = model.predict(sample().image, threshold=0.0)
    assert len(scene[scenekit_distance.DISTANCE]) == len(scene.objects) > 0
    assert (scene[scenekit_distance.DISTANCE] > 0).all() and MASKS in scene and SEMANTIC in scene
    again = sk.Scene.from_json(scene.to_json())
    torch.testing.assert_close(again[scenekit_distance.DISTANCE], scene[scenekit_distance.DISTANCE])
