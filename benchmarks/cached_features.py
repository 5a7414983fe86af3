"""Measure what a cache of a frozen trunk's features would save: `python benchmarks/cached_features.py`.

Training steps of one new head on one image, with trunk and detector frozen, and reads of the same features from a
safetensors file of float16: medians of processor time, on one thread. The file is in memory: a disk adds to its time.
Loading and augmenting images is left out, so the share of the trunk is an upper bound.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import torch
from measuring import machine
from safetensors.torch import load_file, save_file

import scenekit as sk
from scenekit.data.loader import Shard, Source, training_batches
from scenekit.data.transforms import augmentations
from scenekit.io.files import write_atomically
from scenekit.recipe import AugmentConfig, ModelConfig
from scenekit.training.freezing import freeze_except

OUT = Path(__file__).parent / "results" / "cached_features.json"
RESNET = {"name": "resnet50", "weights": None, "options": {"norm": "frozen"}}
TRUNKS: dict[str, dict[str, Any]] = {
    "trunk of small": {},
    "ResNet-50 at 512 x 640": {"input": {"fixed_size": (512, 640)}, "backbone": RESNET, "pyramid": {"channels": 256}},
}


def main() -> None:
    """Measure and write the numbers."""
    torch.set_num_threads(1)
    rows = {f"{t} on {name}": measured(t, more) for name, more in TRUNKS.items() for t in ("attributes", "masks")}
    results = {"machine": machine(torch.device("cpu")), "per_image": rows}
    write_atomically(OUT, (json.dumps(results, indent=2) + "\n").encode())


def measured(task: str, changes: dict[str, Any]) -> dict[str, float]:
    """Return milliseconds of a step, of the trunk in it, and of a read, for `small` with one task and these changes."""
    small = sk.load("small")
    config = small.config.model_dump(mode="json") | changes | {"tasks": {task: small.config.tasks[task]}}
    model = sk.build(ModelConfig.model_validate(config), small.vocabulary).train()
    sk.transfer(small, model)
    freeze_except(model, [task])
    images = augmentations(AugmentConfig(flip=0.0), model.config.input)
    sources = [Source(sk.dataset("synthetic", split="train", length=1), "synthetic", 1.0)]
    batches = training_batches(sources, model=model, transforms=images, batch_size=1, seed=0, shard=Shard(0, 1))
    batch, targets = next(batches)
    optimizer = torch.optim.AdamW(model.heads[task].parameters())
    maps = model(batch, targets, tasks=[task]).board[sk.FEATURES].maps
    marks: list[float] = []  # of each repeat: begin of the step, of the trunk, end of both, end of the read
    model.stages["backbone"].register_forward_pre_hook(lambda *_: marks.append(process_time()))
    model.stages["backbone"].register_forward_hook(lambda *_: marks.append(process_time()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.safetensors"
        save_file({str(number): level.half().contiguous() for number, level in enumerate(maps)}, file)
        for _ in range(4):
            marks.append(process_time())
            losses = model(batch, targets, tasks=[task]).losses
            torch.stack([loss for name, loss in losses.items() if name.startswith(task)]).sum().backward()
            optimizer.step()
            marks.append(process_time())
            _ = [level.float() for level in load_file(file).values()]
            marks.append(process_time())
    times = torch.tensor(marks).view(-1, 5).diff(dim=1)[1:]  # the first repeat does not count
    before, trunk, after, read = (1000 * times).median(dim=0).values.tolist()
    step = before + trunk + after
    row = {"step_ms": step, "trunk_ms": trunk, "read_ms": read, "trunk_share": trunk / step}
    row |= {"speedup_at_most": step / (before + read + after), "megabytes": 2e-6 * sum(level.numel() for level in maps)}
    return {name: round(value, 2) for name, value in row.items()}


if __name__ == "__main__":
    main()
