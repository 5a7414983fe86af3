"""Measure 3D boxes and meshes with depth of an image: `OMP_NUM_THREADS=1 python benchmarks/depth.py [--limit 100]`.

The model is measured on the first synthetic validation scenes, without depth and with exact depth that is spoilt: by an
error of scale of each image, by noise of each pixel, and by pixels without depth. What the networks that read depth add
is measured at the condition of the targets, and the ways to place a box without them on exact depth.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Float
from measuring import machine
from torch import Tensor

import scenekit as sk
from scenekit.io.files import plain, write_atomically
from scenekit_plugins import depth_samples
from scenekit_plugins.boxes3d import head, refinement

METRICS: Mapping[str, tuple[str, ...]] = {
    "boxes3d": ("AP3D", "AP3D@25", "AP3D@50", "median depth error", "median center error (m)"),
    "meshes": ("F1@0.3", "F1 as placed@0.3"),
}
TARGETS: Mapping[str, tuple[float, bool]] = {
    "boxes3d AP3D@25": (0.65, True),
    "boxes3d AP3D": (0.60, True),
    "boxes3d median depth error": (0.02, False),
    "meshes F1@0.3": (50.0, True),
}
"""The target of each metric at 2 % error of scale, and whether more is better."""
TARGET_CONDITION = "2 % of scale"
NOTHING_LEARNED = f"{TARGET_CONDITION}, nothing learned from depth"
HALF_EXTENT = 0.41
"""Share of its half extent along the optical axis by which a center lies behind the median depth of an object."""


@dataclass(frozen=True)
class Condition:
    """How depth is spoilt."""

    scale: float = 0.0
    """Standard deviation of the error of scale of an image."""
    pixel: float = 0.0
    """Standard deviation of the relative error of each pixel."""
    share: float = 1.0
    """Share of the pixels that have depth."""

    def __call__(self, depth: Float[Tensor, "1 H W"], seed: int) -> Float[Tensor, "1 H W"]:
        """Return the spoilt depth; an image gets the same errors in every run."""
        source = torch.Generator().manual_seed(seed)
        factor = 1 + self.scale * torch.randn((), generator=source)
        noise = 1 + self.pixel * torch.randn(depth.shape, generator=source)
        there = torch.rand(depth.shape, generator=source) < self.share
        return (depth * factor * noise).where(there, torch.nan)


CONDITIONS: Mapping[str, Condition | None] = {
    "without depth": None,
    "exact": Condition(),
    "2 % of scale": Condition(scale=0.02),
    "5 % of scale": Condition(scale=0.05),
    "2 % of each pixel": Condition(pixel=0.02),
    "5 % of each pixel": Condition(pixel=0.05),
    "10 % of the pixels": Condition(share=0.1),
    "1 % of the pixels": Condition(share=0.01),
    "2 % of scale, 1 % of the pixels": Condition(scale=0.02, share=0.01),
}


def shifted_median(boxes: Any, samples: Any) -> Any:
    """Place centers behind the median depth by a constant share of the half extent."""
    extent = (boxes.rotation.abs() @ boxes.size.flip(-1)[..., None] / 2)[:, 2, 0]
    median = samples.depth.masked_fill(~samples.counted, torch.nan).nanmedian(dim=1).values
    return refinement.at_depth(boxes, (median + HALF_EXTENT * extent).where(samples.usable, boxes.center[:, 2]))


WAYS: Mapping[str, Callable[[], tuple[AbstractContextManager[Any], ...]]] = {
    "rays meet the box": lambda: (),
    "median depth + 0.41 half extents": lambda: (patch.object(head, "refined", shifted_median),),
    "rays meet the front of the box": lambda: (patch.object(refinement, "SURFACE", 0.0),),
    "median instead of the nearer band": lambda: (patch.object(refinement, "BAND", (0.5, 0.5)),),
    "masks are not eroded": lambda: (patch.object(depth_samples, "EROSION", 0),),
    "the middle of regions instead of masks": lambda: (patch.object(depth_samples, "object_masks", return_value=None),),
}
"""Ways to place a box, each with what it replaces."""


def main() -> None:
    """Measure every condition and every way, write the numbers, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--limit", type=int, default=100, help="number of scenes (100)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "depth.json")
    arguments = parser.parse_args()
    model, data = sk.load(arguments.model), sk.dataset("synthetic", split="val")
    began = time.perf_counter()
    conditions = {name: measured(model, data, spoil, arguments.limit) for name, spoil in CONDITIONS.items()}
    untaught, ways = without_learned(model), {}
    conditions[NOTHING_LEARNED] = measured(untaught, data, CONDITIONS[TARGET_CONDITION], arguments.limit)
    for name, replaced in WAYS.items():
        with ExitStack() as stack:
            for part in replaced():
                stack.enter_context(part)
            ways[name] = measured(untaught, data, Condition(), arguments.limit, ["boxes3d"])
    reached = conditions[TARGET_CONDITION]
    targets = {
        f"{name}, {TARGET_CONDITION}": {
            "value": reached[name],
            "target": target,
            "met": reached[name] >= target if more else reached[name] <= target,
        }
        for name, (target, more) in TARGETS.items()
    }
    facts = {"model": arguments.model, "scenes": arguments.limit, "seconds": round(time.perf_counter() - began)}
    found = {"targets": targets, "conditions": conditions, "ways": ways}
    result = {**machine(torch.device("cpu")), **facts, **found}
    write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())
    print(json.dumps(found, indent=1))


def without_learned(model: sk.SceneModel) -> sk.SceneModel:
    """Return the model without the networks that read depth."""
    config = model.config.model_dump(mode="json")
    for task in METRICS:
        config["tasks"][task]["depth"] = None
    bare = sk.build(sk.ModelConfig.model_validate(config), model.vocabulary).eval()
    bare.load_state_dict(model.state_dict(), strict=False)
    return bare


def measured(
    model: sk.SceneModel, data: Any, spoil: Condition | None, limit: int, tasks: list[str] | None = None
) -> dict[str, float]:
    """Return the metrics of the tasks with one kind of depth."""
    tasks = tasks or list(METRICS)
    results = sk.evaluate(model, samples(data, spoil, limit), tasks=tasks)
    found = {f"{task} {metric}": results[task][metric] for task in tasks for metric in METRICS[task]}
    print(spoil, found, file=sys.stderr, flush=True)
    return {name: round(value, 4) for name, value in found.items()}


def samples(data: Any, spoil: Condition | None, limit: int) -> Iterator[sk.Sample]:
    """Yield the first samples, which come with spoilt depth."""
    for index in range(min(limit, len(data))):
        sample = data[index]
        depth = {} if spoil is None else {"depth": spoil(sample.scene[sk.DEPTH][None], index)}
        yield replace(sample, inputs=depth)


if __name__ == "__main__":
    main()
