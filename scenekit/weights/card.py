"""The model card: Markdown for readers and for the hub, from a model's manifest and its evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from scenekit.config import Config, explained
from scenekit.errors import InputError
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import DatasetConfig, InputConfig, PyramidConfig
from scenekit.structures.vocabulary import BUILT_IN_LISTS
from scenekit.weights.transfer import named_axes

PIPELINE = "object-detection"
"""The hub's category of a model: it allows one each, and every model here has a detector."""

EVALUATED, TRAINED_ON, LABEL_SPACE = "evaluations", "trained_on", "labels"
"""Entries of a manifest's `extra`: a list of Evaluation, names of data sets, and the label space of the training."""


class Evaluation(Config):
    """The results of `scenekit.evaluate` on a data set."""

    data: str
    """Name of the data set and its split, as "coco/val"."""
    results: dict[str, dict[str, Any]]
    """Metrics by task and name."""
    images: int | None = None
    """Number of images that were evaluated; None for the whole split."""
    command: str | None = None
    """Command that repeats the evaluation."""

    def metrics(self, task: str) -> dict[str, float]:
        """Return the plain numbers among a task's metrics; those per class stand in the manifest only.

        Args:
            task: Name of the task.

        Returns:
            Finite metrics by name.
        """
        numbers = {name: value for name, value in self.results[task].items() if isinstance(value, int | float)}
        return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def evaluation_of(
    config: DatasetConfig, results: Mapping[str, Mapping[str, Any]], images: int, name: str | None = None
) -> Evaluation:
    """Return the record of an evaluation on the first images of a recipe's data set.

    Args:
        config: The data set's entry in the recipe.
        results: Metrics by task and name.
        images: Number of images that were evaluated.
        name: Name of the data set in the card; by default its name and split.

    Returns:
        The record.
    """
    command = ["scenekit evaluate --model NAME", f"--data {config.name}", f"--split {config.split}"]
    command += [f"--option {name}={value}" for name, value in config.options.items() if isinstance(value, int | float)]
    command.append(f"--limit {images}")
    values = {task: dict(metrics) for task, metrics in results.items()}
    data = f"{config.name}/{config.split}" if name is None else name
    return Evaluation(data=data, results=values, images=images, command=" ".join(command))


def evaluations_in(manifest: Mapping[str, Any]) -> list[Evaluation]:
    """Return the evaluations that a manifest holds.

    Args:
        manifest: The manifest.

    Returns:
        The evaluations, in their order.

    Raises:
        InputError: If the entries are not evaluations.
    """
    try:
        return [Evaluation.model_validate(entry) for entry in manifest.get("extra", {}).get(EVALUATED, [])]
    except ValidationError as error:
        raise InputError(f"the manifest's evaluations: {explained(error, Evaluation)}") from None


def with_evaluations(manifest: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Add evaluations to a manifest.

    Args:
        manifest: The manifest.
        evaluations: Evaluations to append to its own.

    Returns:
        The changed manifest.
    """
    added = [evaluation.model_dump(mode="json") for evaluation in evaluations]
    extra = manifest.get("extra", {})
    return {**manifest, "extra": {**extra, EVALUATED: [*extra.get(EVALUATED, []), *added]}}


def model_card(model: SceneModel, name: str, manifest: Mapping[str, Any], size: int, license: str | None = None) -> str:
    """Render the model card as Markdown with the front matter that the hub reads.

    Args:
        model: The model.
        name: Name by which the model is loaded.
        manifest: The model's manifest.
        size: Size of the weights, in bytes.
        license: License as the hub names it.

    Returns:
        The card.

    Raises:
        InputError: If the manifest's evaluations cannot be read.
    """
    evaluations = evaluations_in(manifest)
    front = yaml.safe_dump(_front_matter(model, name, license, evaluations), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {name.rpartition('/')[2]}",
        "One network that understands a whole scene in one pass, made with scenekit.",
        *_tasks(model),
        *_use(name),
        *_network(model, size),
        *_classes(model),
        *_training(manifest),
        *_evaluations(name, evaluations),
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(
    model: SceneModel, name: str, license: str | None, evaluations: Sequence[Evaluation]
) -> dict[str, Any]:
    front: dict[str, Any] = {"library_name": "scenekit", "pipeline_tag": PIPELINE}
    if license is not None:
        front["license"] = license
    tags = {name: spec.hub_tag for name, spec in model.specs.items() if spec.hub_tag is not None}
    front["tags"] = list(dict.fromkeys(("scenekit", "computer-vision", PIPELINE, *tags.values(), *model.tasks)))
    results = [
        _indexed(task, tags.get(task, PIPELINE), evaluation)
        for evaluation in evaluations
        for task in evaluation.results
        if evaluation.metrics(task)
    ]
    if results:
        front["model-index"] = [{"name": name.rpartition("/")[2], "results": results}]
    return front


def _indexed(task: str, tag: str, evaluation: Evaluation) -> dict[str, Any]:
    """Return one result in the format of the hub's model index."""
    metrics = [
        {"type": metric, "name": f"{task} {metric}", "value": value}
        for metric, value in evaluation.metrics(task).items()
    ]
    data = {"type": evaluation.data.partition("/")[0], "name": evaluation.data}
    return {"task": {"type": tag, "name": task}, "dataset": data, "metrics": metrics}


def _tasks(model: SceneModel) -> Iterator[str]:
    yield "## Tasks"
    rows = [("objects", "a box, a label and a score for each object")]
    yield _table(("task", "what it predicts"), [*rows, *((spec.name, spec.summary) for spec in model.specs.values())])


def _use(name: str) -> Iterator[str]:
    yield "## Usage"
    lines = [
        "import scenekit as sk",
        f'model = sk.load("{name}")',
        'scene = model.predict("image.jpg", threshold=0.5)',
        'scene.draw().save("scene.png")',
    ]
    yield "\n".join(["```python", *lines, "```"])


def _network(model: SceneModel, size: int) -> Iterator[str]:
    config = model.config
    pixels = config.input
    parameters = sum(parameter.numel() for parameter in model.parameters())
    rows = [
        ("input", _size(pixels)),
        ("backbone", _with_options(config.backbone.name, config.backbone.options)),
        ("pyramid", _features(config.pyramid)),
        ("detector", _with_options(config.detector or "none", config.detector_options)),
        ("parameters", f"{parameters / 1e6:.1f} million"),
        ("weights", f"{size / 1e6:.1f} MB"),
    ]
    yield "## Network"
    yield _table(("part", ""), rows)


def _size(config: InputConfig) -> str:
    if config.fixed_size is not None:
        return f"{config.fixed_size[0]} x {config.fixed_size[1]} pixels (height, width)"
    return f"shorter side {config.min_size} pixels, longer side at most {config.max_size}"


def _features(pyramid: PyramidConfig | None) -> str:
    if pyramid is None:
        return "none"
    return f"{pyramid.channels} channels" if pyramid.kind == "fpn" else "a single map of the backbone"


def _with_options(name: str, options: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{option}: {value}" for option, value in options.items() if not isinstance(value, Mapping))
    return f"{name} ({listed})" if listed else name


def _classes(model: SceneModel) -> Iterator[str]:
    """Yield the model's class names; beside the things, only names that belong to a parameter."""
    vocabulary = model.vocabulary
    used = {name for axes in named_axes(model).values() for axis in axes for name in axis.names}
    further = {
        **{kind: vocabulary.names(kind) for kind in (*BUILT_IN_LISTS, *vocabulary.lists) if kind != "labels"},
        **{f"points of {thing}": skeleton.points for thing, skeleton in vocabulary.skeletons.items()},
    }
    kinds = {"things": vocabulary.things, **{kind: names for kind, names in further.items() if used & {*names}}}
    yield "## Classes"
    yield _table(("", "number", "names"), [(kind, str(len(n)), ", ".join(n)) for kind, n in kinds.items()])


def _training(manifest: Mapping[str, Any]) -> Iterator[str]:
    extra = manifest.get("extra", {})
    facts = [f"scenekit {manifest.get('scenekit', 'unknown')}"]
    if "step" in extra:
        facts.append(f"{extra['step']} training steps")
    if extra.get(TRAINED_ON):
        facts.append(f"trained on {', '.join(extra[TRAINED_ON])}")
    yield f"Made with {'; '.join(facts)}."


def _evaluations(name: str, evaluations: Sequence[Evaluation]) -> Iterator[str]:
    yield "## Evaluation"
    if not evaluations:
        yield f"Not evaluated yet; run `scenekit evaluate --model {name} --data DATA --split SPLIT`."
    for evaluation in evaluations:
        images = "" if evaluation.images is None else f", {evaluation.images} images"
        yield f"On {evaluation.data}{images}:"
        rows = [
            (task, metric, f"{value:.4g}")
            for task in evaluation.results
            for metric, value in evaluation.metrics(task).items()
        ]
        yield _table(("task", "metric", "value"), rows)
        if evaluation.command is not None:
            yield f"```\n{evaluation.command.replace('NAME', name, 1)}\n```"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
