"""Tasks that bring stages, prepare, are shaped by their options, learn from several streams or gather counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.config import Config
from scenekit.detection import StreamProposals, TwoStageDetector, region_stream
from scenekit.hooks import TaskSpec
from scenekit.keys import OBJECTS, PHRASE_CAPTIONS, PHRASE_PROPOSALS, PHRASES, Key
from scenekit.model.head import Provider
from scenekit.scene import Scene
from scenekit.structures.captions import Captions
from scenekit.testing import VOCABULARY, check_task
from scenekit.testing.bench import set_up

WORTH: Key[Any, Any] = Key("tests.contract.worth", of=OBJECTS, doc="a number per object [N]", shape=("N",))
ECHO: Key[Any, Any] = Key("tests.contract.echo", of=PHRASES, doc="a number per phrase [N]", shape=("N",))


class Options(Config):
    """`words` are those of the training data; `objects` are not always rated."""

    words: tuple[str, ...] | None = None
    objects: bool = True


class PhraseHead(sk.Head[Mapping[Key[Any, Any], Tensor], Mapping[Key[Any, Any], Any]]):
    """The first word of each phrase, and a number for each object."""

    def __init__(self, core: sk.Core, config: Options) -> None:
        super().__init__()
        assert config.words is not None
        self.words = config.words
        self.net = nn.Linear(core.channels, len(config.words))
        self.register_buffer("seen", torch.zeros(len(config.words), dtype=torch.int64))

    def forward(self, board: sk.Board) -> dict[Key[Any, Any], Tensor]:
        followed = {key: key.of for key in self.provides if key.of is not None}
        return {key: self.net(board.pool(stream, size=7).mean((2, 3))) for key, stream in followed.items()}

    def loss(self, raw: Any, board: sk.Board, targets: sk.Targets) -> dict[str, Tensor]:
        losses = {}
        if PHRASE_CAPTIONS in raw:
            texts = targets[PHRASE_CAPTIONS].texts if PHRASE_CAPTIONS in targets else ()
            first = torch.tensor([self.words.index(text[0].split()[0]) for text in texts], dtype=torch.int64)
            self.seen += first.bincount(minlength=len(self.words))
            weight = 1 / (1 + self.seen.float())
            logits = raw[PHRASE_CAPTIONS][: len(first)]
            losses["word"] = sk.safe_mean(nn.functional.cross_entropy(logits, first, weight, reduction="none"))
        if WORTH in raw and WORTH in targets:
            losses["worth"] = sk.safe_mean((raw[WORTH][:, 0] - targets[WORTH]).abs())
        return losses

    def decode(self, raw: Any, board: sk.Board) -> Any:
        values = {key: logits[:, 0] for key, logits in raw.items() if key != PHRASE_CAPTIONS}
        chosen = raw[PHRASE_CAPTIONS].argmax(dim=1).tolist()
        values[PHRASE_CAPTIONS] = Captions(tuple((self.words[word],) for word in chosen))
        return values if len(values) > 1 else values[PHRASE_CAPTIONS]


def stages(core: sk.Core, config: Options) -> Sequence[Provider]:
    return region_stream(core, core.detector, PHRASES, PHRASE_PROPOSALS)


def configure(spec: TaskSpec, config: Options) -> TaskSpec:
    return spec if config.objects else replace(spec, provides=(PHRASE_CAPTIONS,), learns_from=(PHRASE_CAPTIONS,))


def prepare(config: Options, scenes: Iterable[Scene]) -> Options:
    if config.words is not None:
        return config
    texts = {text for scene in scenes for every in scene[PHRASE_CAPTIONS].texts for text in every}
    return config.model_copy(update={"words": tuple(sorted({word for text in texts for word in text.split()}))})


KEYS = (PHRASE_CAPTIONS, WORTH)
TASK = TaskSpec(
    "phrased",
    "for tests",
    KEYS,
    PhraseHead,
    Options,
    learns_from=KEYS,
    stages=stages,
    configure=configure,
    prepare=prepare,
)


def reason(check: str, **changes: Any) -> str:
    report = check_task(replace(TASK, **changes), only=[check])
    assert report.failed == (check,), str(report)
    return report.findings[0].reason


def test_it_keeps_every_rule() -> None:
    report = check_task(TASK)
    assert report.ok, str(report)
    assert {"prepares", "gradients", "partly_labelled", "state_dict", "two_processes"} <= set(report.passed)


def test_so_it_does_with_other_options() -> None:
    only = ["shapes", "batches", "gradients", "prepares", "json"]
    report = check_task(TASK, options={"objects": False}, only=only)
    assert report.ok, str(report)


def test_counts_that_a_head_gathers_do_not_show_between_passes() -> None:
    assert check_task(TASK, only=["deterministic", "partly_labelled", "other_tasks"]).ok


@pytest.mark.parametrize(
    ("labelled", "losses"), [({WORTH}, {"worth"}), ({PHRASE_CAPTIONS}, {"word"}), (set(KEYS), None)]
)
def test_a_task_learns_where_one_of_its_streams_is_labelled(
    labelled: set[Key[Any, Any]], losses: set[str] | None
) -> None:
    bench = set_up(TASK, {}, VOCABULARY)
    one = bench.sample(0)
    values = {key: value for key, value in one.scene.values.items() if key in labelled or key not in KEYS}
    keys = frozenset(key for key in one.supervision.keys if key in values)
    one = replace(one, scene=replace(one.scene, values=values), supervision=replace(one.supervision, keys=keys))
    found = {name.split(".")[1]: float(loss.detach()) for name, loss in bench.learn([one]).items()}
    assert {name for name, loss in found.items() if loss > 0} == (losses or {"worth", "word"})


def test_a_task_does_not_learn_where_none_is() -> None:
    bench = set_up(TASK, {}, VOCABULARY)
    assert set(bench.learn([bench.sample(0, labelled=False)])) == {"phrased.unlabelled"}


# What is found


def test_a_stage_that_does_not_learn() -> None:
    class Silent(TwoStageDetector):
        def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, Tensor]:
            return {name: loss for name, loss in super().forward(board, targets).items() if name != "box"}

    def silent(core: sk.Core, config: Options) -> Sequence[Provider]:
        own: Any = core.detector
        proposals = StreamProposals(core, own, PHRASES, PHRASE_PROPOSALS)
        return proposals, Silent(core, own, PHRASES, PHRASE_PROPOSALS, ("region",))

    found = reason("gradients", stages=silent)
    assert "no gradient reaches phrases.predictor.deltas.weight, phrases.predictor.deltas.bias" in found


def test_a_stage_that_learns_where_nothing_is_labelled() -> None:
    class Eager(StreamProposals):
        def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, Tensor]:
            losses = super().forward(board, targets)
            return losses if targets is None else {**losses, "decay": self.objectness.weight.square().sum()}

    def eager(core: sk.Core, config: Options) -> Sequence[Provider]:
        own: Any = core.detector
        _, second = region_stream(core, own, PHRASES, PHRASE_PROPOSALS)
        return Eager(core, own, PHRASES, PHRASE_PROPOSALS), second

    assert "phrase_proposals.decay" in reason("unlabelled", stages=eager)


def test_preparing_that_is_done_again_and_again() -> None:
    def again(config: Options, scenes: Iterable[Scene]) -> Options:
        return prepare(config.model_copy(update={"words": None}), scenes)

    assert "changes a config that is complete" in reason("prepares", prepare=again)


def test_preparing_that_differs_from_time_to_time() -> None:
    count: list[int] = []

    def fickle(config: Options, scenes: Iterable[Scene]) -> Options:
        if config.words is not None:
            return config
        count.append(1)
        made = prepare(config, scenes)
        return made.model_copy(update={"words": (*(made.words or ()), f"word{len(count)}")})

    assert "something else the second time" in reason("prepares", prepare=fickle)


def test_preparing_that_cannot_be_stored() -> None:
    class Vague(Options):
        found: Any = None

    def vague(config: Vague, scenes: Iterable[Scene]) -> Vague:
        return config if config.found else prepare(config, scenes).model_copy(update={"found": {1, 2}})

    assert "comes back from JSON as something else" in reason("prepares", config=Vague, prepare=vague)


class EchoHead(sk.Head[Tensor, Tensor]):
    """Follows a stream that another task brings through its stages."""

    def forward(self, board: sk.Board) -> Tensor:
        return board.pool(PHRASES, size=7).mean((1, 2, 3))

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw


def test_a_task_that_follows_a_stream_which_an_installed_one_brings() -> None:
    """The task `captions` does, and stands beside it on the bench."""
    follower = TaskSpec("echo", "for tests", (ECHO,), lambda core, config: EchoHead())
    report = check_task(follower, only=["shapes", "batches", "other_tasks", "fewer_tasks", "json"])
    assert report.ok, str(report)
