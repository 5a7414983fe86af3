"""Compare joint with single-task training: `python benchmarks/joint_or_alone.py RECIPE [--steps 150] [--images 100]`.

All tasks of a recipe are trained jointly, and each of them alone (with the tasks that it requires), for the same number
of steps from the same weights: backbone, feature pyramid and detector of the recipe's `init`, fresh heads. All runs use
the same images in the same order. The runs are short: the metrics compare the two, and are not those of a converged
model. Each model is then evaluated on the first validation scenes, and timed on one of them.

Each run stores its model and results in a folder of its own below `--work`; finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import interleaved, machine, milliseconds
from task_table import MAIN_METRICS

import scenekit as sk
from scenekit.evaluation.loop import DETECTION
from scenekit.hooks import registry
from scenekit.io.files import plain, write_atomically
from scenekit.weights.checkpoint import save_model

JOINT = "all tasks"
REPEATS = 20


def main() -> None:
    """Train the models that are missing, evaluate them, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--images", type=int, default=100, help="number of evaluated images")
    parser.add_argument("--tasks", nargs="+", help=f'train only these tasks alone ("{DETECTION}" for boxes)')
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/joint_or_alone"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "joint_or_alone.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = started_afresh(sk.Recipe.load(arguments.recipe), arguments.work, arguments.steps)
    alone = arguments.tasks or [DETECTION, *measured_tasks(recipe)]
    runs = {JOINT: list(recipe.model.tasks), **{name: with_needs(recipe, name) for name in alone}}
    found = {}
    for name, tasks in runs.items():
        folder = arguments.work / f"{name.replace(' ', '_')}-{arguments.steps}-{arguments.images}"
        found[name] = result_of(with_tasks(recipe, tasks), folder, arguments)
        print(f"{name}: {found[name]['milliseconds']} ms per image", flush=True)
    facts = {**machine(torch.device(arguments.device)), "steps": arguments.steps, "images": arguments.images}
    result = {**facts, "metrics": list(rows(found)), "runs": {name: costs(run) for name, run in found.items()}}
    write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())
    show(result["metrics"])


def started_afresh(recipe: sk.Recipe, work: Path, steps: int) -> sk.Recipe:
    """Return the recipe for `steps` steps that starts from the shared stages of its `init`."""
    if recipe.init is None:
        raise sk.InputError("the recipe needs `init`, a model whose backbone and detector all runs start from")
    initial = sk.load(recipe.init)
    trunk = sk.build(recipe.model.model_copy(update={"tasks": {}}), initial.vocabulary)
    sk.transfer(initial, trunk)
    save_model(trunk, work / "trunk")
    # After so few steps an average of the weights would be dominated by the initial ones.
    short = {"steps": steps, "warmup": min(recipe.train.warmup, steps // 10), "save_every": steps, "ema": None}
    train = recipe.train.model_copy(update=short)
    # Options that `init` computed from the data, such as a tokenizer, are not computed again for every run.
    tasks = {name: {**initial.config.tasks.get(name, {}), **options} for name, options in recipe.model.tasks.items()}
    return recipe.model_copy(
        update={
            "init": str(work / "trunk"),
            "model": recipe.model.model_copy(update={"tasks": tasks}),
            "train": train,
        }
    )


def measured_tasks(recipe: sk.Recipe) -> list[str]:
    """Return the tasks that have an evaluator."""
    return [name for name in recipe.model.tasks if registry().get("task", name).evaluator is not None]


def with_needs(recipe: sk.Recipe, name: str) -> list[str]:
    """Return the task and those of the recipe that provide what it requires; none for boxes, which need no task."""
    if name == DETECTION:
        return []
    specs = {task: registry().get("task", task) for task in recipe.model.tasks}
    needed = [task for task, spec in specs.items() if set(spec.provides) & set(specs[name].requires)]
    return [*(task for each in needed if each != name for task in with_needs(recipe, each)), name]


def with_tasks(recipe: sk.Recipe, tasks: Sequence[str]) -> sk.Recipe:
    """Return the recipe with only these tasks and their loss weights."""
    options = {name: recipe.model.tasks[name] for name in tasks}
    left_out = set(recipe.model.tasks) - set(tasks)
    weights = recipe.train.loss_weights
    kept = {name: weight for name, weight in weights.items() if name.partition(".")[0] not in left_out}
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"tasks": options}),
            "train": recipe.train.model_copy(update={"loss_weights": kept}),
        }
    )


def result_of(recipe: sk.Recipe, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return metrics, milliseconds per image and seconds per step of one run."""
    file = folder / "result.json"
    if not file.exists():
        model = sk.train(recipe, out=folder, resume=True, device=arguments.device, progress=False).eval()
        scenes = sk.dataset("synthetic", split="val")
        metrics = sk.evaluate(model, scenes, limit=arguments.images)
        result = {"metrics": metrics, "milliseconds": time_of(model, scenes[0].image), "seconds": step_of(folder)}
        write_atomically(file, json.dumps(plain(result)).encode())
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def time_of(model: sk.SceneModel, image: torch.Tensor) -> float:
    """Return the milliseconds from an image in memory to its Scene, with a score threshold of 0.5."""
    seconds = interleaved({"": lambda: model.predict(image, threshold=0.5)}, REPEATS, model.device, warm_up=3)
    return milliseconds(seconds[""])


def step_of(folder: Path) -> float:
    """Return the seconds per step: the median over the lines of the log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    batch = sk.Recipe.load(folder / "recipe.yaml").train.batch_size
    return float(round(statistics.median(batch / line["images_per_second"] for line in lines), 2))


def costs(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the times of a run."""
    return {name: run[name] for name in ("milliseconds", "seconds")}


def rows(found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per metric: the joint model, and the single-task model."""
    joint = found[JOINT]["metrics"]
    for task, metrics in MAIN_METRICS.items():
        if task in found and task in joint:
            own = found[task]["metrics"][task]
            for metric in metrics:
                yield {"metric": f"{task} {metric}", "joint": joint[task].get(metric), "alone": own.get(metric)}


def show(lines: Sequence[Mapping[str, Any]]) -> None:
    """Print the table."""
    print(f"\n{'metric':40}{'joint':>10}{'alone':>10}")
    for line in lines:
        print(f"{line['metric']:40}" + "".join(f"{number(line[name]):>10}" for name in ("joint", "alone")))


def number(value: float | None) -> str:
    """Format with four digits; empty for None."""
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
