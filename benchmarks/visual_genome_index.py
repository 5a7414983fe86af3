"""Measure time and memory of opening files of the official size with the data set `visual_genome`.

    python benchmarks/visual_genome_index.py [--images 108077] [--out FILE.json]

The files are generated, with as many rows per image as Visual Genome 1.4 has on average: 35 objects, 21 relationships,
26 entries of attributes and 50 described regions; the frequency of names follows Zipf's law. The first opening builds
the index, the second one reads it. Each runs in a process of its own; results include its total memory.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from measuring import answer_of, machine, resident_peak

IMAGES, OBJECTS, RELATIONS, ATTRIBUTES, REGIONS = 108_077, 35, 21, 26, 50
NAMES = 80_000
"""Number of different object names, about as many as in the official files."""

TEMPLATES = 400
"""Number of different images; the others repeat them with another id and another name of one object."""

READ = 500
"""Number of images whose annotations are read at the end."""

WORDS = ("a", "man", "the", "with", "wearing", "red", "shirt", "standing", "on", "street", "near", "white", "building")


def name_of(rng: random.Random) -> str:
    """Draw a name: the n-th most frequent with a probability of about 1 / n; the most frequent are those of VG150."""
    rank = int(NAMES ** rng.random())
    return WORDS[rank] if rank < len(WORDS) else f"object {rank}"


def thing(rng: random.Random, id: int) -> dict[str, Any]:
    """Draw an object in the format of objects.json."""
    x, y, w, h = rng.randrange(600), rng.randrange(400), rng.randrange(1, 200), rng.randrange(1, 200)
    return {"synsets": ["name.n.01"], "h": h, "object_id": id, "names": [name_of(rng)], "w": w, "y": y, "x": x}


def end(thing: dict[str, Any]) -> dict[str, Any]:
    """Return the object in the format of a subject or object of a relationship."""
    return {"name": thing["names"][0], **{key: value for key, value in thing.items() if key != "names"}}


def entry_of(rng: random.Random, image: int) -> dict[str, Any]:
    """Draw the entries of an image in each file."""
    things = [thing(rng, n + 1) for n in range(OBJECTS)]
    pairs = [rng.sample(things, 2) for _ in range(RELATIONS)]
    relations = [
        {
            "predicate": rng.choice(("ON", "has", "wearing a")),
            "object": end(b),
            "subject": end(a),
            "synsets": ["on.r.01"],
        }
        | {"relationship_id": n + 1}
        for n, (a, b) in enumerate(pairs)
    ]
    regions = [
        {"region_id": n + 1, "image_id": image, "phrase": " ".join(rng.choices(WORDS, k=5))}
        | {"x": rng.randrange(600), "y": rng.randrange(400), "width": 90, "height": 80}
        for n in range(REGIONS)
    ]
    return {
        "image_data": {"image_id": image, "url": f"https://cs.stanford.edu/people/rak248/VG_100K/{image}.jpg"}
        | {"width": 800, "height": 600, "coco_id": None, "flickr_id": None},
        "objects": {"image_id": image, "objects": things},
        "relationships": {"relationships": relations, "image_id": image},
        "attributes": {
            "image_id": image,
            "attributes": [{**a, "attributes": [rng.choice(("white", "tall", "wooden"))]} for a in things[:ATTRIBUTES]],
        },
        "region_descriptions": {"id": image, "regions": regions},
    }


def templates() -> list[dict[str, str]]:
    """Return JSON texts of entries of an image 0 with an object `thing 0`, by file."""
    rng = random.Random(0)
    entries = [entry_of(rng, 0) for _ in range(TEMPLATES)]
    for entry in entries:
        entry["objects"]["objects"][0]["names"] = ["thing 0"]
    return [{name: json.dumps(value) for name, value in entry.items()} for entry in entries]


def write(root: Path, count: int) -> None:
    """Write the files, image by image, and an empty file for each image."""
    made = templates()
    (root / "VG_100K").mkdir(parents=True)
    files = {name: (root / f"{name}.json").open("w") for name in made[0]}
    for image in range(1, count + 1):
        for name, text in made[image % TEMPLATES].items():
            text = re.sub(r'id": 0([,}])', rf'id": {image}\1', text).replace("/0.jpg", f"/{image}.jpg")
            text = text.replace('"thing 0"', f'"thing {image % NAMES}"')
            files[name].write(("[" if image == 1 else ", ") + text)
        (root / "VG_100K" / f"{image}.jpg").touch()
    for file in files.values():
        file.write("]")
        file.close()


def opened(root: Path) -> Any:
    """Open the data set with the index in the folder `cache`."""
    import scenekit as sk

    return sk.dataset("visual_genome", root=str(root), splits="hash", cache=str(root / "cache"))


def opening(root: Path) -> Iterator[tuple[str, Any]]:
    """Measure seconds and memory of opening."""
    list(importing(root))
    clock, cpu = time.perf_counter(), time.process_time()
    data = opened(root)
    yield "seconds", round(time.perf_counter() - clock, 1)
    yield "CPU seconds", round(time.process_time() - cpu, 1)
    yield "peak of the process, MiB", round(resident_peak())
    yield "training images", len(data)


def reading(root: Path) -> Iterator[tuple[str, Any]]:
    """Measure time and memory of reading the annotations of some images, without their pixels."""
    data = opened(root)
    cpu = time.process_time()
    for index in range(0, len(data), max(1, len(data) // READ)):
        data.issues(index)
    count = len(range(0, len(data), max(1, len(data) // READ)))
    yield "CPU ms an image", round(1000 * (time.process_time() - cpu) / count, 2)
    yield "peak of the process, MiB", round(resident_peak())


def importing(root: Path) -> Iterator[tuple[str, Any]]:
    """Measure the memory of the imports alone."""
    import scenekit as sk

    sk.registry().get("dataset", "visual_genome")
    import scenekit_datasets.visual_genome.dataset  # noqa: F401

    yield "peak of the process, MiB", round(resident_peak())


TASKS: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {
    "importing": importing,
    "first opening": opening,
    "second opening": opening,
    "reading labels": reading,
}
"""The measurements, in this order."""


def measured(root: Path, count: int) -> dict[str, Any]:
    """Run all measurements; files are generated if they are missing."""
    if not (root / "image_data.json").exists():
        write(root, count)
    size = sum(path.stat().st_size for path in root.glob("*.json"))
    results: dict[str, Any] = {**machine(torch.device("cpu")), "images": count, "files, MB": round(size / 1e6)}
    rmtree(root / "cache", ignore_errors=True)
    for task in TASKS:
        results[task] = answer_of(Path(__file__), "--task", task, "--root", str(root))
        print(task, results[task], file=sys.stderr)
    (index,) = (root / "cache").iterdir()
    return {**results, "stored index, MB": round(index.stat().st_size / 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument(
        "--root", type=Path, help="folder in which the files are generated and kept; a temporary folder by default"
    )
    options = parser.parse_args()
    if options.task:
        print(json.dumps(dict(TASKS[options.task](options.root))))
        return
    with tempfile.TemporaryDirectory() if options.root is None else nullcontext(options.root) as folder:
        results = measured(Path(folder), options.images)
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
