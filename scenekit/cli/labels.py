"""`scenekit labels`: one label space for several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.cli.evaluate import parsed_options
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.data.labels.coverage import LabelCoverage
    from scenekit.recipe import DatasetConfig, LabelSpace
    from scenekit.structures.vocabulary import Vocabulary

app = typer.Typer(
    name="labels",
    no_args_is_help=True,
    help="Propose one label space for several data sets, or show who supervises it.",
)


class Kinds(StrEnum):
    """What becomes of a name that is a thing in one data set and stuff in another."""

    SPLIT = "split"
    THING = "thing"
    STUFF = "stuff"
    ASK = "ask"


@app.command("merge")
def merge(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES",
            help="Recipes, or data sets by name, each followed by its options: coco root=/data/coco kitti "
            "root=/data/kitti split=val. With labels=SECTION a data set has another name in the file.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The label file; default: standard output.")
    ] = None,
    kinds: Annotated[
        Kinds,
        typer.Option(
            "--kinds",
            help="What becomes of a name that is a thing in one data set and stuff in another: a class of each kind, "
            "one thing, one kind of stuff, or a question in the file.",
        ),
    ] = Kinds.SPLIT,
    as_json: output.JsonOption = False,
) -> None:
    """Propose a label space: names are joined by case, separators, plurals, synonyms and kinds, for you to review.

    A file that exists already keeps what it says; names that it lacks are added.
    """
    from scenekit.data.labels.proposal import propose
    from scenekit.data.labels.text import written
    from scenekit.io.files import path_named, read_text, write_atomically
    from scenekit.recipe import LabelSpace

    before = read_text(out) if out is not None and path_named(out).exists() else ""
    existing = None if out is None or not before else LabelSpace.load(out)
    proposal = propose(vocabularies_of(list(configs_of(sources))), existing, kinds.value)
    changed = existing is None or proposal.space != existing
    text = written(proposal.space, proposal.reasons, before) if changed else before
    if out is None and not as_json:
        output.print_text(text, end="")
        return
    if out is not None and changed:
        output.make_folder(out.parent)
        write_atomically(out, text.encode())
    summary = {**counts(proposal.space), "questions": list(proposal.space.questions)}
    if as_json:
        output.print_json({"file": None if out is None else str(out), "changed": changed, **summary})
        return
    numbers = ", ".join(f"{count} {kind}" for kind, count in counts(proposal.space).items() if count)
    output.print_text(f"{'wrote' if changed else 'nothing to add to'} {out}: {numbers}")
    if proposal.space.questions:
        output.print_text(f"to be answered in the file: {', '.join(proposal.space.questions)}")


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A label file, or a recipe.")],
    as_json: output.JsonOption = False,
) -> None:
    """Show which data set supervises which class, by its own names.

    Of a recipe without a label file, the data sets are opened, and joined by the names of their classes.
    """
    coverage = coverage_of(file)
    if as_json:
        output.print_json(coverage.to_json())
    else:
        print_coverage(coverage)


def configs_of(sources: Sequence[str]) -> Iterator[DatasetConfig]:
    """Yield the data sets that arguments name.

    Args:
        sources: Recipes, and names of data sets, each followed by its options.

    Yields:
        The data sets.

    Raises:
        InputError: If an argument is none of these.
    """
    from scenekit.hooks import registry

    pending: list[str] = []
    for source in sources:
        if pending and "=" in source:
            pending.append(source)
            continue
        if pending:
            yield config_of(pending)
        pending = []
        if Path(source).suffix in (".yaml", ".yml"):
            yield from entries_of(source)
        elif "=" in source:
            raise InputError(f"{source!r} is an option of no data set; write the name of the data set before it")
        else:
            registry().get("dataset", source)
            pending = [source]
    if pending:
        yield config_of(pending)


def entries_of(path: str) -> tuple[DatasetConfig, ...]:
    """Return the data sets of a recipe, whose label file may still lack them or not exist.

    Args:
        path: Path of the recipe.

    Returns:
        Its data sets.
    """
    from scenekit.recipe import Recipe, read_content

    content = read_content(path)
    if isinstance(data := content.get("data"), dict):
        content["data"] = {name: value for name, value in data.items() if name != "labels"}
    return Recipe.parse(content, path).data.entries


def config_of(words: Sequence[str]) -> DatasetConfig:
    """Return a data set of the command line.

    Args:
        words: Its name and options.

    Returns:
        Its entry, as a recipe has it.
    """
    from scenekit.recipe import DatasetConfig

    options: dict[str, Any] = parsed_options(words[1:], words[0])
    labels = options.pop("labels", None)
    split = options.pop("split", "train")
    return DatasetConfig(
        name=words[0], split=str(split), options=options, labels=None if labels is None else str(labels)
    )


def vocabularies_of(configs: Sequence[DatasetConfig]) -> dict[str, Vocabulary]:
    """Open data sets, and return what their labels mean.

    Args:
        configs: The data sets.

    Returns:
        Vocabularies by section; data sets of one section together.
    """
    from scenekit.data.datasets import dataset
    from scenekit.structures.label_map import joined

    vocabularies: dict[str, Vocabulary] = {}
    for config in configs:
        own = dataset(config.name, config.split, **config.options).vocabulary
        before = vocabularies.get(config.section)
        vocabularies[config.section] = own if before is None or before == own else joined(before, own)
    return vocabularies


def counts(space: LabelSpace) -> dict[str, int]:
    """Return how many names a label space has.

    Args:
        space: The label space.

    Returns:
        Numbers by list, and that of the data sets.
    """
    lists = space.vocabulary
    named = {"things": len(lists.things), "stuff": len(lists.stuff)}
    named |= {kind: len(names) for kind, names in lists.by_list.items() if kind != "labels"}
    return {**named, "data sets": len(space.data)}


def coverage_of(file: Path) -> LabelCoverage:
    """Return which data set supervises which class.

    Args:
        file: A label file, or a recipe.

    Returns:
        The data sets of each class.
    """
    from scenekit.data.labels.coverage import by_name, label_coverage
    from scenekit.data.labels.opening import opened
    from scenekit.io.files import read_text
    from scenekit.io.yaml_text import load_yaml
    from scenekit.recipe import LabelSpace, Recipe
    from scenekit.structures.vocabulary import Vocabulary

    content = load_yaml(read_text(file), str(file), names=True)
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("train"), list):
        space = LabelSpace.parse(content, str(file))
        return label_coverage(space, tuple(space.data))
    entries = (recipe := Recipe.load(file)).data.entries
    if (named := recipe.data.label_space) is not None:
        return label_coverage(named, [entry.section for entry in entries])
    sets: dict[str, tuple[Vocabulary, Vocabulary, dict[str, Any]]] = {}
    for entry in entries:
        section = entry.section if entry.section not in sets else f"{entry.section} ({len(sets) + 1})"
        sets[section] = (vocabularies_of([entry])[entry.section], opened(entry).vocabulary, entry.rename)
    joined = reduce(Vocabulary.merged, [mapped for _, mapped, _ in sets.values()])
    return label_coverage(
        by_name({name: (own, rename) for name, (own, _, rename) in sets.items()}, joined), tuple(sets)
    )


def print_coverage(coverage: LabelCoverage) -> None:
    """Print a table per list: a line per class, a column per data set.

    Args:
        coverage: The data sets of each class.
    """
    for kind, names in coverage.lists.items():
        shown = [section for section in coverage.sections if any(section in found for found in names.values())]
        rows = [(name, *(found.get(section) for section in shown)) for name, found in names.items()]
        output.print_table(kind, ("name", *shown), rows)
    for section, dropped in coverage.nothing.items():
        output.print_text(f"no class in {section}: {', '.join(dropped)}")
