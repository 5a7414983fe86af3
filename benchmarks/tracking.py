"""Measure trackers on synthetic clips: `python benchmarks/tracking.py [--clips 50] [--every 1 4] [--cache FOLDER]`.

The model runs once on the frames of each clip, with camera and pose; its scenes are kept, so that all trackers get the
same. Classes and clips are measured together: the counts of all are summed.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from measuring import machine

import scenekit as sk
from scenekit.io.files import plain, write_atomically
from scenekit.metrics.mot import TrackingScores

RATE = 8.0
"""Frames a second of the clips."""

LEAST = 0.05
"""Smallest score of the objects that trackers get."""

SHOWN = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1", "IDS", "FP", "FN")


@dataclass(frozen=True)
class Contender:
    """A tracker, and what it gets of each scene."""

    tracker: str
    keys: Collection[sk.Key[Any, Any]] = ()
    threshold: float = LEAST
    pose: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def tracked(self, scenes: Sequence[sk.Scene], rate: float) -> list[Any]:
        """Return the scenes with ids."""
        options = dict(self.options)
        if self.tracker.startswith("trackers/"):
            options["frame_rate"] = rate
        return list(sk.track(map(self.given, scenes), self.tracker, **options))

    def given(self, scene: sk.Scene) -> sk.Scene:
        """Return the part of a scene that the tracker gets."""
        assert scene.objects.scores is not None and scene.moment is not None
        scene = scene.select(sk.OBJECTS, scene.objects.scores >= self.threshold)
        moment = scene.moment if self.pose else replace(scene.moment, pose=None)  # type: ignore[type-var]
        return replace(scene, values={k: v for k, v in scene.values.items() if k in self.keys}, moment=moment)


SOLID = (sk.BOXES3D, sk.APPEARANCE)
ALL = (sk.MASKS, *SOLID)
MASKED = {"mask": 0.5}
STRICT = {"birth": 0.8, "high": 0.6}
"""Fewer tracks that are none, and fewer of objects that a model is not sure of."""

CONTENDERS = {
    "ByteTrack (trackers)": Contender("trackers/bytetrack"),
    "ByteTrack (trackers), from 0.5": Contender(
        "trackers/bytetrack", options={"track_activation_threshold": 0.5, "high_conf_det_threshold": 0.5}
    ),
    "ByteTrack (trackers), from 0.8": Contender(
        "trackers/bytetrack", options={"track_activation_threshold": 0.8, "high_conf_det_threshold": 0.6}
    ),
    "SORT (trackers)": Contender("trackers/sort"),
    "OC-SORT (trackers)": Contender("trackers/ocsort"),
    "BoT-SORT (trackers), without pixels": Contender("trackers/botsort"),
    "C-BIoU (trackers)": Contender("trackers/cbiou"),
    "associate, boxes": Contender("associate"),
    "associate, boxes and masks": Contender("associate", (sk.MASKS,), options=MASKED),
    "associate, boxes and appearance": Contender("associate", (sk.APPEARANCE,)),
    "associate, boxes and 3D boxes": Contender("associate", (sk.BOXES3D,)),
    "associate, boxes and 3D boxes, without poses": Contender("associate", (sk.BOXES3D,), pose=False),
    "associate, boxes, 3D boxes and appearance": Contender("associate", SOLID),
    "associate, everything": Contender("associate", ALL, options=MASKED),
    "associate, everything, no object below 0.5": Contender("associate", ALL, threshold=0.5, options=MASKED),
    "associate, boxes, birth 0.8": Contender("associate", options=STRICT),
    "associate, boxes, 3D boxes and appearance, birth 0.8": Contender("associate", SOLID, options=STRICT),
    "associate, everything, birth 0.8": Contender("associate", ALL, options={**STRICT, **MASKED}),
    "associate, everything, birth 0.8, three hits": Contender(
        "associate", ALL, options={**STRICT, **MASKED, "hits": 3}
    ),
}


def main() -> None:
    """Predict, track with each contender, write the numbers, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--split", default="test", help="split of the clips (test)")
    parser.add_argument("--clips", type=int, default=50, help="number of clips (50)")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 4], help="every n-th frame alone (1 4)")
    parser.add_argument("--cache", type=Path, help="folder for the predicted scenes, to continue or to repeat")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "tracking.json")
    arguments = parser.parse_args()
    began = time.perf_counter()
    pairs = list(predicted(arguments.model, arguments.split, arguments.clips, arguments.cache))
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for every in arguments.every:
        rate = RATE / every
        rows = metrics.setdefault(f"{rate:g} frames a second", {})
        for name, contender in CONTENDERS.items():
            found = rows[name] = scored(contender, pairs, every)
            print(f"{name:46} {rate:4g}/s " + " ".join(f"{key} {found[key]:8g}" for key in SHOWN), flush=True)
    facts = {"model": arguments.model, "split": arguments.split, "clips": len(pairs)}
    result = {**without_options(machine(torch.device("cpu"))), **facts, "seconds": round(time.perf_counter() - began)}
    write_atomically(arguments.out, (json.dumps(plain({**result, "metrics": metrics}), indent=1) + "\n").encode())


def without_options(facts: dict[str, str]) -> dict[str, str]:
    """Return the facts without the folder of the cache, which changes no number."""
    return {**facts, "command": facts["command"].partition(" --cache")[0]}


def predicted(model: str, split: str, count: int, cache: Path | None) -> Iterator[tuple[list[Any], list[sk.Scene]]]:
    """Yield ground truth and predicted scenes of each clip."""
    data = sk.clips("synthetic_clips", split=split)
    network = sk.with_task(sk.load(model), "appearance")
    for index in range(count):
        path = None if cache is None else cache / f"{model}-{split}-{index}.pickle"
        if path is not None and path.exists():
            yield pickle.loads(path.read_bytes())
            continue
        clip = data[index]
        scenes = network.predict(
            iter(clip.frames), ["masks", "boxes3d", "appearance"], threshold=LEAST, on_error="raise", batch_size=4
        )
        pair = [only_boxes(scene) for scene in clip.scenes], list(scenes)
        print(f"\r{index + 1} of {count} clips", end="", file=sys.stderr, flush=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, pickle.dumps(pair))
        yield pair


def only_boxes(scene: sk.Scene) -> sk.Scene:
    """Return a scene without what tracking metrics do not read."""
    return replace(scene, values={}, valid={})


def scored(contender: Contender, pairs: Sequence[tuple[list[Any], list[sk.Scene]]], every: int) -> dict[str, float]:
    """Return the metrics of a tracker over all clips, at a part of the frame rate."""
    scores = TrackingScores()
    for number, (truth, scenes) in enumerate(pairs):
        sk.score_tracks(truth[::every], contender.tracked(scenes[::every], RATE / every), scores, str(number))
    found = scores.result()
    return {name: round(found[name], 4) for name in SHOWN}


if __name__ == "__main__":
    main()
