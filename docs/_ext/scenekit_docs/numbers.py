"""Tables of the files in benchmarks/results: no number on a page is typed by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit_docs.markdown import code, fenced, page, table

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
HIDDEN = {"command", "per_class", "per_predicate", "losses_compared"}
"""Entries of a file that the page omits."""


@dataclass(frozen=True)
class Result:
    """One file of results: its heading, a description of the measurement, and the command that reproduces it."""

    file: str
    title: str
    what: str
    command: str

    @property
    def path(self) -> Path:
        """Path of the file."""
        return RESULTS / f"{self.file}.json"


RESULT_FILES: Sequence[Result] = (
    Result(
        "parity_torchvision",
        "Parity with torchvision",
        "Twelve networks with the same random weights, on three images of different sizes, in one batch and one by "
        "one, and their losses with the same sampled regions: the largest differences from torchvision's models.",
        "python -m benchmarks.parity_torchvision",
    ),
    Result(
        "parity_detectron2",
        "Parity with detectron2",
        "Converted networks against the outputs of detectron2 0.6 with the same weights and image: the largest "
        "absolute difference of each stage, in its own unit, and its tolerance.",
        "python -m benchmarks.parity_detectron2",
    ),
    Result(
        "speed_cpu",
        "Speed of Mask R-CNN and start-up, on a CPU",
        "Mask R-CNN R50-FPN in torchvision and in scenekit, with the same weights and image, its training step with "
        "and without gradient checkpointing, and the time to start a process. Medians of alternating runs.",
        "python benchmarks/speed.py --parts torchvision start --repeats 7",
    ),
    Result(
        "speed_tasks_cpu",
        "All tasks in one pass, on a CPU",
        "All tasks of `small` in one pass against one network per task, and the dense tasks against boxes and masks "
        "alone. Medians of alternating runs over 20 images.",
        "python benchmarks/speed.py --parts tasks --out benchmarks/results/speed_tasks_cpu.json",
    ),
    Result(
        "speed_batches_cpu",
        "Lists and batches, on a CPU",
        "All tasks of `small` on a list of images in memory, of mixed files and of large files, against one image at a "
        "time. Medians of alternating runs.",
        "python benchmarks/speed.py --parts batches --out benchmarks/results/speed_batches_cpu.json",
    ),
    Result(
        "runtimes_maskrcnn_cpu",
        "Mask R-CNN in other runtimes, on a CPU",
        "Mask R-CNN R50-FPN for an image of 800 x 1066, with the same weights in torchvision and in scenekit, whose "
        "networks run in torch, ONNX Runtime, OpenVINO and int8. Medians of alternating runs.",
        "python benchmarks/runtimes.py --parts maskrcnn --repeats 3 "
        "--out benchmarks/results/runtimes_maskrcnn_cpu.json",
    ),
    Result(
        "runtimes_small_cpu",
        "All tasks in other runtimes, on a CPU",
        "All tasks of `small` in torch, and with its networks in ONNX Runtime, in float and in int8. Medians of "
        "alternating runs over 20 images.",
        "python benchmarks/runtimes.py --parts small --out benchmarks/results/runtimes_small_cpu.json",
    ),
    Result(
        "one_or_many",
        "One joint network, or a network per output",
        "One pass for several tasks against the sum of published networks, one for each of its outputs: of those in "
        "the smallest official size, at their official input size, the fastest whose input is not smaller than ours. "
        "All from one image in memory to postprocessed outputs, for the same number of objects and persons; on "
        "ResNet-50 all objects get keypoints. All weights but those of `small` are random, so only time and parameters "
        "are compared, not accuracy. Medians of alternating runs.",
        "python benchmarks/one_or_many.py",
    ),
    Result(
        "growth",
        "How cost grows",
        "All tasks of `small` from decoded pixels to Scenes: for batches of images, for numbers of external objects, "
        "for boxes and so many tasks more, and for images of so many pixels. Medians of alternating runs, and the "
        "exponent of a power law of time, over all amounts and over the upper half of them. With memory kept: glibc "
        "keeps freed memory in the process.",
        "python benchmarks/growth.py",
    ),
    Result(
        "speed_cuda",
        "Speed on a GPU",
        "The same in bfloat16 and channels-last, for batches of 1 and 8, timed by CUDA events.",
        "python benchmarks/speed.py --device cuda",
    ),
    Result(
        "memory",
        "Memory of long runs",
        "Prediction on a folder of 1,000 images, with the command and with an iterator, and evaluation of 5,000 "
        "generated predictions, each in a process of its own. Growth is the rise of a line fitted to the second half "
        "of the memory samples: 0 is flat.",
        "OMP_NUM_THREADS=1 python benchmarks/memory.py",
    ),
    Result(
        "soak",
        "A live stream for ten minutes, on a CPU",
        "A video of rendered scenes that comes at its own times, again and again, through `sk.stream` with all tasks "
        "of `small` and a budget that they do not fit into together. The 95th percentile is that of the time from "
        "taking a frame to its scene; memory is that of the process after the first minute: a median at the beginning "
        "and at the end, and the slope of a fitted line.",
        "python benchmarks/soak.py",
    ),
    Result(
        "scenes_and_samples",
        "Time of a training sample, Scenes per image",
        "CPU time to check, augment and collate one synthetic sample, with the augmentation of `small` and with an "
        "additional random crop, and the number of Scenes that are created per predicted and per evaluated image.",
        "OMP_NUM_THREADS=1 python benchmarks/scenes_and_samples.py",
    ),
    Result(
        "cached_features",
        "Features of a frozen trunk from a file, on a CPU",
        "Training steps of one new head on one image, with trunk and detector frozen: milliseconds of processor time "
        "of the step, of the trunk in it, and of reading its features in float16 from a file in memory. The speedup is "
        "that of a step that reads features, for images that are never augmented, without the loading of images.",
        "python benchmarks/cached_features.py",
    ),
    Result(
        "half_precision",
        "Half precision, on a CPU",
        "All tasks of `small` with weights in float32, bfloat16 and float16 on synthetic images: medians of alternating"
        " runs, and detections of the same label at an IoU of 0.8 or more with those of float32. Another program "
        "used the second core.",
        "OMP_NUM_THREADS=1 python benchmarks/half_precision.py",
    ),
    Result(
        "precision",
        "Every task in other precisions, on a CPU",
        "All tasks of `small` on the 500 validation scenes with weights in float32 and bfloat16, and with networks in "
        "int8: quantized after training by ONNX Runtime, calibrated on 24 images, layers that lose too much in float.",
        "python benchmarks/precision.py --threads 1",
    ),
    Result(
        "scene_graph_recall",
        "Time of scene-graph recall",
        "All metrics on generated images with the published settings of Visual Genome: 80 objects, all ordered "
        "pairs, 50 predicates. One process on one core, including validation of the arrays.",
        "OMP_NUM_THREADS=1 python benchmarks/scene_graph_recall.py",
    ),
    Result(
        "coco_index",
        "Opening a large annotation file",
        "A generated file of the size of COCO's train2017, opened by the data set `coco` and by the module `json`.",
        "python benchmarks/coco_index.py --out benchmarks/results/coco_index.json",
    ),
    Result(
        "visual_genome_index",
        "Opening Visual Genome",
        "Generated files of the size of Visual Genome 1.4, opened by the data set `visual_genome`: the first time, "
        "which builds the index, and again with the stored index; and the annotations of 500 images. Each in a process "
        "of its own, with its total memory; the first row is the import alone. Other programs used both cores, so "
        "compare CPU seconds.",
        "OMP_NUM_THREADS=1 python benchmarks/visual_genome_index.py --out benchmarks/results/visual_genome_index.json",
    ),
    Result(
        "iou3d",
        "IoU of 3D boxes",
        "Exact intersection volumes of all pairs of 100 x 100 oriented boxes, on one thread: wall time and CPU time, "
        "which other programs on the same cores do not affect. The difference from manifold3d is in cubic metres.",
        "OMP_NUM_THREADS=1 python benchmarks/iou3d.py",
    ),
    Result(
        "mesh_ops",
        "Mesh operations against pytorch3d",
        "The same calls in plain torch and in pytorch3d on a CPU, with the sizes of Mesh R-CNN, alternating on one "
        "thread: milliseconds of CPU time, forward and backward; a ratio below 1 is faster than pytorch3d.",
        "OMP_NUM_THREADS=1 python benchmarks/mesh_ops.py",
    ),
    Result(
        "survival",
        "Hostile files, killed runs, full disks",
        "Hostile files by kind, and how many of them broke a property; a training run that was killed at random "
        "moments and resumed each time; commands on file systems that are too small for what they write.",
        "python benchmarks/survival.py",
    ),
    Result(
        "small_val",
        "Metrics of the model `small`",
        "500 synthetic scenes of the validation split. Fractions; COCO's AP.",
        "scenekit evaluate --model small --data synthetic --split val --json",
    ),
    Result(
        "small_val_second_run",
        "Metrics of `small` after its second run",
        "The same 500 scenes; that run was without 3D boxes and meshes.",
        "scenekit evaluate --model FOLDER --data synthetic --split val --json",
    ),
    Result(
        "small_val_first_run",
        "Metrics of `small` after its first run",
        "The same 500 scenes; that run was also without attributes, captions and relations.",
        "scenekit evaluate --model FOLDER --data synthetic --split val --json",
    ),
    Result(
        "task_table",
        "Metrics of each task before and after the last runs of `small`",
        "The main metrics of each task on the validation scenes, for the model after the second run and for the "
        "shipped model, with the frequency baseline and the target if there are any.",
        "python benchmarks/task_table.py benchmarks/results/small_val.json "
        "--before benchmarks/results/small_val_second_run.json",
    ),
    Result(
        "depth",
        "3D boxes and meshes with depth of the image",
        "`small` on the first 100 validation scenes, without depth and with the exact depth of the scene, which is "
        "spoilt by an error of scale of each image, by noise of each pixel, or by pixels without depth; and ways to "
        "place a box by exact depth of which nothing is learned. F1 in percent: of shapes brought to one depth, and as "
        "placed in the scene.",
        "OMP_NUM_THREADS=1 python benchmarks/depth.py",
    ),
    Result(
        "photos",
        "Photographs",
        "The shipped models on photographs of COCO's validation split, over the classes that a model shares with it, "
        "and on the first synthetic validation scenes.",
        "python benchmarks/photos.py FOLDER --synthetic 100",
    ),
    Result(
        "joint_or_alone",
        "Joint and single-task training",
        "All tasks of `small` trained jointly, and each alone with the tasks that it requires, for the same number of "
        "steps from the same backbone and detector with fresh heads. The runs are short: the metrics compare the two, "
        "and are not those of a converged model. Milliseconds per image, and seconds per step.",
        "python benchmarks/joint_or_alone.py recipes/small.yaml --steps 100",
    ),
    Result(
        "balancing",
        "Balancing the losses of tasks",
        "Tasks trained jointly on synthetic scenes with four ways to weight their losses, from the same trunk, with "
        "the same scenes: mean and standard deviation over the seeds. The runs are short: the metrics compare the "
        "ways, and are not those of a converged model; differences within the spread are none.",
        "python benchmarks/balancing.py",
    ),
    Result(
        "line",
        "The systems of the line",
        "Every system trained on the same scenes for the same number of steps from the same trunk, and timed image "
        "by image; what the literature leads to expect, and whether it holds.",
        "python benchmarks/line.py",
    ),
    Result(
        "tracking",
        "Trackers",
        "`small` on synthetic clips of 40 frames, with camera and pose: all trackers get the same objects, from a "
        "score of 0.05 on. The counts of all clips and classes are summed. Those of the package trackers have its "
        "default options, unless a row says otherwise. The thresholds of `associate` were chosen on other clips.",
        "OMP_NUM_THREADS=1 python benchmarks/tracking.py",
    ),
    Result(
        "world",
        "Maps of clips",
        "Maps of synthetic clips with known poses, each visited twice: of the ground truth of the frames, of ground "
        "truth with the errors of a detector, and of predictions. Errors are distances from the true center of the 3D "
        "box; changes are those between both visits. Each kind as shipped, and with other options of the map. Other "
        "programs used the same cores, which milliseconds show.",
        "OMP_NUM_THREADS=1 python benchmarks/world.py",
    ),
    Result(
        "events",
        "Events of clips",
        "`small` on the synthetic clips of two splits, of 5 seconds with 4 frames in each: precision and recall of the "
        "events at a temporal IoU of 0.5, and scores of their sentences, means over the thresholds 0.3, 0.5, 0.7 and "
        "0.9. For the predicted spans and for the true ones; with the sentences of the model, and with one for "
        "all: the most frequent one of the first 100 training clips, and the most central one, which has the highest "
        "mean unigram-F with all of them. The settings of the training were chosen on the validation clips; the "
        "targets are for the test clips.",
        "OMP_NUM_THREADS=1 python benchmarks/events.py",
    ),
    Result(
        "synthetic_scenes",
        "Rendering a synthetic scene",
        "Seconds for one scene of 320x240 pixels with all its annotations, on one core.",
        "python benchmarks/synthetic_scenes.py",
    ),
)


def page_of(*names: str) -> str:
    """Return a section per existing file, or only those of the named files."""
    wanted = [result for result in RESULT_FILES if not names or result.file in names]
    return page(*(section(result) for result in wanted if result.path.exists()))


def part_of(name: str, entry: str) -> str:
    """Return the tables of one entry of a file alone, without the description of the measurement."""
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return page(*tables({entry: found[entry]}))


def section(result: Result) -> str:
    """Return heading, description, command and tables of a file."""
    found = json.loads(result.path.read_text(encoding="utf-8"))
    head = f"## {result.title}", result.what, fenced(result.command, "text")
    return page(*head, *tables(found), f"All numbers: `benchmarks/results/{result.path.name}`.")


def tables(found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield a table of the plain values, then the tables of every nested entry."""
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
    """Arrange metrics such as R@20 and R@50 as rows, with a column per cut-off."""
    rows: dict[str, dict[str, Any]] = {}
    for name, value in entries.items():
        metric, sign, cutoff = name.partition("@")
        if sign:
            rows.setdefault(metric, {})[f"@{cutoff}"] = value
    return rows


def shown(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries for the page, with readable names."""
    return ((words(name), value) for name, value in found.items() if name.rpartition("/")[2] not in HIDDEN)


def nested(value: Any) -> bool:
    """Return whether the value needs a table of its own."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(row, Mapping) for row in value))


def square(value: Mapping[str, Any]) -> bool:
    """Return whether the value is a table by rows: mappings that share at least half of their plain entries."""
    rows = list(value.values())
    if len(rows) < 2 or not all(isinstance(row, Mapping) for row in rows):
        return False
    shared, union = set.intersection(*map(set, rows)), set.union(*map(set, rows))
    return 2 * len(shared) >= len(union) and not any(nested(entry) for row in rows for entry in row.values())


def grid(title: str, value: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table with a row per entry and a column per measurement."""
    columns = dict.fromkeys(name for row in value.values() for name in row if name not in HIDDEN)
    rows = ([name, *(number(row.get(column, "")) for column in columns)] for name, row in value.items())
    yield table([title, *map(words, columns)], rows)


def rows_of(value: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table with a row per entry of a list; columns are in the order of their first occurrence."""
    columns = list(dict.fromkeys(name for row in value for name in row if name not in HIDDEN))
    rows = ([number(row.get(column, "")) for column in columns] for row in value)
    yield table(list(map(words, columns)), rows)


def words(name: str) -> str:
    """Return the name of a measurement with spaces; names with digits are those of networks, and stay."""
    return name if any(sign.isdigit() for sign in name) else name.replace("_", " ")


def number(value: Any) -> str:
    """Format a value: four significant digits, sizes as 320 x 240, paths as code."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        plain = all(isinstance(entry, int | float) for entry in value)
        return (" x " if plain else ", ").join(map(number, value))
    if value is None:
        return ""
    return code(value) if isinstance(value, str) and "/" in value else str(value)
