"""Options of every installed task, backbone, detector, data set, balancer and tracker, from the registry."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from scenekit.detection.config import PresetConfig
from scenekit.detection.proposals import ProposalsConfig
from scenekit.hooks import registry
from scenekit_docs.markdown import code, page, table
from scenekit_docs.recipe import as_yaml, section, sections

PLACES: Mapping[str, str] = {
    "task": "model.tasks.{}",
    "detector": "model.detector_options",
    "tracker": "options of {}",
}
"""Path in a recipe of the options of a kind."""


def page_of_kind(kind: str) -> str:
    """Return a section per record of that kind; records with the same function, and so the same options, share one."""
    found = registry()
    records = [found.get(kind, name) for name in found.names(kind)]
    if kind in PLACES:
        alike = groupby(records, lambda record: (record.config, builder(record.build)))
        return page(*(of_config(kind, list(group)) for _, group in alike))
    return page(*(of_builder(list(group)) for _, group in groupby(records, lambda record: builder(record.build))))


def of_config(kind: str, records: Sequence[Any]) -> str:
    """Return the section of records whose options are one pydantic model: one table per section of the model."""
    first = records[0]
    place = PLACES[kind].format(first.name)
    models = list(sections(first.config, place))
    parts = [section(path, model).replace("## ", "### ", 1) for path, model in models]
    title = ", ".join(code(record.name) for record in records)
    return page(f"## {title}", f"{sentence(first.summary)} {keys(first)}", *parts)


def sources_of_proposals() -> str:
    """Return a table per section of the options of the sources of proposals."""
    models = sections(ProposalsConfig, "model.detector_options.proposals")
    return page(*(section(path, model).replace("## ", "### ", 1) for path, model in models))


def keys(record: Any) -> str:
    """Return the keys that a task provides, requires, uses and learns from."""
    verbs = {"provides": "Provides", "requires": "Requires", "uses": "Uses", "learns_from": "Learns from"}
    parts = (
        f"{verb} {', '.join(code(key.name) for key in found)}."
        for name, verb in verbs.items()
        if (found := getattr(record, name, ()))
    )
    return " ".join(parts)


def of_builder(records: Sequence[Any]) -> str:
    """Return the section of records whose options are the parameters of one function."""
    first = records[0]
    name = f"{first.name}NAME" if first.name.endswith("/") else first.name  # one record for all networks of a library
    title = code(name) if len(records) == 1 else f"{code(name)} to {code(records[-1].name)}"
    listed = sentence(first.summary) if len(records) == 1 else ", ".join(code(record.name) for record in records) + "."
    splits = f"Splits: {', '.join(map(code, first.splits))}." if hasattr(first, "splits") else ""
    return page(f"## {title}", listed, splits, source(first), documented(builder(first.build)), parameters(first))


def source(record: Any) -> str:
    """Return where a data set can be downloaded and under which license, as far as its record states it."""
    url, license = getattr(record, "url", ""), getattr(record, "license", "")
    lines = ([f"Download: <{url}>."] if url else []) + ([f"License: {license}."] if license else [])
    return " ".join(lines)


def builder(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself, without arguments of a partial."""
    return build.func if isinstance(build, partial) else build


def documented(build: Callable[..., Any]) -> str:
    """Return the docstring without its first line and its sections."""
    _, _, details = (inspect.getdoc(build) or "").partition("\n\n")
    return re.split(r"^(?:Args|Returns|Raises):$", details, maxsplit=1, flags=re.MULTILINE)[0].strip()


def meanings(build: Callable[..., Any]) -> dict[str, str]:
    """Return the line of each parameter in the docstring's section `Args:`."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", inspect.getdoc(build) or "", re.MULTILINE)
    entries = re.split(r"^    (?=\w+: )", section[1] if section else "", flags=re.MULTILINE)[1:]
    pairs = (entry.partition(": ") for entry in entries)
    return {name: " ".join(text.split()) for name, _, text in pairs}


def parameters(record: Any) -> str:
    """Return a table of name, type, default and meaning."""
    listed = list(inspect.signature(record.build).parameters.values())[record.name.endswith("/") :]
    texts = meanings(builder(record.build))
    rows = [(code(p.name), code(type_of(p)), default_of(p), texts.get(p.name, "")) for p in listed if p.name != "split"]
    return table(("option", "type", "default", "meaning"), rows) if rows else "It has no options.\n"


def weights() -> str:
    """Return a table of the sources of weights and their networks."""
    found = registry()
    rows = [
        (code(name), source.summary, " ".join(map(code, source.names)) or "-", "yes" if source.convert else "no")
        for name in found.names("weights")
        for source in [found.get("weights", name)]
    ]
    return table(("source", "description", "networks", "converts files"), rows)


def type_of(parameter: inspect.Parameter) -> str:
    """Return the annotation as it is written."""
    note = parameter.annotation
    if note is inspect.Parameter.empty:
        return "any"
    return note if isinstance(note, str) else inspect.formatannotation(note)


def default_of(parameter: inspect.Parameter) -> str:
    """Return the default, or that the parameter is required."""
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return "passed to the builder of the library"
    return "**required**" if parameter.default is inspect.Parameter.empty else code(repr(parameter.default))


def sentence(text: str) -> str:
    """Capitalize a text, unless it begins with a name, and add a full stop."""
    first = text.partition(" ")[0]
    return f"{first[:1].upper() + first[1:] if first.isalpha() else first}{text[len(first) :]}".rstrip(".") + "."


def presets() -> str:
    """Return a table of the values that each preset of each detector sets."""
    found = registry()
    configs = {name: found.get("detector", name).config for name in found.names("detector")}
    rows = [
        (code(detector), code(name), code(path), code(as_yaml(value)))
        for detector, config in configs.items()
        if issubclass(config, PresetConfig)
        for name, changes in config.presets.items()
        for path, value in flat(changes)
    ]
    return table(("detector", "preset", "key", "value"), rows)


def flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield paths such as `a.b` and their values for nested mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
