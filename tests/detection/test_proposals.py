"""Sources of proposals: windows counted by hand, files, selective search, and what every source puts on the board."""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.config import Config, validated
from scenekit.data.collate import collate
from scenekit.data.transforms import RandomCrop, RandomFlip, Resize, apply_all
from scenekit.detection import DetectorConfig, TwoStageDetector
from scenekit.detection.proposals import (
    FileProposals,
    FilesConfig,
    ProposalsConfig,
    SelectiveSearch,
    SelectiveSearchConfig,
    SlidingWindowConfig,
    build_proposals,
    count_windows,
    evaluate_proposals,
    proposals_of,
    windows,
)
from scenekit.detection.proposals.cache import BoxCache
from scenekit.detection.proposals.pixels import image_pixels
from scenekit.detection.proposals.selective_search import ranking
from scenekit.errors import InputError
from scenekit.hooks import DetectorSpec, Origin, registry
from scenekit.io.images import read_image
from scenekit.keys import PROPOSALS
from scenekit.model.head import Core
from scenekit.model.preprocess import make_batch, pack
from scenekit.recipe import InputConfig, ModelConfig
from scenekit.structures import Geometry, ImageBatch, ImageOrigin, Vocabulary
from tests.tiny import SIZE, VOCABULARY, config, sample

HAS_OPENCV = importlib.util.find_spec("cv2") is not None and hasattr(importlib.import_module("cv2"), "ximgproc")
needs_opencv = pytest.mark.skipif(
    not HAS_OPENCV, reason='needs OpenCV with its extra modules: pip install "scenekit[selective-search]"'
)
INPUT = InputConfig(min_size=48, max_size=64, divisor=1)
CORE = Core(8, (4, 8, 16, 32, 64), Vocabulary(("cup",)), input=INPUT)


def core_of(images: InputConfig) -> Core:
    return replace(CORE, input=images)


def stage_of(**options: Any) -> Any:
    return build_proposals(CORE, ProposalsConfig.model_validate(options))[-1]


# Sliding windows


def test_windows_are_counted_by_hand() -> None:
    """64 x 64 every 16 pixels in 192 x 128: 1 + (192 - 64) / 16 = 9 columns of 1 + (128 - 64) / 16 = 5."""
    config = SlidingWindowConfig(scales=(64,), ratios=(1,), stride=0.25)
    boxes = windows((128, 192), config)
    assert len(boxes) == count_windows((128, 192), config) == 45
    assert boxes[0].tolist() == [0, 0, 64, 64] and boxes[1].tolist() == [16, 0, 80, 64]
    assert boxes[-1].tolist() == [128, 64, 192, 128]


def test_aspect_ratios_keep_the_area() -> None:
    """Scale 40, height / width 4: 80 high and 20 wide; half a side apart in 100 x 90: 1 + 80/10 columns, 1 row."""
    config = SlidingWindowConfig(scales=(40,), ratios=(4,), stride=0.5)
    boxes = windows((90, 100), config)
    assert len(boxes) == count_windows((90, 100), config) == 9
    assert boxes[0].tolist() == [0, 5, 20, 85], "what is left over is shared between both ends"


def test_scales_and_ratios_multiply() -> None:
    config = SlidingWindowConfig(scales=(16, 32), ratios=(0.25, 1, 4), stride=1)
    # 8 x 32, 16 x 16, 32 x 8 (height x width), then 16 x 64, 32 x 32, 64 x 16, side by side in 64 x 64
    assert count_windows((64, 64), config) == (8 * 2 + 4 * 4 + 2 * 8) + (4 * 1 + 2 * 2 + 1 * 4)


def test_a_window_larger_than_the_image_shrinks() -> None:
    config = SlidingWindowConfig(scales=(100,), ratios=(1,))
    assert windows((30, 40), config).tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize("stride", [0.1, 0.3, 1 / 3, 0.7])
def test_windows_stay_inside_whatever_rounding_does(stride: float) -> None:
    config = SlidingWindowConfig(scales=(7, 13.3), ratios=(0.3, 1), stride=stride)
    boxes = windows((41, 53), config)
    assert len(boxes) == count_windows((41, 53), config)
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 53.001 and boxes[:, 3].max() <= 41.001


def test_any_number_of_windows_is_spread() -> None:
    """Scales take turns, whatever the number of their places is, and the first places reach all corners."""
    stage = stage_of(name="sliding_window", limit_test=100, sliding_window={"scales": [8, 16], "ratios": [1]})
    images = pack([torch.zeros(3, 64, 64, dtype=torch.uint8)], INPUT)
    boxes = stage.propose(images, 100).boxes
    small = int((boxes[:, 2] - boxes[:, 0] < 12).sum())
    assert len(boxes) == 100 and small == 50
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centers.min() < 12 and centers.max() > 52


# What every source puts on the board


def check_contract(stage: Any, images: ImageBatch, limit: int | None) -> None:
    found = stage.propose(images, limit)
    for index, (height, width) in enumerate(images.sizes):
        own = found.of_image(index)
        assert limit is None or len(own) <= limit
        assert (own.scores[:-1] >= own.scores[1:]).all() and ((own.scores >= 0) & (own.scores <= 1)).all()
        assert (own.boxes[:, 2:] > own.boxes[:, :2]).all() and (own.boxes >= 0).all()
        assert (own.boxes[:, 2] <= width).all() and (own.boxes[:, 3] <= height).all()
    assert (found.image_index.diff() >= 0).all()


@pytest.fixture
def images() -> ImageBatch:
    pictures = [sample(0).image, sample(1, (30, 70)).image]
    return make_batch(pictures, INPUT).named(["a.png", "folder/b.png"])


def test_boxes_are_clipped_ranked_and_limited(images: ImageBatch) -> None:
    check_contract(stage_of(name="sliding_window"), images, 37)
    check_contract(stage_of(name="sliding_window", sliding_window={"scales": [500]}), images, None)


@needs_opencv
def test_selective_search_keeps_the_contract(images: ImageBatch) -> None:
    check_contract(stage_of(name="selective_search"), images, 20)


def test_the_limit_of_training_holds_with_targets() -> None:
    with installed():
        model = sk.build(of_source(name="sliding_window", limit_train=7, limit_test=9), VOCABULARY).eval()
    one = sample()
    batch, targets = collate([one], vocabulary=VOCABULARY, keys=(), config=model.config.input, seeds=[0])
    assert len(model(batch, targets).board[PROPOSALS]) == 7
    assert len(model(batch).board[PROPOSALS]) == 9


# A detector on top


class OnSource(Config):
    proposals: ProposalsConfig


def build_on_source(core: Core, options: OnSource) -> list[Any]:
    usual = DetectorConfig.model_validate({"box_head": {"fcs": [16], "score_threshold": 0.0, "detections": 4}})
    return [*build_proposals(core, options.proposals), TwoStageDetector(core, usual)]


class installed:  # noqa: N801
    """The detector `on_source` among those that are installed."""

    def __enter__(self) -> None:
        spec = DetectorSpec("on_source", "a box head on any source", build_on_source, OnSource)
        registry().records["detector"]["on_source"] = [(spec, Origin("on_source", "scenekit-on-source", "0.1"))]

    def __exit__(self, *_: object) -> None:
        del registry().records["detector"]["on_source"]


def of_source(**options: Any) -> ModelConfig:
    data = config(tasks=()).model_dump()
    return ModelConfig.model_validate(
        {**data, "detector": "on_source", "detector_options": {"proposals": options}, "tasks": {}}
    )


def test_a_detector_runs_on_any_source() -> None:
    torch.manual_seed(0)
    with installed():
        model = sk.build(of_source(name="sliding_window", limit_test=50), VOCABULARY).eval()
        learned = sk.build(of_source(name="rpn", limit_test=50, limit_train=60), VOCABULARY)
        unknown = of_source(name="edge_boxes")
        with pytest.raises(InputError, match=r"proposals.name.*'sliding_window', 'selective_search'.*got 'edge_boxes'"):
            sk.build(unknown, VOCABULARY)
    assert len(model.predict(sample().image, threshold=0).objects) == 4
    assert "proposals" in model.stages and "rpn" in learned.stages
    stage = learned.stages["proposals"]
    assert (stage.config.post_nms_test, stage.config.post_nms_train) == (50, 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "sliding_window", "sliding_window": {"stride": 0}}, "sliding_window.stride"),
        ({"name": "sliding_window", "sliding_window": {"scales": []}}, "sliding_window.scales"),
        ({"name": "sliding_window", "sliding_window": {"ratios": [1, -1]}}, "sliding_window.ratios"),
        ({"name": "selective_search", "selective_search": {"mode": "slow"}}, "'fast' or 'quality'"),
        ({"name": "selective_search", "selective_search": {"mod": "fast"}}, "did you mean 'mode'"),
        ({"name": "files"}, "set files.path"),
        ({"limit_test": 3}, "'name' is missing"),
        ({"name": "rpn", "limit_train": 0}, "limit_train"),
    ],
)
def test_invalid_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validated(ProposalsConfig, options, "proposals")


# Selective search


@pytest.mark.parametrize("half", [torch.float32, torch.float16])
@pytest.mark.parametrize("bgr", [False, True])
def test_normalizing_is_undone(bgr: bool, half: torch.dtype) -> None:
    options = InputConfig(min_size=48, max_size=64, bgr=bgr, mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 1 / 255))
    pictures = [sample(0).image, sample(1, (30, 64)).image]
    batch = pack(pictures, options)
    batch = batch.to("cpu", half)
    for index, picture in enumerate(pictures):
        found = image_pixels(batch, index, options)
        assert (found.int() - picture.int()).abs().max() <= (half == torch.float16)


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "which is not installed"), (SimpleNamespace(), "which the installed OpenCV lacks")],
)
def test_absent_opencv_is_reported_when_the_model_is_built(
    monkeypatch: pytest.MonkeyPatch, module: Any, message: str
) -> None:
    def absent(name: str, *rest: Any) -> Any:
        if name == "cv2" and module is None:
            raise ImportError("No module named 'cv2'")
        return module if name == "cv2" else importlib.import_module(name, *rest)

    monkeypatch.setattr(
        "scenekit.detection.proposals.selective_search.importlib", SimpleNamespace(import_module=absent)
    )
    with pytest.raises(InputError, match=message) as caught:
        build_proposals(CORE, ProposalsConfig(name="selective_search"))
    assert 'pip install "scenekit[selective-search]"' in str(caught.value)


def blocks() -> torch.Tensor:
    """A red square on green, and a blue bar."""
    image = torch.full((3, 80, 120), 40, dtype=torch.uint8)
    image[1] = 200
    image[:, 20:60, 20:60] = torch.tensor([220, 20, 20], dtype=torch.uint8)[:, None, None]
    image[:, 10:70, 90:100] = torch.tensor([10, 10, 230], dtype=torch.uint8)[:, None, None]
    return image


@needs_opencv
@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_selective_search_finds_what_stands_out(mode: str) -> None:
    source = SelectiveSearch(SelectiveSearchConfig(mode=mode), InputConfig())
    found = source(pack([blocks()], InputConfig()), 0)
    for box in ([20, 20, 60, 60], [90, 10, 100, 70]):
        assert (found.boxes - torch.tensor(box)).abs().amax(dim=1).min() <= 2


@needs_opencv
def test_selective_search_is_the_same_each_time() -> None:
    noise = torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = pack([noise], InputConfig())
    first, second = (SelectiveSearch(SelectiveSearchConfig(), InputConfig())(batch, 0) for _ in range(2))
    assert len(first.boxes) > 5 and torch.equal(first.boxes, second.boxes)
    assert first.scores[0] == 1 and first.scores[-1] == pytest.approx(1 / len(first.boxes))


@needs_opencv
def test_wide_images_are_searched_smaller() -> None:
    batch = pack([blocks().repeat_interleave(2, 1).repeat_interleave(2, 2)], InputConfig())
    source = SelectiveSearch(SelectiveSearchConfig(max_width=120, min_side=9), InputConfig())
    found = source(batch, 0)
    assert (found.boxes - torch.tensor([40.0, 40, 120, 120])).abs().amax(dim=1).min() <= 4
    assert (found.boxes[:, 2:] - found.boxes[:, :2]).min() >= 9 and found.boxes.max() <= 240


def test_the_ranking_does_not_depend_on_the_order() -> None:
    draw = np.random.default_rng(0)
    boxes = np.unique(draw.integers(1, 60, (200, 4)), axis=0)
    first = ranking(boxes)
    assert np.array_equal(first, ranking(draw.permutation(boxes)))
    areas = (first[:, 2:] - first[:, :2]).prod(axis=1)
    assert areas[:20].mean() > 1.5 * areas[-100:].mean(), "large boxes tend to come early"


def test_the_cache_computes_once(tmp_path: Path) -> None:
    calls: list[str] = []

    def compute() -> np.ndarray:
        calls.append("computed")
        return np.array([[0, 0, 5, 6]], dtype=np.float32)

    for cache in (BoxCache(), BoxCache(tmp_path / "a"), BoxCache(tmp_path / "a")):
        for _ in range(2):
            assert cache.get("0123", compute).tolist() == [[0, 0, 5, 6]]
    assert len(calls) == 2, "once in memory, once for both that share the folder"
    assert [path.name for path in (tmp_path / "a").rglob("*.npy")] == ["0123.npy"]


def test_the_memory_of_the_cache_is_bounded() -> None:
    cache = BoxCache(remembered=2)
    for name in ("a", "b", "a", "c"):
        cache.get(name, lambda: np.zeros((1, 4), dtype=np.float32))
    assert list(cache._latest) == ["a", "c"]


def test_a_broken_cache_file_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    broken = tmp_path / "01" / "0123.npy"
    for content in (b"", b"half of a file", b"\x93NUMPY\x01\x00"):
        broken.write_bytes(content)
        assert BoxCache(tmp_path).get("0123", lambda: np.ones((2, 4))).shape == (2, 4)
        assert np.load(broken).shape == (2, 4)


def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        BoxCache(tmp_path / "file" / "cache")


# Files


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], FileProposals]:
    def written(entries: Any, **options: Any) -> FileProposals:
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(entries))
        return FileProposals(FilesConfig(path=str(path), **options))

    return written


def entry(box: list[float], score: float = 0.5, **image: Any) -> dict[str, Any]:
    return {**(image or {"image_id": 0}), "bbox": box, "score": score}


def test_boxes_of_a_file_move_with_the_image(write: Any) -> None:
    """Cropped, doubled and flipped as the ground truth, which has the same box."""
    one = sample()
    x0, y0, x1, y1 = one.scene.objects.boxes[0].tolist()
    source = write([entry([x0, y0, x1 - x0, y1 - y0])])
    steps = [RandomCrop(1.0, 0.7), Resize(InputConfig(min_size=90, max_size=140)), RandomFlip(1.0)]
    for seed in range(5):
        plain = replace(one, scene=replace(one.scene, values={}, valid={}))
        moved = apply_all(steps, plain, random.Random(seed))
        batch, _ = collate([moved], vocabulary=VOCABULARY, keys=(), config=InputConfig(), seeds=[0])
        height, width = batch.sizes[0]
        found = source(batch, 0).boxes.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
        assert torch.allclose(found, moved.scene.objects.boxes[:1], atol=1e-3)


def test_predict_finds_images_by_file(write: Any, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "street.png"
    Image.fromarray(sample().image.permute(1, 2, 0).numpy()).save(path)
    write([entry([6, 8, 20, 32], 0.9, file_name="street.png"), entry([0, 0, 9, 9], 0.1, file_name="street.png")])
    with installed():
        model = sk.build(of_source(name="files", files={"path": str(tmp_path / "boxes.json")}), VOCABULARY).eval()
    boxes = proposed(model, lambda: model.predict(path))
    scale = torch.tensor([85 / 64, 64 / 48] * 2)  # 64 x 48 pixels become 85 x 64
    assert torch.allclose(boxes, torch.tensor([[6.0, 8, 26, 40], [0, 0, 9, 9]]) * scale, atol=1e-3)
    with pytest.raises(InputError, match="no proposals for an image without a name"):
        model.predict(read_image(path))
    one = replace(sample(), scene=replace(sample().scene, path=str(path)))
    with installed():
        again = proposed(model, lambda: sk.evaluate(model, [one]))
    assert torch.equal(again, boxes)


def proposed(model: Any, run: Callable[[], Any]) -> torch.Tensor:
    """The proposals of the last pass of a run."""
    seen: list[torch.Tensor] = []
    stage = model.stages["proposals"]
    own = stage.propose
    stage.propose = lambda *parts: seen.append((made := own(*parts)).boxes) or made
    run()
    del stage.propose
    return seen[-1]


def in_batch(id: int | None = 0, path: str | None = None) -> ImageBatch:
    batch = pack([torch.zeros(3, *SIZE, dtype=torch.uint8)], INPUT)
    return replace(batch, origins=(ImageOrigin(Geometry.identity(SIZE), id, path),))


@pytest.mark.parametrize(
    ("batch", "entries", "message"),
    [
        (in_batch(4, "x/y.png"), [entry([0, 0, 5, 5])], r"no proposals for image \(id 4, x/y.png\)"),
        (in_batch(0), [], r"no proposals for image \(id 0\)"),
        (
            in_batch(0),
            [entry([0, 0, 5, 5]), entry([64, 0, 5, 5])],
            r"entry 1: the box .* 64, 0, 69, 5 is outside image",
        ),
        (in_batch(0), [entry([-9, 0, 5, 5])], "outside image"),
        (replace(in_batch(0), origins=None), [entry([0, 0, 5, 5])], "have no names to look up"),
    ],
)
def test_images_that_a_file_does_not_suit(write: Any, batch: ImageBatch, entries: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        write(entries)(batch, 0)
    assert "boxes.json" in str(caught.value)


def test_missing_images_may_be_empty(write: Any) -> None:
    assert len(write([], missing="empty")(in_batch(0), 0).boxes) == 0


def test_a_missing_file_is_reported_when_the_model_is_built(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        stage_of(name="files", files={"path": str(tmp_path / "none.json")})


# How good they are


def test_the_recall_of_a_model_and_of_a_source() -> None:
    samples = [sample(number) for number in range(2)]
    windows = ProposalsConfig.model_validate(
        {"name": "sliding_window", "sliding_window": {"scales": [16, 24], "stride": 0.1}}
    )
    assert evaluate_proposals(windows, samples)["R50@1000"] == 1.0
    model = sk.build(config(tasks=()), VOCABULARY).eval()
    (_, found), *_ = proposals_of(model, samples)
    assert 0 < len(found.boxes) <= 8 and (found.boxes[:, 2] <= SIZE[1] + 1e-3).all(), "in pixels of the image"
    assert set(evaluate_proposals(model, samples, limit=1)) >= {"AR100", "AR300", "AR1000", "curves"}


def test_exact_boxes_have_full_recall(tmp_path: Path) -> None:
    samples = [sample(number) for number in range(2)]
    entries = [
        entry([x0, y0, x1 - x0, y1 - y0], image_id=one.id)
        for one in samples
        for x0, y0, x1, y1 in one.scene.objects.boxes.tolist()
    ]
    (tmp_path / "exact.json").write_text(json.dumps(entries))
    exact = ProposalsConfig.model_validate({"name": "files", "files": {"path": str(tmp_path / "exact.json")}})
    assert evaluate_proposals(exact, samples)["AR100"] == pytest.approx(1.0)


def test_what_has_no_proposals_is_reported() -> None:
    with pytest.raises(InputError, match="'rpn' need the weights of a model"):
        next(proposals_of(ProposalsConfig(name="rpn"), [sample()]))
    from tests.model import one_stage

    with one_stage.installed():
        data = config(tasks=()).model_dump()
        model = sk.build(ModelConfig.model_validate({**data, "detector": "grid", "detector_options": {}}), VOCABULARY)
    with pytest.raises(InputError, match=r"no proposals \(its detector is 'grid'\)"):
        evaluate_proposals(model, [sample()])
