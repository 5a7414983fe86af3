"""Compare runtimes on the same weights: `python benchmarks/runtimes.py [--parts maskrcnn small]`.

`maskrcnn`: Mask R-CNN R50-FPN with the weights of `peers.py`, one image of 800 x 1066: scenekit in torch, with
torch.compile, in ONNX Runtime, OpenVINO and int8 (ONNX Runtime), and torchvision. `small`: the shipped model with all
tasks on held-out synthetic scenes, from memory to the Scene, in torch, ONNX Runtime and int8, and its boxes and masks
alone.

Times are medians of alternating runs, after two to warm up. It takes about a quarter of an hour on two cores, most of
it for the exports.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import Row, Run, interleaved, machine, milliseconds

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.runtimes.quantization import has_int8
from scenekit.weights.exporting import export

CPU = torch.device("cpu")
FORMATS: Mapping[str, tuple[str, bool]] = {
    "ONNX Runtime": ("onnx", False),
    "OpenVINO": ("openvino", False),
    "int8": ("onnx", True),
}
"""Format, and whether it is in int8."""


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=20, help="images for the part `small`")
    parser.add_argument("--out", type=Path, help="file of the results; by default they are only printed")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: dict[str, Any] = {}
    print(f"{'measured':44} {'value':>9} {'against':>9}      {'ratio':>6} {'target':>6}")
    for name in arguments.parts:
        for row in PARTS[name](arguments):
            rows[row.measured] = row.to_json()
            numbers = f"{row.value:9.1f} {row.reference:9.1f} {row.unit:4} {row.ratio:6.3f} {row.target:6.2f}"
            print(f"{row.measured:44} {numbers}  {'met' if row.met else 'MISSED'}", flush=True)
    if arguments.out is None:
        return
    result = {**machine(CPU), "int8 instructions": has_int8(), "comparisons": rows}
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())


def maskrcnn(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield rows of Mask R-CNN against torchvision's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers.write_twins(folder)
        runs: dict[str, Run] = {whose: peers.inference(whose, folder, CPU, 1) for whose in ("ours", "theirs")}
        images = [peers.image(seed) for seed in range(2)]
        runs["torch.compile"] = partial(predict, compiled(str(folder / "ours.safetensors")), images[0], 0.0)
        for runtime in FORMATS:
            model = exported(str(folder / "ours.safetensors"), folder / runtime, runtime, images, peers.SIZE)
            runs[runtime] = partial(predict, model, images[0], 0.0)
        seconds = interleaved(runs, arguments.repeats, CPU, warm_up=2)
        theirs = milliseconds(seconds["theirs"])
        targets = {"ours": 0.85, "torch.compile": 0.85, "ONNX Runtime": 0.55, "OpenVINO": 0.55, "int8": 0.30}
        for name, target in targets.items():
            title = "torch" if name == "ours" else name
            yield Row(f"Mask R-CNN in {title} to torchvision", milliseconds(seconds[name]), theirs, "ms", target)


def small(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield rows of `small`: runtimes against torch, all tasks against boxes and masks."""
    train, test = sk.dataset("synthetic", "train"), sk.dataset("synthetic", "test")
    joint = sk.load("small")
    with tempfile.TemporaryDirectory() as name:
        models = {"torch": joint}
        for runtime in ("ONNX Runtime", "int8"):
            models[runtime] = exported(
                "small", Path(name) / runtime, runtime, [train[i].image for i in range(24)], None
            )
        seconds: dict[str, list[float]] = {}
        for index in range(arguments.images):
            image = test[index].image
            runs: dict[str, Run] = {key: partial(predict, model, image, 0.5) for key, model in models.items()}
            runs["boxes and masks"] = partial(predict, joint, image, 0.5, ["masks"])
            for key, values in interleaved(runs, 1, CPU, warm_up=2 if index == 0 else 0).items():
                seconds.setdefault(key, []).extend(values)
    ms = {key: milliseconds(values) for key, values in seconds.items()}
    yield Row("small, all tasks to boxes and masks", ms["torch"], ms["boxes and masks"], "ms", 1.75)
    for runtime in ("ONNX Runtime", "int8"):
        yield Row(f"small, all tasks in {runtime} to torch", ms[runtime], ms["torch"], "ms", 0.6)


def compiled(source: str) -> sk.SceneModel:
    """Load a model and compile its stages of fixed shapes, with weights as constants."""
    torch._inductor.config.freezing = True  # as TORCHINDUCTOR_FREEZING=1
    model = sk.load(source)
    model.compile()
    return model


def exported(
    source: str, folder: Path, runtime: str, images: list[torch.Tensor], size: tuple[int, int] | None
) -> sk.SceneModel:
    """Export a model and load it."""
    format, int8 = FORMATS[runtime]
    export(sk.load(source), folder, format, size, images if int8 else ())
    return sk.load(folder)


@torch.inference_mode()
def predict(
    model: sk.SceneModel, image: torch.Tensor, threshold: float, tasks: list[str] | None = None
) -> list[sk.Scene]:
    """Predict the scene of an image in memory."""
    return model.scenes(model(model.preprocess([image]), tasks=tasks, threshold=threshold), tasks, threshold=threshold)


PARTS = {"maskrcnn": maskrcnn, "small": small}

if __name__ == "__main__":
    main()
