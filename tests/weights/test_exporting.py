"""Exported models: the same predictions from networks that another runtime runs, and clear errors where it cannot."""

import copy
import errno
import json
import pickle
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import scenekit as sk
from scenekit.cli.device import on_device
from scenekit.errors import InputError, PluginError, warn_once
from scenekit.hooks import Origin, Registry, RuntimeSpec
from scenekit.keys import FEATURES, KEYPOINTS, MASKS, SEMANTIC
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.quantization import LARGEST_ERROR, quantize_onnx
from scenekit.runtimes.running import ReplacedForward
from scenekit.structures.tensors import tensors_in
from scenekit.weights.exporting import ExportResult, export
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
def exported(model: sk.SceneModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportResult]:
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


def test_networks_are_whole_stages_and_heads_where_they_can_be(exported: tuple[Path, ExportResult]) -> None:
    names = set(exported[1].networks)
    assert {"stages.backbone", "stages.rpn", "heads.semantic", "heads.masks", "heads.keypoints"} <= names
    assert "stages.proposals" in exported[1].refused and "stages.proposals.objectness" in names


@pytest.mark.parametrize("size", SIZES)
def test_an_exported_model_predicts_the_same(
    model: sk.SceneModel, exported: tuple[Path, ExportResult], size: tuple[int, int]
) -> None:
    loaded = sk.load(exported[0])
    for seed in range(2):  # the first pass learns the form of the results
        assert_same(loaded.predict(image(*size, seed), threshold=0.0), model.predict(image(*size, seed), threshold=0.0))


def test_images_may_have_cameras(model: sk.SceneModel, exported: tuple[Path, ExportResult]) -> None:
    camera = sk.Camera.pinhole(focal=70.0, height=48, width=64)
    actual, expected = (each.predict(image(), threshold=0.0, camera=camera) for each in (sk.load(exported[0]), model))
    assert_same(actual, expected)


def test_its_networks_do_not_run_in_torch(exported: tuple[Path, ExportResult], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = sk.load(exported[0])
    expected = loaded.predict(image(), threshold=0.0)
    for name in exported[1].networks:
        for parameter in loaded.get_submodule(name).parameters():
            parameter.data.fill_(float("nan"))
    assert_same(loaded.predict(image(), threshold=0.0), expected)


def test_copies_run_in_the_runtime(exported: tuple[Path, ExportResult]) -> None:
    loaded = sk.load(exported[0])
    expected = loaded.predict(image(), threshold=0.0)
    for other in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        for parameter in other.stages["backbone"].parameters():
            parameter.data.fill_(float("nan"))
        assert_same(other.predict(image(), threshold=0.0), expected)


def test_operations_of_another_runtime_are_unknown(exported: tuple[Path, ExportResult]) -> None:
    ledger = sk.cost(sk.load(exported[0]), image(), tasks="semantic", repeats=1)
    assert ledger.rows["backbone"].flops is None and ledger.rows["semantic"].flops is None


def test_an_image_without_objects_runs(exported: tuple[Path, ExportResult]) -> None:
    scene = sk.load(exported[0]).predict(image(), threshold=1.0)
    assert len(scene.objects) == 0 and len(scene[MASKS]) == 0


def test_other_options_of_the_detector_keep_the_runtime(exported: tuple[Path, ExportResult]) -> None:
    loaded = sk.load(exported[0], detector_options={"box_head": {"across_classes": 0.7}})
    assert isinstance(vars(loaded.stages["backbone"])["forward"], ReplacedForward)


def test_a_size_limits_the_images_to_it(tmp_path: Path) -> None:
    model = built("masks")
    done = export(model, tmp_path, "pt2", size=(64, 96))
    assert done.networks["stages.backbone"].sizes == ((None, 3, 64, 96),)
    loaded = sk.load(tmp_path)
    assert loaded.config.input.fixed_size == (64, 96)
    assert model.config.input.fixed_size is None
    model.config = loaded.config
    expected = model.predict(image(50, 40), threshold=0.0)
    torch.testing.assert_close(loaded.predict(image(50, 40), threshold=0.0).objects.boxes, expected.objects.boxes)
    with (
        torch.no_grad(),
        pytest.raises(InputError, match=r"backbone was exported for sizes any x 3 x 64 x 96, got 1 x 3 x 64 x 64"),
    ):
        loaded(loaded.preprocess([image()]).part([0], (64, 64)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: masks(folder).unlink(), "heads.masks/network.onnx: no such file"),
        (lambda folder: masks(folder).write_bytes(b"x"), "the file is cut off"),
        (
            lambda folder: shutil.copy(folder / "networks" / "heads.semantic" / "network.onnx", masks(folder)),
            "heads.masks/network.onnx: ",
        ),
        (lambda folder: edit(folder, lambda entry: entry.update(format="acme")), "unknown runtime 'acme'"),
        (lambda folder: edit(folder, lambda entry: entry.pop("networks")), "'networks' is missing"),
        (lambda folder: edit(folder, lambda entry: entry.update(files={})), "files.*; export the model again"),
        (lambda folder: edit(folder, lambda entry: entry["networks"].update(nothing={})), "nothing"),
        (lambda folder: edit(folder, lambda entry: renamed(entry, "../../manifest.json")), "expected files within"),
        (lambda folder: edit(folder, lambda entry: entry["networks"]["heads.masks"].update(files={})), "does not list"),
    ],
)
def test_damaged_exports_are_refused(exported: tuple[Path, ExportResult], tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = Path(shutil.copytree(exported[0], tmp_path / "copy"))
    damage(folder)
    with pytest.raises(InputError, match=message):
        sk.load(folder)


def masks(folder: Path) -> Path:
    return folder / "networks" / "heads.masks" / "network.onnx"


def renamed(entry: dict[str, Any], name: str) -> None:
    files = entry["networks"]["heads.masks"]["files"]
    files[name] = files.pop("network.onnx")


def edit(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["networks"])
    path.write_text(json.dumps(manifest))


def test_a_missing_runtime_is_named(exported: tuple[Path, ExportResult], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenekit.runtimes.formats.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"format 'onnx' needs onnxruntime: pip install 'scenekit\[export\]'"):
        sk.load(exported[0])


def test_an_exported_model_cannot_be_moved_to_a_gpu(exported: tuple[Path, ExportResult]) -> None:
    with pytest.raises(InputError, match=r"run on the CPU alone.*--device cpu"):
        sk.load(exported[0], device="meta")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportResult]:
    folder = tmp_path_factory.mktemp("int8") / "model"
    return folder, export(built("masks"), folder, size=(64, 64), calibration=[image(64, 64, seed) for seed in range(3)])


def test_networks_in_int8_are_near_those_in_float(quantized: tuple[Path, ExportResult]) -> None:
    folder, done = quantized
    heads = done.networks["heads.masks"].int8
    assert heads is not None and heads.layers == heads.of > 0 and 0 < heads.error <= LARGEST_ERROR
    actual, expected = sk.load(folder).predict(image(64, 64), threshold=0.0), built("masks")
    expected.config = expected.config.model_copy(update={"input": sk.load(folder).config.input})
    wanted = expected.predict(image(64, 64), threshold=0.0)
    assert not torch.equal(actual.objects.scores[:5], wanted.objects.scores[:5])
    torch.testing.assert_close(actual.objects.scores[:5], wanted.objects.scores[:5], rtol=0.05, atol=0.02)


def test_layers_that_lose_too_much_stay_in_float(tmp_path: Path) -> None:
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
    assert found.of == 3 and found.layers == 1 and found.error <= LARGEST_ERROR
    assert path.read_bytes() != before


def test_weights_of_8_bits_are_refused_where_sums_overflow(
    quantized: tuple[Path, ExportResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(quantized[0], tmp_path / "copy"))
    edit(folder, lambda entry: entry["networks"]["heads.masks"]["int8"].update(needs_vnni=True))
    monkeypatch.setattr("scenekit.weights.exported.has_int8", lambda: False)
    with pytest.raises(InputError, match="int8 for CPUs with VNNI, which this one lacks"):
        sk.load(folder)


def test_a_format_without_int8_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format 'pt2' has no int8; use onnx"):
        export(built("masks"), tmp_path, "pt2", calibration=[image()])


def features_of(model: sk.SceneModel) -> list[torch.Tensor]:
    return list(tensors_in(model(model.preprocess([image()]), tasks=["semantic"]).board[FEATURES]))


def test_gradients_are_computed_by_torch(model: sk.SceneModel, exported: tuple[Path, ExportResult]) -> None:
    loaded = sk.load(exported[0])
    for training in (True, False):
        maps = features_of(loaded.train(training))
        assert all(each.requires_grad for each in maps)
    for own, expected in zip(maps, features_of(model), strict=True):
        assert torch.equal(own, expected)
    with torch.no_grad():
        assert not torch.equal(features_of(loaded)[0], maps[0])  # the runtime rounds in another order


def test_changed_weights_are_used(exported: tuple[Path, ExportResult], caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    loaded = sk.load(exported[0])
    with torch.no_grad():
        features_of(loaded)
        assert "weights have changed" not in caplog.text
        for parameter in loaded.stages["backbone"].parameters():
            parameter.zero_()
        assert all(float(each.abs().max()) == 0.0 for each in features_of(loaded))
    assert "torch runs exported networks whose weights have changed since; export the model again" in caplog.text
    changed = sk.load(exported[0], networks=False).state_dict()
    other = sk.load(exported[0])
    other.load_state_dict({name: torch.zeros_like(value) for name, value in changed.items()})
    with torch.no_grad():
        assert all(float(each.abs().max()) == 0.0 for each in features_of(other))


def test_an_export_is_exported_again_and_needs_no_files_for_it(
    model: sk.SceneModel, exported: tuple[Path, ExportResult], tmp_path: Path
) -> None:
    loaded = sk.load(exported[0])
    assert set(export(loaded, tmp_path / "again", "pt2").networks) >= {"stages.backbone", "heads.masks"}
    assert isinstance(vars(loaded.stages["backbone"])["forward"], ReplacedForward)
    folder = Path(shutil.copytree(exported[0], tmp_path / "copy"))
    shutil.rmtree(folder / "networks")
    assert_same(sk.load(folder, networks=False).predict(image(), threshold=0.0), model.predict(image(), threshold=0.0))


def test_auto_is_the_cpu_for_an_exported_model(
    exported: tuple[Path, ExportResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_device(sk.load(exported[0]), "auto").device.type == "cpu"
    with pytest.raises(InputError, match="--device: exported networks run on the CPU alone, got 'cuda'"):
        on_device(sk.load(exported[0]), "cuda")


def test_an_exported_model_in_float64_says_what_to_do(exported: tuple[Path, ExportResult]) -> None:
    with pytest.raises(InputError, match=r"runs in float32, got torch.float64; convert the model: .float\(\)"):
        sk.load(exported[0]).to(torch.float64).predict(image())


def test_files_of_a_network_are_all_listed_and_checked(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra `export` is not installed")
    folder = tmp_path / "model"
    done = export(built("masks"), folder, "openvino", size=(64, 64))
    assert {path.name for path in (folder / "networks").iterdir()} == set(done.networks)
    heads = done.networks["heads.masks"]
    assert set(heads.files) == {"network.xml", "network.bin"}
    weights = folder / "networks" / "heads.masks" / "network.bin"
    assert heads.size == weights.stat().st_size + weights.with_suffix(".xml").stat().st_size
    sk.load(folder).predict(image())
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(InputError, match=r"network.bin: the checksum is not that of manifest.json"):
        sk.load(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"network.bin: no such file"):
        sk.load(folder)


def test_a_full_disk_ends_no_process(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*out/networks/.*; free some space"):
            export(built("masks"), tmp_path / "out", "pt2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


class Acme:
    """A runtime that writes names, and fails for some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail: Any = None, quantized: object = None) -> None:
        self.fail, self.quantized = fail, quantized
        spec = RuntimeSpec("acme", "fails", ".acme", self.write, self.open, quantize=self.quantize)
        monkeypatch.setattr("scenekit.weights.exporting.runtime_for", lambda *asked, **also: spec)
        program = torch.export.export(nn.Identity(), (torch.ones(1),))
        monkeypatch.setattr("scenekit.weights.exporting.program_of", lambda network: program)
        monkeypatch.setattr("scenekit.weights.exporting.check_parity", lambda network, run: None)

    def write(self, program: object, path: Path) -> None:
        path.with_suffix(".weights").write_bytes(b"12345")
        if self.fail is not None:
            self.fail(path)
        path.write_bytes(b"1")

    def open(self, path: Path) -> Any:
        return None

    def quantize(self, path: Path, calls: Sequence[Sequence[torch.Tensor]]) -> Any:
        return self.quantized


def raising(error: BaseException, name: str = "") -> Any:
    def fail(path: Path) -> None:
        if name in path.parent.name:
            raise error

    return fail


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"cannot write .*out/networks/.*; free some space"),
        (KeyboardInterrupt(), None),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_left_of_an_export_that_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: str | None, exists: bool
) -> None:
    Acme(monkeypatch, raising(error, "masks"))
    if exists:
        (tmp_path / "out").mkdir()
    kind = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InputError
    with pytest.raises(kind, match=expected):
        export(built("masks"), tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out"] * exists


def test_what_a_converter_does_not_know_is_refused_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Acme(monkeypatch, raising(RuntimeError("no such operator"), "heads.masks"))
    done = export(built("masks"), tmp_path / "out")
    assert done.refused["heads.masks"] == "heads.masks: acme cannot express it (no such operator)"
    assert {path.name for path in (tmp_path / "out" / "networks").iterdir()} == set(done.networks)
    assert done.networks["stages.backbone"].size == 6


def test_a_runtime_that_breaks_its_contract_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Acme(monkeypatch, quantized={"layers": 3})
    with pytest.raises(PluginError, match=r"quantize of runtime 'acme' must return Quantized, got \{'layers': 3\}"):
        export(built("masks"), tmp_path / "out", calibration=[image()])
    acme = Acme(monkeypatch)
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: None)
    with pytest.raises(
        PluginError, match=r"write of runtime 'acme' must write the file that it is given, network.acme"
    ):
        export(built("masks"), tmp_path / "out")
    assert acme.fail is None


def test_an_image_that_cannot_be_read_is_named_before_anything_is_exported(tmp_path: Path) -> None:
    names: list[str] = []
    with pytest.raises(InputError, match=r"nowhere.png"):
        export(built("masks"), tmp_path / "out", calibration=[image(), "nowhere.png"], progress=names.append)
    assert not names and not list(tmp_path.iterdir())


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        export(built("masks"), tmp_path)


def test_modules_of_a_plugin_are_not_taken_for_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RuntimeSpec("acme", "missing", ".acme", print, str, runs_with=("acme_runtime",))  # type: ignore[arg-type]
    monkeypatch.setattr(Registry, "owner", lambda registry, record: Origin("acme", "acme-scenekit", "1.0"))
    with pytest.raises(
        InputError, match=r"needs the modules acme_runtime: install what acme of acme-scenekit 1.0 needs"
    ):
        check_installed(spec, spec.runs_with)
