"""Tasks of clips: one value for all frames together, and nothing else changes for it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import BoardError, InputError, PluginError, WrongShapeError
from scenekit.keys import BOXES3D, FEATURES, OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.structures.images import ClipFrames, ImageBatch
from scenekit.testing.compare import difference
from tests.tiny import SIZE, VOCABULARY, config, extended, sample

CHANGE: sk.Key[Any, Any] = sk.Key("test.change", of=sk.CLIP, doc="how much features change in a second", shape=("B",))
LEVEL: sk.Key[Any, Any] = sk.Key("test.level", doc="mean feature of a frame", shape=("B",))


class Level(sk.Head[Tensor, Tensor]):
    """A value of each frame."""

    def forward(self, board: sk.Board) -> Tensor:
        return torch.stack([one.mean() for one in board[FEATURES].maps[0]])

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw


class Change(sk.Head[Tensor, Tensor]):
    """The scaled difference of the last and the first frame, over the seconds between them."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, board: sk.Board) -> Tensor:
        levels = [board[LEVEL][clip.places] for clip in board.images.clips or ()]
        seconds = [max(clip.times[-1] - clip.times[0], 1.0) for clip in board.images.clips or ()]
        parts = [(level[-1] - level[0]) / time for level, time in zip(levels, seconds, strict=True)]
        return self.scale * torch.stack(parts)

    def loss(self, raw: Tensor, board: sk.Board, targets: Any) -> dict[str, Tensor]:
        truth = torch.tensor([0.0 if value is None else float(value) for value in targets[CHANGE]])
        return {"change": sk.safe_mean((raw - truth)[targets.valid[CHANGE]].abs())}

    def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
        return raw


LEVEL_TASK = sk.TaskSpec("level", "test", (LEVEL,), build=lambda core, config: Level())
CHANGE_TASK = sk.TaskSpec(
    "change", "test", (CHANGE,), build=lambda core, config: Change(), requires=(LEVEL,), learns_from=(CHANGE,)
)


@pytest.fixture(scope="module")
def plain() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(["masks"]), VOCABULARY).eval()


@pytest.fixture(scope="module")
def model(plain: SceneModel) -> SceneModel:
    return extended(plain, LEVEL_TASK, CHANGE_TASK)


def images(count: int, size: tuple[int, int] = SIZE) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [torch.randint(0, 255, (3, *size), generator=generator, dtype=torch.uint8) for _ in range(count)]


def clip_of(frames: list[Tensor], times: tuple[float, ...]) -> list[sk.VideoFrame]:
    return [sk.VideoFrame(image, sk.Moment(time, n)) for n, (image, time) in enumerate(zip(frames, times, strict=True))]


def two_clips(model: SceneModel) -> ImageBatch:
    """An image, a clip of two frames and one of three."""
    batch = model.preprocess(images(6))
    return replace(batch, clips=(ClipFrames(1, (0.0, 2.0)), ClipFrames(3, (5.0, 6.0, 9.0))))


def labelled(frame_count: int, value: float | None) -> Sample:
    frames = tuple(replace(sample(), id=10 + number) for number in range(frame_count))
    scene = sk.Scene(SIZE, VOCABULARY, values={} if value is None else {CHANGE: value})
    claims = Supervision(frozenset() if value is None else frozenset({CHANGE}))
    times = tuple(float(number) for number in range(frame_count))
    return Sample(frames[0].image, scene, claims, 10, frames=frames, times=times)


@torch.no_grad()
def test_one_value_for_each_clip(model: SceneModel) -> None:
    board = model(two_clips(model)).board
    level = board[LEVEL]
    expected = torch.stack([(level[2] - level[1]) / 2, (level[5] - level[3]) / 4])
    assert torch.allclose(board[CHANGE], expected, atol=1e-6)
    first, second = model.clip_scenes(model(two_clips(model)))
    assert first.size == SIZE and float(first[CHANGE]) == pytest.approx(float(expected[0]), abs=1e-6)
    assert float(second[CHANGE]) == pytest.approx(float(expected[1]), abs=1e-6)


@torch.no_grad()
def test_images_are_what_they_are_without_clips(model: SceneModel, plain: SceneModel) -> None:
    """Neither the task of clips nor knowing of the clips changes a scene."""
    batch = two_clips(model)
    alone = plain.scenes(plain(replace(batch, clips=None)), threshold=0.0)
    for outputs in (model(batch), model(batch, tasks=["masks"]), model(replace(batch, clips=None))):
        scenes = model.scenes(outputs, ["masks"])
        for one, other in zip(alone, scenes, strict=True):
            assert CHANGE not in other and set(one.values) == set(other.values)
            assert difference(one.objects, other.objects) is None
            assert all(difference(one[key], other[key]) is None for key in one.values)
    assert not any(CHANGE in scene for scene in model.scenes(model(batch)))


@torch.no_grad()
def test_clips_of_several_sizes(model: SceneModel) -> None:
    """Images of each size run by themselves, then the clips on all of them."""
    small, large = images(2), images(2, (64, 48))
    batch = replace(model.preprocess([*small, *large]), clips=(ClipFrames(0, (0.0, 1.0)), ClipFrames(2, (0.0, 1.0))))
    outputs = model(batch)
    assert len(outputs.parts) == 2
    for number, frames in enumerate((small, large)):
        alone = sk.predict_clip(model, clip_of(frames, (0.0, 1.0)))
        assert float(outputs.board[CHANGE][number]) == pytest.approx(float(alone[CHANGE]), abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_a_video_runs_in_batches_of_any_size(model: SceneModel, batch_size: int) -> None:
    frames, times = images(5), (0.0, 0.5, 1.0, 2.0, 2.5)
    with torch.no_grad():
        whole = model(replace(model.preprocess(frames), clips=(ClipFrames(0, times),)))
    clip = sk.predict_clip(model, iter(clip_of(frames, times)), batch_size=batch_size)
    assert float(clip[CHANGE]) == pytest.approx(float(whole.board[CHANGE][0]), abs=1e-6)
    assert clip.times == times and len(clip) == 5 and clip.frames == () and CHANGE in clip


def test_frames_get_their_scenes_where_these_are_asked_for(model: SceneModel) -> None:
    frames = images(3)
    clip = sk.predict_clip(model, frames, ["masks", "change"], threshold=0.0, rate=4.0, batch_size=2)
    assert [scene.moment.time for scene in clip.frames if scene.moment] == [0.0, 0.25, 0.5]
    alone = model.predict(frames, ["masks"], threshold=0.0)
    assert all(difference(a.objects, b.objects) is None for a, b in zip(alone, clip.frames, strict=True))
    only = sk.predict_clip(model, frames, "masks", rate=4.0)
    assert CHANGE not in only and len(only.frames) == 3


def test_no_more_is_kept_of_frames_than_is_read(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pixels nor feature maps of earlier frames are held."""
    from scenekit.model import clips

    kept: list[Any] = []
    part = clips.Part
    monkeypatch.setattr(clips, "Part", lambda places, board: kept.append(board) or part(places, board))
    sk.predict_clip(model, images(4), rate=1.0, batch_size=2)
    assert [set(board.keys) for board in kept] == [{sk.IMAGES, LEVEL}] * 2
    assert all(board.images.pixels.numel() == 0 for board in kept)


def test_images_have_no_tasks_of_clips(model: SceneModel) -> None:
    assert model.tasks == ("masks", "level") and model.clip_tasks == ("change",)
    assert CHANGE not in model.predict(images(1)[0])
    with pytest.raises(InputError, match=r"task 'change' is one of clips; run it on frames by `sk.predict_clip`"):
        model.predict(images(1)[0], ["change"])


def test_a_model_without_tasks_of_clips_says_so(plain: SceneModel) -> None:
    with pytest.raises(InputError, match="this model has no task of clips; its tasks are masks"):
        sk.predict_clip(plain, images(1), rate=1.0)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (images(2), {}, "frame 0 has no moment"),
        ([], {"rate": 1.0}, "at least one frame, got none"),
        (images(2), {"rate": 0.0}, "rate: expected a number of frames in a second above 0, got 0"),
        (clip_of(images(2), (1.0, 1.0)), {}, "the times of its frames rise"),
        (images(2), {"rate": 1.0, "tasks": ["chnge"]}, "no task 'chnge'; did you mean 'change'"),
        (images(2), {"rate": 1.0, "batch_size": 0}, "batch_size"),
    ],
)
def test_bad_clips_are_refused(model: SceneModel, frames: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.predict_clip(model, frames, **options)


def test_losses_of_clips_beside_images(model: SceneModel) -> None:
    """Of two clips and an image, the annotated clip gives the loss of its task; all frames teach the other tasks."""
    samples = [sample(), labelled(3, 0.25), labelled(2, None)]
    keys = (*model.learns_from,)
    batch, targets = collate(samples, vocabulary=VOCABULARY, keys=keys, config=model.config.input, seeds=[1, 2, 7])
    assert batch.clips == (ClipFrames(1, (0.0, 1.0, 2.0)), ClipFrames(4, (0.0, 1.0))) and len(batch) == 6
    assert batch.seeds == (1, 2, 3, 4, 7, 8) and targets.valid[CHANGE].tolist() == [True, False]
    losses = model(batch, targets).losses
    board = model(batch, tasks=["level"]).board
    change = (board[LEVEL][3] - board[LEVEL][1]) / 2
    assert float(losses["change.change"].detach()) == pytest.approx(abs(float(change.detach()) - 0.25), abs=1e-5)
    assert "masks.mask" in losses


def test_images_alone_teach_a_task_of_clips_nothing(model: SceneModel) -> None:
    """It still takes part, so that several processes have the same graph."""
    batch, targets = collate([sample()], vocabulary=VOCABULARY, keys=model.learns_from, config=model.config.input)
    losses = model(batch, targets).losses
    assert batch.clips is None and losses["change.unlabelled"] == 0
    (gradient,) = torch.autograd.grad(losses["change.unlabelled"], [model.heads["change"].scale])
    assert gradient == 0


def test_a_wrong_number_of_values_is_refused(plain: SceneModel) -> None:
    class Wrong(Change):
        def decode(self, raw: Tensor, board: sk.Board) -> Tensor:
            return torch.zeros(6)

    wrong = extended(plain, LEVEL_TASK, replace(CHANGE_TASK, build=lambda core, config: Wrong()))
    with pytest.raises(WrongShapeError, match=r"6 entries of 'test.change' on the board, expected one for each of 2"):
        wrong(two_clips(wrong))


def test_images_cannot_read_what_belongs_to_a_clip(plain: SceneModel) -> None:
    late = sk.TaskSpec("late", "test", (sk.Key("test.late"),), build=lambda core, config: Level(), requires=(CHANGE,))
    with pytest.raises(InputError, match=r"'late' runs on images and cannot read 'test.change'"):
        extended(plain, LEVEL_TASK, CHANGE_TASK, late)


def test_a_task_is_of_clips_or_of_images() -> None:
    with pytest.raises(PluginError, match="provides keys of clips, so that boxes3d needs a task of its own"):
        replace(CHANGE_TASK, provides=(CHANGE, BOXES3D))


def test_undeclared_reads_are_errors(plain: SceneModel) -> None:
    nosy = extended(plain, LEVEL_TASK, replace(CHANGE_TASK, requires=(FEATURES,)))
    with pytest.raises(BoardError, match=r"'change' reads 'test.level' without declaring it"):
        nosy(two_clips(nosy))


def test_keys_of_clips_keep_their_scope() -> None:
    again = pickle.loads(pickle.dumps(CHANGE))
    assert again is CHANGE and again.of is None and again.of_clip and not LEVEL.of_clip
    with pytest.raises(InputError, match="exists with another meaning"):
        sk.Key("test.change", of=OBJECTS)
    with pytest.raises(InputError, match="exists with another meaning"):
        sk.Key("test.change", shape=("B",))


def test_clips_round_trip(model: SceneModel, tmp_path: Path) -> None:
    clip = sk.predict_clip(model, images(3), ["masks", "change"], threshold=0.0, rate=4.0)
    clip.save(tmp_path / "clip.json")
    again = sk.ClipScene.load(tmp_path / "clip.json")
    assert again.times == clip.times and float(again[CHANGE]) == pytest.approx(float(clip[CHANGE]))
    assert difference(again.frames[2].objects, clip.frames[2].objects) is None
    (tmp_path / "scene.json").write_text("{}")
    with pytest.raises(InputError, match=r"scene.json: expected a clip of format 1, as ClipScene.save writes it"):
        sk.ClipScene.load(tmp_path / "scene.json")
    data = json.loads((tmp_path / "clip.json").read_text())
    for times, message in ((["a"], "clip.json: expected what Scene.save writes"), ([0.0], "got 3 and 1 times")):
        (tmp_path / "clip.json").write_text(json.dumps({**data, "times": times}))
        with pytest.raises(InputError, match=message):
            sk.ClipScene.load(tmp_path / "clip.json")


def test_a_video_file_is_read(model: SceneModel, tmp_path: Path) -> None:
    pytest.importorskip("av")
    with sk.VideoWriter(tmp_path / "clip.mp4", rate=4.0) as writer:
        for image in images(3, (48, 64)):
            writer.write(image)
    clip = sk.predict_clip(model, tmp_path / "clip.mp4", ["masks", "change"], threshold=0.0)
    assert clip.times == pytest.approx((0.0, 0.25, 0.5))
    with sk.video(tmp_path / "clip.mp4") as frames:
        assert float(sk.predict_clip(model, frames)[CHANGE]) == pytest.approx(float(clip[CHANGE]))


def test_a_frame_has_the_values_of_its_clip_too(model: SceneModel) -> None:
    both = sk.predict_clip(model, images(3), ["masks", "change"], threshold=0.0, rate=4.0)
    scene = both.frame(1)
    assert set(scene.values) == {*both.frames[1].values, CHANGE} and len(scene.objects) == len(both.frames[1].objects)
    with pytest.raises(InputError, match="number of one of 3 frames, counted from 0, got 3"):
        sk.predict_clip(model, images(3), rate=4.0).frame(3)
    alone = sk.predict_clip(model, images(3), rate=4.0).frame(2)
    assert set(alone.values) == {CHANGE} and alone.moment is not None and alone.moment.time == 0.5


def test_a_clip_gives_its_frames(model: SceneModel) -> None:
    frames = clip_of(images(2), (0.0, 1.0))
    scenes = [sk.Scene(SIZE, VOCABULARY)] * 2
    clip = sk.predict_clip(model, sk.Clip(frames, scenes, VOCABULARY))
    assert float(clip[CHANGE]) == pytest.approx(float(sk.predict_clip(model, frames)[CHANGE]))
