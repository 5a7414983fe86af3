"""Tables from the files in benchmarks/results: no number on a page is typed by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit_docs.markdown import code, fenced, page, table

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
HIDDEN = {"command", "per_class", "per_predicate", "losses_compared"}
"""Entries of a file that are no measurements, or too many."""


@dataclass(frozen=True)
class Result:
    """One file: what it is called on the page, what was measured, and the command that makes it."""

    file: str
    title: str
    what: str
    command: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return RESULTS / f"{self.file}.json"


RESULT_FILES: Sequence[Result] = (
    Result(
        "parity_torchvision",
        "The same numbers as torchvision",
        "Seven networks with the same random weights, on three images of different sizes, in one batch and one by "
        "one, and their losses with the same sampled regions: the largest differences to torchvision's own models.",
        "python -m benchmarks.parity_torchvision",
    ),
    Result(
        "parity_detectron2",
        "The same numbers as detectron2",
        "Converted networks against what detectron2 0.6 gave with the same weights and image: the largest absolute "
        "difference of each kind of stage, in its own unit, beside the one that is tolerated.",
        "python -m benchmarks.parity_detectron2",
    ),
    Result(
        "speed_cpu",
        "Speed against the peers, on a CPU",
        "Mask R-CNN R50-FPN of torchvision and ours, with the same weights and image; and how long a start takes. "
        "Medians over repeats that take turns.",
        "python benchmarks/speed.py --parts torchvision start --repeats 3",
    ),
    Result(
        "speed_tasks_cpu",
        "All tasks in one pass, on a CPU",
        "All tasks of `small` in one pass against a network for each; those of the pixels against boxes and masks "
        "alone. Medians over 20 images, in turn.",
        "python benchmarks/speed.py --parts tasks --out benchmarks/results/speed_tasks_cpu.json",
    ),
    Result(
        "speed_cuda",
        "Speed against the peers, on a GPU",
        "The same in bfloat16 and channels-last, for batches of 1 and 8, timed by CUDA events.",
        "python benchmarks/speed.py --device cuda",
    ),
    Result(
        "memory",
        "Memory of long work",
        "Predicting over a folder of 1,000 images, by the command and by an iterator, and evaluating 5,000 made-up "
        "predictions, each in a process of its own. Growth is by how much a line through the second half of the looks "
        "rises: 0 is flat.",
        "OMP_NUM_THREADS=1 python benchmarks/memory.py",
    ),
    Result(
        "scene_graph_recall",
        "Time of scene-graph recall",
        "All metrics of made-up images at the published settings of Visual Genome: 80 objects, all ordered pairs, "
        "50 predicates. One process on one core; checking the arrays is counted.",
        "OMP_NUM_THREADS=1 python benchmarks/scene_graph_recall.py",
    ),
    Result(
        "coco_index",
        "Opening a large file of annotations",
        "A made-up file of the size of COCO's train2017, opened by the data set `coco` and by the module `json`.",
        "python benchmarks/coco_index.py --out benchmarks/results/coco_index.json",
    ),
    Result(
        "visual_genome_index",
        "Opening Visual Genome",
        "Made-up files of the size of Visual Genome 1.4, opened by the data set `visual_genome`: at first, when all of "
        "them are walked through, and again by the stored index; and the labels of 500 images. Each in a process of "
        "its own, whose whole memory is counted; the first row is what importing alone takes. Other programs kept both "
        "cores busy, so CPU seconds tell more than seconds.",
        "OMP_NUM_THREADS=1 python benchmarks/visual_genome_index.py --out benchmarks/results/visual_genome_index.json",
    ),
    Result(
        "iou3d",
        "Overlaps of boxes in space",
        "All pairs of 100 x 100 oriented boxes, their exact volumes on one thread: time by the clock, and of the "
        "processor alone, which other programs on the same cores do not lengthen. The difference to manifold3d is in "
        "cubic metres.",
        "OMP_NUM_THREADS=1 python benchmarks/iou3d.py",
    ),
    Result(
        "mesh_ops",
        "Mesh operations against pytorch3d",
        "The same calls in torch alone and by pytorch3d on a CPU, at the sizes of Mesh R-CNN, in turn on one thread: "
        "milliseconds of the processor, forward and for the gradient; a ratio under 1 is quicker than pytorch3d.",
        "OMP_NUM_THREADS=1 python benchmarks/mesh_ops.py",
    ),
    Result(
        "small_val",
        "What the model `small` reaches",
        "500 synthetic scenes that no training has seen. Fractions; AP as COCO measures it.",
        "scenekit evaluate --model small --data synthetic --split val --json",
    ),
    Result(
        "small_val_second_run",
        "What `small` reached after its second run",
        "The same 500 scenes; that run had neither 3D boxes nor meshes.",
        "scenekit evaluate --model FOLDER --data synthetic --split val --json",
    ),
    Result(
        "small_val_first_run",
        "What `small` reached after its first run",
        "The same 500 scenes; that run had neither attributes nor captions nor relations either.",
        "scenekit evaluate --model FOLDER --data synthetic --split val --json",
    ),
    Result(
        "task_table",
        "Every task before and after the last runs of `small`",
        "One metric or more of each task on synthetic scenes that no training has seen, of the model of the second run "
        "and of the one that is shipped; beside them what counts alone reach, and the target where there was one.",
        "python benchmarks/task_table.py benchmarks/results/small_val.json "
        "--before benchmarks/results/small_val_second_run.json",
    ),
    Result(
        "joint_or_alone",
        "Every task in company and alone",
        "All tasks of `small` together, and each alone with those that it cannot do without, for the same few steps "
        "from the same backbone and detector, heads fresh: the numbers say how far a head comes in so many steps, not "
        "how far it can come. Milliseconds of an image, and seconds of a step.",
        "python benchmarks/joint_or_alone.py recipes/small.yaml --steps 100",
    ),
    Result(
        "synthetic_scenes",
        "Making a synthetic scene",
        "Seconds for one scene of 320x240 pixels with all its labels, on one core.",
        "python benchmarks/synthetic_scenes.py",
    ),
)


def page_of(*names: str) -> str:
    """A section per file that is there, or per named one."""
    wanted = [result for result in RESULT_FILES if not names or result.file in names]
    return page(*(section(result) for result in wanted if result.path.exists()))


def section(result: Result) -> str:
    """Heading, what was measured, the command, and the tables."""
    found = json.loads(result.path.read_text(encoding="utf-8"))
    head = f"## {result.title}", result.what, fenced(result.command, "text")
    return page(*head, *tables(found), f"All of it: `benchmarks/results/{result.path.name}`.")


def tables(found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Plain values in one table, then a table or more for every entry that holds others."""
    entries = {name: value for name, value in shown(found) if not nested(value)}
    plain = {name: value for name, value in entries.items() if "@" not in name}
    if plain:
        yield table((path or "measured", "value"), ((name, number(value)) for name, value in plain.items()))
    if ranked := by_cutoff(entries):
        yield from grid(path, ranked)
    for name, value in shown(found):
        title = name if path in ("", "networks") else f"{path}, {name}"
        if isinstance(value, Mapping):
            yield from grid(title, value) if square(value) else tables(value, title)
        elif nested(value):
            yield from rows_of(value)


def by_cutoff(entries: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Metrics that are called R@20 and R@50 as rows, with a column per cut-off."""
    rows: dict[str, dict[str, Any]] = {}
    for name, value in entries.items():
        metric, sign, cutoff = name.partition("@")
        if sign:
            rows.setdefault(metric, {})[f"@{cutoff}"] = value
    return rows


def shown(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Entries that belong on the page, with names in words."""
    return ((words(name), value) for name, value in found.items() if name.rpartition("/")[2] not in HIDDEN)


def nested(value: Any) -> bool:
    """Whether it needs a table of its own."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(row, Mapping) for row in value))


def square(value: Mapping[str, Any]) -> bool:
    """Whether it is a table by rows: mappings that share at least half of their plain entries."""
    rows = list(value.values())
    if len(rows) < 2 or not all(isinstance(row, Mapping) for row in rows):
        return False
    shared, union = set.intersection(*map(set, rows)), set.union(*map(set, rows))
    return 2 * len(shared) >= len(union) and not any(nested(entry) for row in rows for entry in row.values())


def grid(title: str, value: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line per entry, a column per measurement."""
    columns = dict.fromkeys(name for row in value.values() for name in row if name not in HIDDEN)
    rows = ([name, *(number(row.get(column, "")) for column in columns)] for name, row in value.items())
    yield table([title, *map(words, columns)], rows)


def rows_of(value: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line per entry of a list; columns as they first appear."""
    columns = list(dict.fromkeys(name for row in value for name in row if name not in HIDDEN))
    rows = ([number(row.get(column, "")) for column in columns] for row in value)
    yield table(list(map(words, columns)), rows)


def words(name: str) -> str:
    """The name of a measurement in words; names with digits are those of networks, and stay."""
    return name if any(sign.isdigit() for sign in name) else name.replace("_", " ")


def number(value: Any) -> str:
    """Four significant digits; sizes as 320 x 240; code where it is a path."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        plain = all(isinstance(entry, int | float) for entry in value)
        return (" x " if plain else ", ").join(map(number, value))
    return code(value) if isinstance(value, str) and "/" in value else str(value)
