"""Train and measure every system of the line side by side: `python benchmarks/line.py [--quick] [--only NAME ...]`.

The systems are the recipes in recipes/line, and variants of them. All learn from the same synthetic scenes, for the
same number of steps, from the same trunk: the backbone of the shipped model `small`, below fresh layers; segmenters
without a shared trunk begin at random. Each is evaluated on the first validation scenes. After the last one all are
timed, image by image, on scenes that nothing has seen before, so that no cache holds their proposals. Nothing else
should run then. With more than one thread that matters most: where a core is busy, each parallel operation waits for
its slower thread, and a crop took six to nine times as long. The runs are short: the metrics compare systems, and are
not those of converged models.

Each system keeps its model and its metrics in a folder of its own below `--work`; only those that are missing are
trained, while the times are measured anew by every run. Those that need an extra that is not installed are left out,
and named. `--quick` runs all with next to no training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from measuring import machine
from safetensors.torch import save_file

import scenekit as sk
from scenekit.io.files import plain, write_atomically

RECIPES = Path(__file__).resolve().parent.parent / "recipes" / "line"
PROPOSING = ("rpn", "proposals")
"""Steps of a pass whose time counts as spent on proposals."""
TRUNK = ("name=mobilenet_v2", "weights={}", "options.norm=frozen")
CROP_LEVELS = "model.detector_options.trunk.options.levels=[features.13]"
"""The last map that the networks on crops read: few channels of the trunk's coarser ones are active."""
INPUT = ("model.input.mean=[0.5, 0.5, 0.5]", "model.input.std=[0.5, 0.5, 0.5]")
"""What the trunk expects."""
SELECTIVE_SEARCH = "model.detector_options.proposals={name: selective_search, limit_train: 300, limit_test: 300}"


QUICK: Mapping[str, Sequence[str]] = {
    "rcnn": ("model.detector_options.proposals.limit_train=60", "model.detector_options.proposals.limit_test=60"),
    "sliding_window": ("model.detector_options.limit=60",),
}
"""Options of recipes with `--quick`: fewer forward passes."""


@dataclass(frozen=True)
class System:
    """One row of the table."""

    recipe: str
    """Name of its file in recipes/line, without the suffix."""
    options: tuple[str, ...] = ()
    """What differs from the recipe, as `a.b=value`."""
    extra: str | None = None
    """Extra of scenekit that it needs."""
    crops: bool = False
    """Whether the trunk is one for crops, which the detector has for itself."""

    @property
    def missing(self) -> bool:
        """Whether that extra is not installed; another OpenCV lacks the modules of selective search."""
        return self.extra is not None and not (find_spec("cv2") and hasattr(import_module("cv2"), "ximgproc"))


def pooling(kind: str) -> tuple[str, ...]:
    """Return the option of a detector that pools RoI features in one way."""
    return (f"model.detector_options.pooler.kind={kind}",)


def upsampling(name: str) -> tuple[str, ...]:
    """Return the option of an encoder and decoder that upsamples in one way."""
    return (f"model.tasks.semantic.encoder_decoder.upsampling={name}",)


DETECTORS: Mapping[str, System] = {
    "sliding window": System("sliding_window", crops=True),
    "R-CNN, sliding windows": System("rcnn", crops=True),
    "R-CNN, selective search": System("rcnn", (SELECTIVE_SEARCH,), "selective-search", crops=True),
    "Fast R-CNN, sliding windows": System("fast_rcnn"),
    "Fast R-CNN, selective search": System("fast_rcnn", (SELECTIVE_SEARCH,), "selective-search"),
    "Faster R-CNN, one map, RoI pooling": System("faster_rcnn_single_map", pooling("pool")),
    "Faster R-CNN, one map, RoIAlign": System("faster_rcnn_single_map", pooling("align")),
    "Faster R-CNN, FPN": System("faster_rcnn_fpn"),
    "YOLO": System("yolo"),
    "SSD": System("ssd"),
    "RetinaNet": System("retinanet"),
    "FCOS": System("fcos"),
    "Mask R-CNN": System("mask_rcnn"),
    "all tasks": System("joint"),
}
SEGMENTERS: Mapping[str, System] = {
    "patches": System("semantic_patches"),
    "full resolution": System("semantic_full_resolution"),
    "encoder-decoder, nearest": System("semantic_encoder_decoder", upsampling("nearest")),
    "encoder-decoder, bed of nails": System("semantic_encoder_decoder", upsampling("bed_of_nails")),
    "encoder-decoder, max unpooling": System("semantic_encoder_decoder", upsampling("max_unpool")),
    "encoder-decoder, transposed": System("semantic_encoder_decoder", upsampling("transposed")),
    "encoder-decoder, bilinear": System("semantic_encoder_decoder", upsampling("bilinear")),
    "shared pyramid": System("semantic_pyramid"),
}
TABLES: Mapping[str, Mapping[str, System]] = {"detection": DETECTORS, "semantic": SEGMENTERS}
METRICS_FILE = "row.json"
METRICS: Mapping[str, tuple[str, ...]] = {"detection": ("AP50", "AP75", "AP"), "semantic": ("mIoU", "pACC")}


def main() -> None:
    """Train and measure the systems that are missing, and write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two steps and two images each, to see that all run")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--scenes", type=int, default=600, help="number of training scenes")
    parser.add_argument("--images", type=int, default=100, help="number of evaluated images")
    parser.add_argument("--timed", type=int, default=10, help="number of timed images")
    parser.add_argument("--size", type=int, nargs=2, default=(144, 192), help="height and width of the scenes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these systems")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/line"))
    parser.add_argument("--out", type=Path, help="results/line.json beside this file; line.json in --work with --quick")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.steps, arguments.scenes, arguments.images, arguments.timed = 2, 16, 2, 1
        arguments.size, arguments.work = (64, 96), arguments.work / "quick"
    out = arguments.out or (arguments.work if arguments.quick else Path(__file__).parent / "results") / "line.json"
    torch.set_num_threads(arguments.threads)
    began = time.perf_counter()
    trunk = written_trunk(arguments.work)
    chosen = {table: selected(systems, arguments.only) for table, systems in TABLES.items()}
    folders = {
        name: trained(table, name, recipe_of(system, trunk, arguments), arguments)
        for table, systems in chosen.items()
        for name, system in systems.items()
    }
    found = {table: {name: timed(name, folders[name], arguments) for name in chosen[table]} for table in chosen}
    facts = {"steps": arguments.steps, "scenes": arguments.scenes, "images": arguments.images}
    result = {**machine(torch.device("cpu")), **facts, "size": list(arguments.size), **found}
    result["what the literature expects"] = list(expectations(found))
    result["seconds"] = round(time.perf_counter() - began)
    write_atomically(out, (json.dumps(plain(result), indent=1) + "\n").encode())


def written_trunk(work: Path) -> Path:
    """Write the backbone of `small` as a file of weights, and return its path."""
    path = work / "trunk.safetensors"
    if not path.exists():
        body = sk.load("small").stages["backbone"].net.backbone.body
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in body.state_dict().items()}, path)
    return path


def selected(systems: Mapping[str, System], only: Sequence[str] | None) -> dict[str, System]:
    """Return the systems to run, by name; print those whose extra is not installed."""
    wanted = {name: system for name, system in systems.items() if not only or name in only}
    for name, system in wanted.items():
        if system.missing:
            print(f"{name}: left out, as scenekit[{system.extra}] is not installed", flush=True)
    return {name: system for name, system in wanted.items() if not system.missing}


def recipe_of(system: System, trunk: Path, arguments: argparse.Namespace) -> sk.Recipe:
    """Return the recipe of a system with the trunk, the scenes and the steps that all share."""
    size, own = f"[{', '.join(map(str, arguments.size))}]", "detector_options.trunk" if system.crops else "backbone"
    shared = [
        f"train.steps={arguments.steps}",
        f"train.warmup={arguments.steps // 10}",
        f"train.save_every={arguments.steps}",
        f"data.train.0.options.length={arguments.scenes}",
        f"data.train.0.options.size={size}",
        f"data.val.options.size={size}",
        f"model.input.min_size={min(arguments.size)}",
        f"model.input.max_size={max(arguments.size)}",
        *INPUT,
        *(f"model.{own}.{option.format(trunk)}" for option in TRUNK),
        *((CROP_LEVELS,) if system.crops else ()),
    ]
    fewer = QUICK.get(system.recipe, ()) if arguments.quick else ()
    return sk.Recipe.load(RECIPES / f"{system.recipe}.yaml", [*shared, *system.options, *fewer])


def trained(table: str, name: str, recipe: sk.Recipe, arguments: argparse.Namespace) -> Path:
    """Train and evaluate one system, unless that is done already; return the folder with its model and metrics."""
    folder: Path = arguments.work / f"{name.replace(',', '').replace(' ', '_')}-{arguments.steps}-{arguments.images}"
    if not (folder / METRICS_FILE).exists():
        began = time.perf_counter()
        model = sk.train(recipe, out=folder, resume=True, progress=False)
        seconds = time.perf_counter() - began
        scenes = sk.dataset("synthetic", split="val", size=arguments.size)
        metrics = sk.evaluate(model, scenes, tasks=[table], limit=arguments.images)[table]
        row = {metric: metrics[metric] for metric in METRICS[table]} | {"training seconds": round(seconds)}
        print(f"{name}: {json.dumps(row)}", flush=True)
        write_atomically(folder / METRICS_FILE, json.dumps(plain(row)).encode())
    return folder


def timed(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the row of a trained system: its metrics, and what an image costs."""
    model = sk.load(folder / "model")
    metrics: dict[str, Any] = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    scenes = sk.dataset("synthetic", split="val", size=arguments.size)
    unseen = range(arguments.images, arguments.images + arguments.timed)
    row = {**metrics, **costs(model, [scenes[index].image for index in unseen])}
    row["parameters (M)"] = parameters(model) / 1e6
    print(f"{name}: {json.dumps(row)}", flush=True)
    return row


def costs(model: sk.SceneModel, images: Sequence[torch.Tensor]) -> dict[str, float]:
    """Return what one image costs: forward passes of a trunk, seconds, and the share of them spent on proposals."""
    model.predict(images[0].flip(2))  # the first pass allocates memory
    totals, shares, passes = [], [], []
    for image in images:
        began = time.perf_counter()
        with torch.inference_mode():
            outputs = model(model.preprocess([image]))
            model.scenes(outputs, threshold=0.5)
        totals.append(time.perf_counter() - began)
        steps = outputs.seconds
        shares.append(sum(steps.get(name, 0.0) for name in PROPOSING) / sum(steps.values()))
        passes.append(forward_passes(model))
    return {
        "forward passes": statistics.median(passes),
        "seconds an image": statistics.median(totals),
        "share of proposals": statistics.median(shares),
    }


def forward_passes(model: sk.SceneModel) -> int:
    """Return how often a trunk ran in the last pass: once for the whole image, or once for each crop."""
    parts: Iterable[Any] = (*model.stages.values(), *model.heads.values())
    return sum(getattr(part, "passes", 0) for part in parts) or 1


def parameters(model: sk.SceneModel) -> int:
    """Return the number of parameters and of fitted numbers that predictions depend on."""
    return sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())


def expectations(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield what the literature leads to expect, what was measured, and whether it holds, as far as it was run."""
    rows = {**found["detection"], **found["semantic"]}
    for text, names, value, least in EXPECTED:
        if all(name in rows for name in names):
            number = value(*(rows[name] for name in names))
            holds = number >= least
            yield {
                "expected": text,
                "measured": number,
                "holds": holds,
                "why not": "" if holds else REASONS.get(text, ""),
            }


def times(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> float:
    """Return how many times as long an image takes."""
    return float(slow["seconds an image"] / fast["seconds an image"])


def lead(metric: str) -> Any:
    """Return a function from two rows to the lead of the first in a metric."""
    return lambda better, other: float(better[metric] - other[metric])


FASTER = "Faster R-CNN, FPN"
PATCHES = "patches take at least 10 times as long as the shared pyramid"
EXPECTED: Sequence[tuple[str, tuple[str, ...], Any, float]] = (
    ("R-CNN takes at least 10 times as long as Faster R-CNN", ("R-CNN, selective search", FASTER), times, 10),
    (
        "proposals take most of the time of Fast R-CNN (share)",
        ("Fast R-CNN, selective search",),
        lambda row: row["share of proposals"],
        0.5,
    ),
    (
        "RoIAlign over RoI pooling at IoU 0.75 (difference in AP75)",
        ("Faster R-CNN, one map, RoIAlign", "Faster R-CNN, one map, RoI pooling"),
        lead("AP75"),
        0.0,
    ),
    (
        "RoIAlign gains more at IoU 0.75 than at 0.5 (difference of the gains)",
        ("Faster R-CNN, one map, RoIAlign", "Faster R-CNN, one map, RoI pooling"),
        lambda align, pool: lead("AP75")(align, pool) - lead("AP50")(align, pool),
        0.0,
    ),
    ("YOLO is faster than Faster R-CNN (times)", (FASTER, "YOLO"), times, 1.0),
    ("YOLO is less exact than Faster R-CNN (difference in AP)", (FASTER, "YOLO"), lead("AP"), 0.0),
    ("SSD is faster than Faster R-CNN (times)", (FASTER, "SSD"), times, 1.0),
    ("SSD is less exact than Faster R-CNN (difference in AP)", (FASTER, "SSD"), lead("AP"), 0.0),
    (
        "a pyramid is more exact than one map (difference in AP)",
        (FASTER, "Faster R-CNN, one map, RoIAlign"),
        lead("AP"),
        0.0,
    ),
    (PATCHES, ("patches", "shared pyramid"), times, 10),
)
"""A text, the rows that it compares, what is computed of them, and the least value with which it holds."""
REASONS: Mapping[str, str] = {
    PATCHES: "only every fourth pixel of a row and of a column has a crop, all crops of an image are one batch, and"
    " their network has 16 thousand parameters, the pyramid and its trunk 2.8 million",
}
"""Why an expectation may not hold here."""


if __name__ == "__main__":
    main()
