"""One ONNX file holds the model: numpy and ONNX Runtime, or a C++ program, need nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError
from scenekit.runtimes.whole import WholeGraph, export_whole, write_whole
from scenekit.structures.cameras import Camera
from tests.docs.test_whole_graphs_page import program
from tests.runtimes.whole_model import SIZE, build, picture

pytestmark = pytest.mark.slow

RUN = """
import json, sys
import numpy as np, onnxruntime
folder = sys.argv[1]
about = json.load(open(f"{folder}/whole.json"))
given = dict(np.load(f"{folder}/given.npz"))
session = onnxruntime.InferenceSession(f"{folder}/whole.onnx", providers=["CPUExecutionProvider"])
assert [entry.name for entry in session.get_inputs()] == list(about["inputs"])
found = dict(zip(about["outputs"], session.run(list(about["outputs"]), given)))
np.savez(f"{folder}/found.npz", **found)
assert not {"torch", "scenekit"} & set(sys.modules)
"""
"""A program without packages of ours."""


@pytest.fixture(scope="module")
def graph() -> WholeGraph:
    return export_whole(build(), SIZE, detections=12)


@pytest.fixture(scope="module")
def folder(graph: WholeGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"the extra `export` is not installed: no {package}")
    made = tmp_path_factory.mktemp("whole")
    write_whole(graph, made)
    return made


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    return {"pixels": picture(5)[None] / 255, "camera": Camera.pinhole(80.0, *SIZE).matrix[None]}


@pytest.fixture(scope="module")
def wanted(graph: WholeGraph, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        values: dict[str, Tensor] = graph.program.module()(*inputs.values())
    return values


def test_the_program_computes_what_the_model_computes(graph: WholeGraph) -> None:
    with torch.no_grad():
        found = graph.program.module()(*graph.inputs.values())
    assert list(found) == list(graph.outputs) and dict(graph.left_out).keys() == {"panoptic"}
    for name, value in graph.outputs.items():
        torch.testing.assert_close(found[name], value, equal_nan=True)


def test_numpy_and_onnx_runtime_are_enough(folder: Path, inputs: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    np.savez(folder / "given.npz", **{name: value.numpy() for name, value in inputs.items()})  # type: ignore[arg-type]
    subprocess.run([sys.executable, "-c", RUN, str(folder)], check=True)
    found, valid = np.load(folder / "found.npz"), wanted["valid"]
    assert int(valid.sum()) > 0 and set(found.files) == set(wanted)
    for name, value in wanted.items():
        own = torch.from_numpy(found[name])
        rows = valid if len(value) == len(valid) else slice(None)
        largest = float(value[rows].double().nan_to_num(0).abs().max())
        torch.testing.assert_close(own[rows], value[rows], rtol=0, atol=1e-3 * largest, equal_nan=True)


def test_the_program_of_the_page_runs(folder: Path, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(folder)
    Image.fromarray(picture(5).permute(1, 2, 0).numpy()).save(tmp_path / "street.jpg")
    code = [program(repository), "import sys; assert not {'torch', 'scenekit'} & set(sys.modules)"]
    lines = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert {line.split()[0] for line in lines.splitlines() if line[0].isalpha()} <= {"cup", "person"} and lines


def test_a_file_in_place_of_the_folder_is_named(graph: WholeGraph, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/out: Not a directory"):
        write_whole(graph, tmp_path / "file" / "out")


def test_what_comes_out_is_described(folder: Path, graph: WholeGraph) -> None:
    about = json.loads((folder / "whole.json").read_text())
    assert about["size"] == list(SIZE) and about["left_out"] == {"panoptic": "it has no form with fixed shapes"}
    assert about["outputs"]["masks"] == {
        "shape": [12, 14, 14],
        "dtype": "float32",
        "doc": "probabilities in the box frame [N M M]",
    }
    assert about["vocabulary"]["things"] == ["cup", "person"]
    assert about["resizing"] == {
        "resampling": "antialiased",
        "doc": "bilinear with antialiasing, as Pillow's BILINEAR",
        "min_size": 64,
        "max_size": 96,
        "fixed_size": None,
        "crop": None,
    }


def test_packages_that_are_missing_are_named(
    graph: WholeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"format 'onnx' needs onnx: pip install 'scenekit\[export\]'"):
        write_whole(graph, tmp_path)


def test_a_c_plus_plus_program_runs_it(
    folder: Path, tmp_path: Path, repository: Path, wanted: dict[str, Tensor]
) -> None:
    """Needs a compiler, and ONNX Runtime's headers and library: those of its release, named in ONNXRUNTIME_ROOT."""
    compiler, root = shutil.which("c++") or shutil.which("g++"), Path(os.environ.get("ONNXRUNTIME_ROOT", "/usr"))
    library = next(iter(sorted((root / "lib").glob("libonnxruntime.so*"))), None)
    header = next(iter(sorted((root / "include").rglob("onnxruntime_c_api.h"))), None)
    if compiler is None or library is None or header is None:
        pytest.skip(f"no compiler, or no header and library of ONNX Runtime in {root} (set ONNXRUNTIME_ROOT)")
    source, program, image = repository / "examples" / "whole_graph.cpp", tmp_path / "whole_graph", tmp_path / "a.ppm"
    command = [compiler, "-std=c++17", str(source), "-I", str(header.parent), str(library)]
    subprocess.run([*command, f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)
    pixels = picture(5).permute(1, 2, 0).contiguous().numpy()
    image.write_bytes(b"P6\n# made by hand\n%d %d\n255\n" % (SIZE[1], SIZE[0]) + pixels.tobytes())
    found = subprocess.run([program, folder / "whole.onnx", image], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in found.splitlines()]
    assert len(rows) == int(wanted["valid"].sum())
    scores = torch.tensor([float(row[1]) for row in rows])
    torch.testing.assert_close(scores, wanted["scores"][: len(rows)], rtol=0, atol=1e-3)
    broken = subprocess.run([program, folder / "whole.onnx", tmp_path / "none"], capture_output=True, text=True)
    assert broken.returncode == 2 and "expected a binary PPM" in broken.stderr
