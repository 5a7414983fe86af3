"""Compare one joint network with a network per output: `python benchmarks/one_or_many.py [--repeats 5]`.

`networks`: published networks, the smallest official size of each (`published.py`), at their official input sizes.
`ours`: the shipped `small`, and the same outputs with full-size heads on a ResNet-50 with a feature pyramid, at 384 x
384 and 640 x 640 pixels. `comparisons`: a pass of ours against the sum of one network for each of its outputs, the
fastest whose input is not smaller than ours.

Each runs from one image in memory to postprocessed outputs. All weights but those of `small` are random, so only time
and parameters are compared. The work is the same: the objects and persons that `small` finds are the regions of
networks that run once per region, and ResNet-50 has as many detections. Two inequalities are to our disadvantage: on
ResNet-50 all objects get keypoints, since their labels are random; and published detectors and segmenters postprocess
with the thresholds of their processors, which random weights hardly reach. The postprocessing of segmenters to three
kinds of output takes long, so there is the time of the networks alone as well; that of ours has all postprocessing.
Times are medians of alternating runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import Run, interleaved, machine, milliseconds
from peers import scale_once
from published import PUBLISHED, Built, Published, Work
from torch import Tensor, nn

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.model.measuring import pixels_of

CPU = torch.device("cpu")
IMAGE, SIDES = (480, 640), (384, 640)
PIXELS = ("masks", "semantic", "panoptic", "keypoints")
SHARED = (*PIXELS, "captions", "attributes")
"""Outputs of ours that published networks have, too; both have boxes."""
SPREAD = {"objectness": 1.0, "classification": 2.0, "deltas": 0.3}
"""Standard deviation of the outputs of the last layers, so that there are candidates to choose detections from."""


@dataclass(frozen=True)
class Ours:
    """A joint network."""

    model: sk.SceneModel
    threshold: float
    side: int
    """The longer side of its input, in pixels."""

    @property
    def requests(self) -> dict[str, Sequence[str]]:
        """What it is asked for: outputs per pixel, all outputs that others have, and whatever it has."""
        some = {"boxes, segments, keypoints": PIXELS, "captions and attributes as well": SHARED}
        return some if len(self.model.tasks) == len(SHARED) else {**some, "all tasks": self.model.tasks}


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "one_or_many.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    result = {**machine(CPU), "repeats": arguments.repeats, **measured(arguments.repeats)}
    write_atomically(arguments.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result, indent=1))


@torch.inference_mode()
def measured(repeats: int) -> dict[str, Any]:
    """Return the tables of published networks, of ours, and of the comparisons."""
    small, image = sk.load("small"), pixels_of(None, IMAGE).round().to(torch.uint8)
    work = work_of(small, image)
    theirs: dict[str, Built] = {network.name: network.build(work) for network in PUBLISHED}
    ours = {"small": Ours(small, 0.5, max(small.preprocess([image]).padded_size))}
    for side in SIDES:
        ours[f"ResNet-50 FPN at {side}"] = Ours(large(small, image, side, len(work.objects)), 0.0, side)
    alone: dict[str, list[float]] = {name: [] for name in theirs}
    runs: dict[str, Run] = {name: watched(*built, alone[name]) for name, built in theirs.items()}
    for name, own in ours.items():
        for title, tasks in own.requests.items():
            runs[f"{name}: {title}"] = partial(own.model.predict, image, tasks, own.threshold)
    ms = {name: milliseconds(values) for name, values in interleaved(runs, repeats, CPU).items()}
    networks = {network.name: row_of(network, theirs[network.name][0], ms[network.name]) for network in PUBLISHED}
    for name, seconds in alone.items():
        networks[name]["network_alone"] = milliseconds(seconds[1:])  # the first run warms up
    return {
        "image": list(IMAGE),
        "objects": len(work.objects),
        "persons": len(work.persons),
        "networks": networks,
        "ours": {name: facts(own, image) for name, own in ours.items()},
        "comparisons": {
            f"{name}: {title}": compared(own, tasks, ms[f"{name}: {title}"], networks)
            for name, own in ours.items()
            for title, tasks in own.requests.items()
        },
    }


def work_of(small: sk.SceneModel, image: Tensor) -> Work:
    """Return the image, and its objects and persons by the shipped model."""
    objects = small.predict(image).objects
    persons = objects.labels == small.vocabulary.things.index("person")
    return Work(image, objects.boxes, objects.boxes[persons], len(small.vocabulary.attributes))


def watched(network: nn.Module, run: Run, seconds: list[float]) -> Run:
    """Return the run, which appends the seconds of the network itself, without processors, to a list."""
    marks: list[float] = []
    network.register_forward_pre_hook(lambda *_: marks.append(-time.perf_counter()))
    network.register_forward_hook(lambda *_: marks.append(time.perf_counter()))

    def whole() -> object:
        marks.clear()
        result = run()
        seconds.append(sum(marks))
        return result

    return whole


def row_of(network: Published, module: nn.Module, ms: float) -> dict[str, Any]:
    """Return what there is to know about a published network."""
    return {
        "outputs": ", ".join(network.gives),
        "input_side": network.side,
        "runs_per": network.per,
        "licence": network.licence,
        "parameters_in_millions": millions(module),
        "milliseconds": ms,
    }


def facts(own: Ours, image: Tensor) -> dict[str, Any]:
    """Return input size and parameters, and on how many objects the heads worked."""
    scene = own.model.predict(image, threshold=own.threshold)
    return {
        "tasks": len(own.model.tasks),
        "input": list(own.model.preprocess([image]).padded_size),
        "parameters_in_millions": millions(own.model),
        "objects": len(scene.objects),
        "with_keypoints": int((scene[sk.KEYPOINTS].visibility > 0).any(dim=1).sum()),
    }


def compared(own: Ours, tasks: Sequence[str], ms: float, networks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Compare a pass with the sum of one network for each of its outputs, as far as there are any."""
    chosen = [
        fastest(gives, own.side, networks)
        for gives in dict.fromkeys(network.gives for network in PUBLISHED)
        if set(gives) <= {"boxes", *tasks}
    ]
    total = sum(networks[name]["milliseconds"] for name in chosen)
    return {
        "milliseconds": ms,
        "of_the_set": round(total, 2),
        "ratio": round(ms / total, 3),
        "of_its_networks_alone": round(sum(networks[name]["network_alone"] for name in chosen), 2),
        "parameters_in_millions": millions(*(own.model.parts[name] for name in own.model.plan.needed(tasks))),
        "parameters_of_the_set": round(sum(networks[name]["parameters_in_millions"] for name in chosen), 1),
        "set": ", ".join(chosen),
    }


def fastest(gives: tuple[str, ...], side: int, networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the fastest network with these outputs whose input is not smaller, or which runs on crops."""
    fitting = [
        network.name
        for network in PUBLISHED
        if network.gives == gives and (network.side >= side or network.per != "image")
    ]
    return min(fitting, key=lambda name: networks[name]["milliseconds"])


def millions(*parts: nn.Module) -> float:
    """Return the number of parameters in millions."""
    return round(sum(parameter.numel() for part in parts for parameter in part.parameters()) / 1e6, 1)


def large(small: sk.SceneModel, image: Tensor, side: int, detections: int) -> sk.SceneModel:
    """Return random weights for ResNet-50 FPN with full-size heads for the vocabulary of `small`.

    Every class has the skeleton of persons, so that random labels leave no work out.
    """
    tokenizer = small.config.tasks["captions"]["tokenizer"]
    captions = {"tokenizer": tokenizer, "phrases": False, "max_regions": detections}
    config = sk.ModelConfig.model_validate(
        {
            "input": {"fixed_size": (side, side)},
            "backbone": {"name": "resnet50", "options": {"norm": "frozen"}},
            "detector_options": {"box_head": {"detections": detections}},
            "tasks": {**{task: {} for task in SHARED}, "captions": captions},
        }
    )
    skeleton = small.vocabulary.skeleton
    assert skeleton is not None
    skeletons = {name: skeleton for name in small.vocabulary.things}
    model = sk.build(config, replace(small.vocabulary, skeletons=skeletons)).eval()
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if last == "bn3":
            module.weight.fill_(0.2)  # keeps activations small
        if last in SPREAD:
            scale_once(module, SPREAD[last])
    model.predict(image, threshold=0.0)
    return model


if __name__ == "__main__":
    main()
