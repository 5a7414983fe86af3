"""What images come with: a third party's modality in prediction, batches and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.config import Config
from scenekit.data.clips import ClipSamples
from scenekit.data.collate import collate
from scenekit.data.inputs import with_modalities
from scenekit.data.transforms import Resize, apply_all, moved, rng_for
from scenekit.errors import InputError, PluginError
from scenekit.evaluation.model_passes import ClipPass
from scenekit.hooks import InputImage, ModalitySpec, TaskSpec, registry
from scenekit.hooks.manager import Origin
from scenekit.keys import DEPTH, SEMANTIC, Key
from scenekit.model.board import Board
from scenekit.model.modalities import moved_maps, pack_maps
from scenekit.model.preprocess import make_batch
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import DataConfig, InputConfig
from scenekit.structures.geometry import Geometry
from tests.tiny import VOCABULARY, config, extended, sample

WARMTH: Key[Any, Any] = Key("tests.modalities.warmth", doc="mean degrees of the image, NaN without")
WIDE, HIGH = (48, 64), (64, 48)


class HeatOptions(Config):
    """Options of the modality."""

    factor: float = 1.0
    """What values are multiplied by."""


def read_heat(value: Any, options: HeatOptions, image: InputImage) -> Tensor:
    degrees = torch.as_tensor(value).float() * options.factor
    if tuple(degrees.shape) != image.size:
        raise InputError(f"{image.name}: heat of {list(degrees.shape)} pixels")
    return degrees[None]


def read_embers(value: Any, options: Any, image: InputImage) -> Tensor:
    """Points [x, y, degrees] become a map of heat."""
    heat = torch.full((1, *image.size), torch.nan)
    for x, y, degrees in value:
        heat[0, y, x] = degrees
    return heat


HEAT = ModalitySpec("heat", "degrees", read_heat, HeatOptions, key=DEPTH)
EMBERS = ModalitySpec("embers", "points of degrees", read_embers, becomes="heat")


class Thermometer(sk.Head[Any, Tensor]):
    """Gives the mean of what is there."""

    def forward(self, board: Board) -> Any:
        return board.images.inputs.get("heat")

    def decode(self, raw: Any, board: Board) -> Tensor:
        if raw is None:
            return torch.full((len(board.images),), torch.nan)
        assert SEMANTIC in board  # which is read where images come with heat
        return torch.as_tensor(raw.flatten(1).nanmean(dim=1))

    def finish(self, value: Any, scene: Any, geometry: Any) -> Any:
        return value


THERMOMETER = TaskSpec(
    "warmth", "degrees", (WARMTH,), lambda core, options: Thermometer(), inputs={"heat": (SEMANTIC,)}
)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {spec.name: [(spec, Origin("thermal", "acme", "1.2"))] for spec in (HEAT, EMBERS)}
    monkeypatch.setitem(registry().records, "modality", {**registry().records["modality"], **own})


@pytest.fixture(scope="module")
def plain() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


@pytest.fixture(scope="module")
def model(plain: SceneModel) -> SceneModel:
    return extended(plain, THERMOMETER)


@pytest.fixture
def image() -> Tensor:
    return sample(size=WIDE).image


def warmth(model: SceneModel, images: Any, **inputs: Any) -> Any:
    scenes = model.predict(images, tasks=["warmth"], **inputs)
    if isinstance(scenes, sk.Scene):
        return float(scenes[WARMTH])
    return [float(scene[WARMTH]) for scene in scenes]


def heat(degrees: float, size: tuple[int, int] = WIDE) -> np.ndarray:
    return np.full(size, degrees, dtype=np.float32)


def test_a_value_reaches_the_head(model: SceneModel, image: Tensor) -> None:
    assert model.inputs == ("heat",)
    assert np.isnan(warmth(model, image))
    assert warmth(model, image, heat=heat(20.0)) == 20.0
    assert warmth(model, image, heat=heat(20.0), heat_factor=2.0) == 40.0
    assert warmth(model, image, heat={"value": heat(20.0), "factor": 3.0}, heat_factor=2.0) == 60.0


def test_what_becomes_another_modality_fills_its_holes(model: SceneModel, image: Tensor) -> None:
    assert warmth(model, image, embers=[(3, 4, 50.0)]) == 50.0
    partial = heat(10.0)
    partial[:, 32:] = np.nan
    assert warmth(model, image, heat=partial, embers=[(3, 4, 50.0)]) == 10.0
    assert warmth(model, image, heat=partial, embers=[(40, 4, 5000.0)]) > 10.0


def test_one_for_all_or_one_each(model: SceneModel, image: Tensor) -> None:
    images = [image] * 3
    assert warmth(model, images, heat=heat(7.0), batch_size=2) == [7.0] * 3
    assert warmth(model, images, heat=np.stack([heat(1.0), heat(2.0), heat(3.0)])) == [1.0, 2.0, 3.0]
    each = warmth(model, iter(images), heat=iter([heat(1.0), None, heat(3.0)]), batch_size=2)
    assert each[::2] == [1.0, 3.0] and np.isnan(each[1])


def test_frames_bring_their_own(model: SceneModel, image: Tensor) -> None:
    frames = [sk.VideoFrame(image, inputs={"heat": heat(5.0)}), sk.VideoFrame(image)]
    first, second = warmth(model, frames, batch_size=2)
    assert first == 5.0 and np.isnan(second)
    assert warmth(model, frames[0], heat=heat(6.0)) == 6.0
    assert warmth(model, frames[0], heat_factor=2.0) == 10.0
    with pytest.raises(InputError, match=r"image 0: unknown modality 'heet'; did you mean 'heat'\?"):
        model.predict([sk.VideoFrame(image, inputs={"heet": heat(5.0)})])


def test_images_of_several_sizes_mix(model: SceneModel) -> None:
    images = [sample(size=size).image for size in (WIDE, HIGH, WIDE)]
    values = [heat(1.0), heat(2.0, HIGH), None]
    one_by_one = [warmth(model, image, heat=value) for image, value in zip(images, values, strict=True)]
    together = warmth(model, images, heat=values, batch_size=4)
    assert together[:2] == one_by_one[:2] == [1.0, 2.0] and np.isnan(together[2])


def test_a_model_that_does_not_read_it_gives_the_same(
    plain: SceneModel, image: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    without, beside = plain.predict(image, threshold=0.0), plain.predict(image, threshold=0.0, heat=heat(5.0))
    assert without.to_json() == beside.to_json()
    assert "no task of this model reads heat" in caplog.text
    with pytest.raises(InputError, match="heat of"):
        plain.predict(image, heat=heat(5.0, HIGH))


def test_keys_are_read_only_where_images_come_with_it(model: SceneModel, image: Tensor) -> None:
    assert "semantic" not in model.plan.needed(["warmth"])
    assert "semantic" in model.plan.needed(["warmth"], inputs=["heat"])
    assert SEMANTIC not in model.predict(image, tasks=["warmth"], heat=heat(5.0))


def test_unknown_arguments(model: SceneModel, image: Tensor) -> None:
    for arguments, message in (
        ({"heet": 1}, "'heet' is neither an argument nor a modality; did you mean 'heat'?"),
        ({"treshold": 1}, "did you mean 'threshold'?"),
        ({"heat_factr": 1}, "did you mean 'heat_factor'?"),
        ({"heat_factor": "hot"}, "heat: 'factor'"),
    ):
        with pytest.raises(InputError) as caught:
            model.predict(image, **arguments)  # type: ignore[call-overload]
        assert message in str(caught.value)


def test_options_need_their_input(model: SceneModel, image: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    bare, full = sk.VideoFrame(image), sk.VideoFrame(image, inputs={"heat": heat(5.0)})
    for images in (image, bare, [image] * 2, [bare], iter([image])):
        with pytest.raises(InputError, match=r"^heat_factor without heat: pass heat too, .* or leave heat_factor out$"):
            warmth(model, images, heat_factor=2.0, on_error="raise")
    with pytest.raises(InputError, match=r"^heat_factor without heat"):
        model.predict(image, embers=[(3, 4, 50.0)], heat_factor=2.0)
    assert warmth(model, full, heat_factor=2.0) == 10.0
    for frames in ([bare, full, image], iter([bare, full])):
        assert warmth(model, frames, heat_factor=2.0)[1] == 10.0
    assert "a frame has heat_factor without heat" in caplog.text


def test_numbers_of_values(model: SceneModel, image: Tensor) -> None:
    for count, message in ((1, "fewer values than images"), (3, "fewer images than values")):
        with pytest.raises(InputError, match=f"heat: one for all or one an image is expected, but there are {message}"):
            model.predict([image] * 2, heat=[heat(1.0)] * count)


def test_an_unusable_value_stands_in_the_place_of_its_scene(model: SceneModel, image: Tensor) -> None:
    values = [heat(1.0), heat(1.0, HIGH)]
    first, second = model.predict([image] * 2, ["warmth"], heat=values, on_error="return", batch_size=2)
    assert isinstance(first, sk.Scene) and isinstance(second, InputError)
    assert str(second) == "image 1: heat of [64, 48] pixels"


def test_a_map_of_another_shape_names_the_plugin(
    model: SceneModel, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(HEAT, read=lambda value, options, image: torch.zeros(3))
    monkeypatch.setitem(registry().records["modality"], "heat", [(broken, Origin("thermal", "acme", "1.2"))])
    with pytest.raises(PluginError, match=r"`read` of modality 'heat' must return a map \[1, 48, 64\], got \[3\]"):
        model.predict(image, heat=1)


def test_records_that_cannot_be() -> None:
    with pytest.raises(PluginError, match="the name becomes an argument"):
        ModalitySpec("my heat", "", read_heat)
    with pytest.raises(PluginError, match="`key` belongs to 'heat'"):
        ModalitySpec("embers", "", read_embers, becomes="heat", key=DEPTH)


def test_maps_move_with_the_image() -> None:
    value = torch.arange(12.0).reshape(1, 3, 4)
    geometry = Geometry((3, 4), (1, 0, 3, 2), (2, 2), mirrored=True)
    assert moved_maps({"heat": value}, geometry)["heat"].tolist() == [[[2.0, 1.0], [6.0, 5.0]]]
    doubled = moved_maps({"heat": value}, Geometry.resize((3, 4), (6, 8)))["heat"]
    assert torch.equal(doubled, value.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_crops_of_the_input_crop_the_map() -> None:
    value = torch.arange(48.0 * 64).reshape(1, 48, 64)
    cropping = InputConfig(min_size=48, max_size=64, crop=32)
    batch = make_batch([torch.zeros(3, 48, 64, dtype=torch.uint8)], cropping, inputs=[{"heat": value}])
    assert torch.equal(batch.inputs["heat"][0], value[:, 8:40, 16:48])


def test_padding_and_absence_are_nan() -> None:
    packed = pack_maps([{"heat": torch.ones(2, 2, 3)}, {}], (4, 4))["heat"]
    assert packed.shape == (2, 2, 4, 4)
    assert packed.isnan().sum() == 64 - 12 and packed[0, :, :2, :3].eq(1).all()
    assert pack_maps([{}, {}], (4, 4)) == {}
    assert pack_maps([{"heat": torch.ones(1, 2, 3)}], (4, 4), names=()) == {}


def with_heat(number: int = 0) -> sk.Sample:
    return replace(sample(number), inputs={"heat": torch.arange(48.0 * 64).reshape(1, 48, 64)})


def test_samples_carry_it_through_transforms_and_batches() -> None:
    one = with_heat()
    flipped = moved(one, Geometry.flip(WIDE))
    assert torch.equal(flipped.inputs["heat"], one.inputs["heat"].flip(-1))
    resized = apply_all([Resize(config().input)], one, rng_for(0, 0, 0))
    assert resized.inputs["heat"].shape == (1, *resized.scene.size)
    common: dict[str, Any] = {"vocabulary": VOCABULARY, "keys": (SEMANTIC,), "config": config().input}
    batch, _ = collate([one, sample(1)], inputs=("heat",), **common)
    assert batch.inputs["heat"].shape[:2] == (2, 1) and batch.inputs["heat"][1].isnan().all()
    assert torch.equal(batch.inputs["heat"][0, :, :48, :64], one.inputs["heat"])
    assert collate([one], **common)[0].inputs == {}


class WarmthEvaluator:
    """The mean of what was predicted."""

    def __init__(self, vocabulary: Any = None) -> None:
        self.values: list[float] = []

    def update(self, sample: sk.Sample, prediction: sk.Scene) -> None:
        self.values.append(float(prediction[WARMTH]))

    def merge(self, other: Any) -> None:
        self.values += other.values

    def result(self) -> dict[str, Any]:
        return {"mean": float(np.mean(self.values))}


def with_depth() -> Iterator[sk.Sample]:
    yield sample(values={DEPTH: torch.full(WIDE, 4.0)})


def test_evaluation_takes_ground_truth_for_it(model: SceneModel, caplog: pytest.LogCaptureFixture) -> None:
    def mean(samples: Any, **more: Any) -> float:
        results = sk.evaluate(model, samples, ["warmth"], evaluators={"warmth": WarmthEvaluator}, **more)
        return float(results["warmth"]["mean"])

    assert np.isnan(mean(with_depth()))
    assert mean(with_depth(), inputs=["heat"]) == 4.0
    for inputs in ([], ["heat"]):  # what samples come with is used in any case
        assert mean([with_heat()], inputs=inputs) == pytest.approx(float(with_heat().inputs["heat"].mean()), rel=1e-4)
    assert "heat" not in caplog.text
    assert np.isnan(mean([sample()], inputs=["heat"]))
    assert "no image came with heat" in caplog.text
    for name in ("embers", "heet"):
        with pytest.raises(InputError, match=f"no ground truth stands for a modality '{name}'"):
            mean([sample()], inputs=[name])


class One:
    vocabulary = VOCABULARY

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> sk.Sample:
        return next(with_depth())


def test_data_sets_of_a_recipe_take_it() -> None:
    assert DataConfig.model_validate({"train": [{"name": "x"}], "inputs": ["heat"]}).inputs == ("heat",)
    data = with_modalities(One(), ["heat"])
    assert len(data) == 1 and data.vocabulary is VOCABULARY
    assert data[0].inputs["heat"].eq(4.0).all() and data[0].inputs["heat"].shape == (1, *WIDE)
    assert with_modalities(One(), []).__class__ is One


def test_inputs_of_another_size_are_refused(model: SceneModel) -> None:
    wrong = replace(sample(), inputs={"heat": torch.zeros(1, 3, 4)})
    with pytest.raises(InputError, match=r"input 'heat' is \[1, 3, 4\], expected \[channels, 48, 64\]"):
        sk.evaluate(model, [wrong], ["warmth"], evaluators={"warmth": WarmthEvaluator})


HOTTEST: Key[Any, Any] = Key("tests.modalities.hottest", of=sk.CLIP, doc="degrees of the warmest frame")


class Hottest(sk.Head[Tensor, Tensor]):
    """Reads what frames came with by way of a task of images."""

    def forward(self, board: Board) -> Tensor:
        return torch.stack([board[WARMTH][clip.places].max() for clip in board.images.clips or ()])

    def decode(self, raw: Tensor, board: Board) -> Tensor:
        return raw


HOTTEST_TASK = TaskSpec("hottest", "degrees", (HOTTEST,), lambda core, options: Hottest(), requires=(WARMTH,))


class HotClips:
    """One clip, whose frames come with heat."""

    vocabulary, samples = VOCABULARY, ()

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> sk.Clip:
        frames = [
            sk.VideoFrame(sample(size=WIDE).image, sk.Moment(float(n), n), inputs={"heat": heat(degrees)})
            for n, degrees in enumerate((3.0, 9.0, 5.0))
        ]
        scenes = [sk.Scene(WIDE, VOCABULARY)] * 3
        return sk.Clip(frames, scenes, VOCABULARY, events=sk.Events(torch.zeros(0, 2), sk.Captions(())))


def test_frames_of_clips_bring_their_own(plain: SceneModel) -> None:
    model = extended(plain, THERMOMETER, HOTTEST_TASK)
    clip = sk.predict_clip(model, HotClips()[0], ["warmth", "hottest"], batch_size=2)
    assert [float(scene[WARMTH]) for scene in clip.frames] == [3.0, 9.0, 5.0] and float(clip[HOTTEST]) == 9.0
    wrong = sk.VideoFrame(sample(size=WIDE).image, inputs={"heat": heat(1.0, HIGH)})
    with pytest.raises(InputError, match="frame 1: heat of"):
        sk.predict_clip(model, [HotClips()[0].frames[0], wrong], rate=1.0)


@torch.no_grad()
def test_clips_are_measured_with_what_their_frames_came_with(plain: SceneModel) -> None:
    model = extended(plain, THERMOMETER, HOTTEST_TASK)
    data: Any = HotClips()
    assert float(ClipPass(model, ClipSamples(data)[0], ["hottest"]).scene[HOTTEST]) == 9.0
