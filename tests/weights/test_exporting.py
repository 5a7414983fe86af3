"""Exported models: the same predictions from networks that another runtime runs, and clear errors where it cannot."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import scenekit as sk
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, SEMANTIC
from scenekit.runtimes.quantization import TOLERANCE, quantize_onnx
from scenekit.runtimes.running import RunNetwork
from scenekit.weights.exporting import Export, export
from tests.training import toy

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="the extra `export` is not installed")

toy.register()
SIZES = [(48, 64), (64, 48), (50, 50)]


def built(*tasks: str) -> sk.SceneModel:
    whole = toy.recipe(steps=1).model.model_dump(mode="json")
    whole["tasks"] = {name: whole["tasks"][name] for name in tasks}
    torch.manual_seed(0)
    return sk.build(sk.ModelConfig.model_validate(whole), toy.VOCABULARY).eval()


@pytest.fixture(scope="module")
def model() -> sk.SceneModel:
    return built("semantic", "masks", "keypoints")


@pytest.fixture(scope="module")
def exported(model: sk.SceneModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Export]:
    folder = tmp_path_factory.mktemp("export") / "model"
    return folder, export(model, folder)


def image(height: int = 48, width: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand((3, height, width), generator=torch.Generator().manual_seed(seed))


def assert_same(actual: sk.Scene, expected: sk.Scene) -> None:
    assert len(actual.objects) == len(expected.objects) > 0
    torch.testing.assert_close(actual.objects.boxes, expected.objects.boxes, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(actual.objects.scores, expected.objects.scores, rtol=1e-3, atol=1e-5)
    rows = expected.rows_with(KEYPOINTS)
    torch.testing.assert_close(actual[KEYPOINTS].xy[rows], expected[KEYPOINTS].xy[rows], rtol=1e-3, atol=1e-2)
    assert (actual[SEMANTIC] == expected[SEMANTIC]).float().mean() > 0.999
    assert (actual[MASKS].dense == expected[MASKS].dense).float().mean() > 0.999


def test_networks_are_whole_stages_and_heads_where_they_can_be(exported: tuple[Path, Export]) -> None:
    names = set(exported[1].networks)
    assert {"stages.backbone", "stages.rpn", "heads.semantic", "heads.masks", "heads.keypoints"} <= names
    assert "stages.proposals" in exported[1].refused and "stages.proposals.objectness" in names


@pytest.mark.parametrize("size", SIZES)
def test_an_exported_model_predicts_the_same(
    model: sk.SceneModel, exported: tuple[Path, Export], size: tuple[int, int]
) -> None:
    loaded = sk.load(exported[0])
    for seed in range(2):  # the first pass learns the form of the results
        assert_same(loaded.predict(image(*size, seed), threshold=0.0), model.predict(image(*size, seed), threshold=0.0))


def test_images_may_have_cameras(model: sk.SceneModel, exported: tuple[Path, Export]) -> None:
    camera = sk.Camera.pinhole(focal=70.0, height=48, width=64)
    actual, expected = (each.predict(image(), threshold=0.0, camera=camera) for each in (sk.load(exported[0]), model))
    assert_same(actual, expected)


def test_its_networks_do_not_run_in_torch(exported: tuple[Path, Export], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = sk.load(exported[0])
    expected = loaded.predict(image(), threshold=0.0)
    for name in exported[1].networks:
        for parameter in loaded.get_submodule(name).parameters():
            parameter.data.fill_(float("nan"))
    assert_same(loaded.predict(image(), threshold=0.0), expected)


def test_an_image_without_objects_runs(exported: tuple[Path, Export]) -> None:
    scene = sk.load(exported[0]).predict(image(), threshold=1.0)
    assert len(scene.objects) == 0 and len(scene[MASKS]) == 0


def test_other_options_of_the_detector_keep_the_runtime(exported: tuple[Path, Export]) -> None:
    loaded = sk.load(exported[0], detector_options={"box_head": {"across_classes": 0.7}})
    assert isinstance(vars(loaded.stages["backbone"])["forward"], RunNetwork)


def test_a_size_limits_the_images_to_it(tmp_path: Path) -> None:
    model = built("masks")
    done = export(model, tmp_path, "pt2", size=(64, 96))
    assert done.networks["stages.backbone"].sizes == ((None, 3, 64, 96),)
    loaded = sk.load(tmp_path)
    assert loaded.config.input.fixed_size == (64, 96)
    expected = model.predict(image(50, 40), threshold=0.0)
    torch.testing.assert_close(loaded.predict(image(50, 40), threshold=0.0).objects.boxes, expected.objects.boxes)
    with pytest.raises(InputError, match=r"backbone was exported for sizes any x 3 x 64 x 96, got 1 x 3 x 64 x 64"):
        loaded(loaded.preprocess([image()]).part([0], (64, 64)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "networks" / "heads.masks.onnx").unlink(), "heads.masks.onnx: no such file"),
        (lambda folder: (folder / "networks" / "heads.masks.onnx").write_bytes(b"x"), "the file is cut off"),
        (
            lambda folder: shutil.copy(
                folder / "networks" / "heads.semantic.onnx", folder / "networks" / "heads.masks.onnx"
            ),
            "heads.masks.onnx: ",
        ),
        (lambda folder: edit(folder, lambda entry: entry.update(format="acme")), "unknown runtime 'acme'"),
        (lambda folder: edit(folder, lambda entry: entry.pop("files")), "'files' is missing"),
        (lambda folder: edit(folder, lambda entry: entry["files"].update(nothing={})), "nothing"),
        (
            lambda folder: edit(folder, lambda entry: entry["files"]["heads.masks"].update(file="../manifest.json")),
            "networks/manifest.json: no such file",
        ),
    ],
)
def test_damaged_exports_are_refused(exported: tuple[Path, Export], tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = Path(shutil.copytree(exported[0], tmp_path / "copy"))
    damage(folder)
    with pytest.raises(InputError, match=message):
        sk.load(folder)


def edit(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["networks"])
    path.write_text(json.dumps(manifest))


def test_a_missing_runtime_is_named(exported: tuple[Path, Export], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenekit.runtimes.formats.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"format 'onnx' needs onnxruntime: pip install 'scenekit\[export\]'"):
        sk.load(exported[0])


def test_an_exported_model_cannot_be_moved_to_a_gpu(exported: tuple[Path, Export]) -> None:
    with pytest.raises(InputError, match=r"run on the CPU alone.*--device cpu"):
        sk.load(exported[0], device="meta")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Export]:
    folder = tmp_path_factory.mktemp("int8") / "model"
    return folder, export(built("masks"), folder, size=(64, 64), calibration=[image(64, 64, seed) for seed in range(3)])


def test_networks_in_int8_are_near_those_in_float(quantized: tuple[Path, Export]) -> None:
    folder, done = quantized
    heads = done.networks["heads.masks"].int8
    assert heads is not None and heads.layers == heads.of > 0 and 0 < heads.error <= TOLERANCE
    actual, expected = sk.load(folder).predict(image(64, 64), threshold=0.0), built("masks")
    expected.config = expected.config.model_copy(update={"input": sk.load(folder).config.input})
    wanted = expected.predict(image(64, 64), threshold=0.0)
    assert not torch.equal(actual.objects.scores[:5], wanted.objects.scores[:5])
    torch.testing.assert_close(actual.objects.scores[:5], wanted.objects.scores[:5], rtol=0.05, atol=0.02)


def test_layers_that_lose_too_much_stay_in_float(
    tmp_path: Path,
) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        for layer in (net[0], net[2], net[4]):
            layer.weight.abs_()
            layer.bias.zero_()
        net[2].weight[0] *= 1e4  # its range leaves nothing of the other channels
        net[4].weight[:, 0] = 0.0
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (torch.rand(1, 3, 4, 4),), path, dynamo=True, verbose=False)
    before = path.read_bytes()
    found = quantize_onnx(path, [(torch.rand(1, 3, 4, 4),) for _ in range(3)])
    assert found.of == 3 and found.layers == 1 and found.error <= TOLERANCE
    assert path.read_bytes() != before


def test_weights_of_8_bits_are_refused_where_sums_overflow(
    quantized: tuple[Path, Export], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(quantized[0], tmp_path / "copy"))
    edit(folder, lambda entry: entry["files"]["heads.masks"]["int8"].update(full_range=True))
    monkeypatch.setattr("scenekit.weights.networks.has_int8", lambda: False)
    with pytest.raises(InputError, match="int8 for CPUs with VNNI, which this one lacks"):
        sk.load(folder)


def test_a_format_without_int8_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format 'pt2' has no int8; use onnx"):
        export(built("masks"), tmp_path, "pt2", calibration=[image()])
