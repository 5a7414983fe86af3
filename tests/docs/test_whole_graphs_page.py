"""The program on the page of whole graphs: what it feeds to a graph, and how it resizes images."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.io.images import read_image
from scenekit.model.preprocess import resize
from scenekit.structures.cameras import Camera

SIZE = (30, 40)


def program(repository: Path) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / "whole_graphs.md").read_text(), re.DOTALL)
    (block,) = (str(block) for block in blocks if "InferenceSession" in block)
    return block


class Session:
    """A graph with one object, which keeps what is fed to it."""

    fed: dict[str, np.ndarray[Any, Any]]

    def __init__(self, path: str) -> None:
        assert path == "out/whole.onnx"

    def run(self, names: list[str], inputs: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        type(self).fed = inputs
        values = {"valid": [True, False], "labels": [1, 0], "scores": [0.75, 0.0], "boxes": [[1.0, 2, 3, 4], [0] * 4]}
        return [np.array(values[name]) for name in names]


@pytest.mark.parametrize("inputs", [["pixels"], ["pixels", "camera"]])
def test_it_feeds_what_the_graph_reads(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    inputs: list[str],
) -> None:
    outputs = ["boxes", "scores", "labels", "valid"]
    about = {"size": SIZE, "inputs": dict.fromkeys(inputs), "outputs": dict.fromkeys(outputs)}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "whole.json").write_text(json.dumps({**about, "vocabulary": {"things": ["cup", "person"]}}))
    photo = tmp_path / "street.jpg"
    Image.effect_noise((100, 75), 90).convert("RGB").save(photo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    exec(program(repository), {})
    assert capsys.readouterr().out == "person 0.75 [1. 2. 3. 4.]\n"
    assert list(Session.fed) == inputs
    resized = resize(torch.as_tensor(read_image(photo)), SIZE).float()[None] / 255
    torch.testing.assert_close(torch.from_numpy(Session.fed["pixels"]), resized, rtol=0, atol=1.01 / 255)
    if "camera" in inputs:
        torch.testing.assert_close(torch.from_numpy(Session.fed["camera"]), Camera.default(*SIZE).matrix[None])


@pytest.mark.parametrize("resampling", ["antialiased", "bicubic"])
def test_pillow_resizes_as_predict_does(resampling: str) -> None:
    image = Image.effect_noise((100, 75), 90).convert("RGB")
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    method = Image.Resampling.BICUBIC if resampling == "bicubic" else Image.Resampling.BILINEAR
    own = torch.from_numpy(np.array(image.resize(SIZE[::-1], method))).permute(2, 0, 1)
    torch.testing.assert_close(own.float(), resize(pixels, SIZE, resampling).float(), rtol=0, atol=1.01)
