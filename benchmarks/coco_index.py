"""Measure time and memory of opening a file of the size of COCO's train2017 with the data set `coco`.

    python benchmarks/coco_index.py [--images 100000] [--out FILE.json]

The file is generated, with 7.2 objects per image and polygons of 22 points, in random order. The reference is loading
the same file with the `json` module. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

from measuring import resident_peak

OBJECTS, POINTS, CATEGORIES = 7.2, 22, 80


def write(folder: Path, count: int) -> Path:
    """Write an annotation file with `count` images, and an empty file for each image."""
    rng = random.Random(0)
    (folder / "images").mkdir()
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "height": 480, "width": 640} for n in range(count)]
    for image in images:
        (folder / "images" / str(image["file_name"])).touch()
    categories = [{"id": n, "name": f"class {n}"} for n in range(CATEGORIES)]
    path = folder / "annotations.json"
    with path.open("w") as file:
        file.write(f'{{"images": {json.dumps(images)}, "annotations": [')
        write_annotations(file, rng, count)
        file.write(f'], "categories": {json.dumps(categories)}}}')
    return path


def write_annotations(file: TextIO, rng: random.Random, count: int) -> None:
    """Write annotations one by one, so that generating the file takes no memory."""
    for n in range(round(count * OBJECTS)):
        x, y = rng.uniform(0, 500), rng.uniform(0, 400)
        polygon = [round(value + rng.uniform(0, 70), 2) for _ in range(POINTS) for value in (x, y)]
        box = [round(x, 2), round(y, 2), 80.5, 70.25]
        fields = {"id": n + 1, "image_id": rng.randrange(count), "category_id": n % CATEGORIES, "bbox": box}
        file.write(
            (", " if n else "") + json.dumps({**fields, "segmentation": [polygon], "area": 1234.5, "iscrowd": 0})
        )


def measured(task: str, path: Path) -> dict[str, Any]:
    """Return the result of this script's `task` in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--task", task, str(path)], check=True, capture_output=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run(task: str, path: Path) -> dict[str, Any]:
    """Return CPU seconds, and the growth of peak memory in MiB."""
    import scenekit as sk

    sk.registry().get("dataset", "coco")
    import scenekit_datasets.coco.dataset  # noqa: F401  (the import is not measured)

    before, start = resident_peak(), time.process_time()
    if task == "json":
        kept: Any = json.loads(path.read_text())
    else:
        kept = sk.dataset("coco", annotations=str(path), images=str(path.parent / "images"))
    return {
        "CPU seconds": round(time.process_time() - start, 1),
        "MiB": round(resident_peak() - before),
        "entries": len(kept),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", choices=["json", "coco"], help=argparse.SUPPRESS)
    parser.add_argument("file", type=Path, nargs="?", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(run(options.task, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), options.images)
        results = {"images": options.images, "file MB": round(path.stat().st_size / 1e6)}
        results |= {task: measured(task, path) for task in ("coco", "json")}
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
