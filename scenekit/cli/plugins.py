"""`scenekit plugins`: what is installed, where it is from, and what could not be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenekit.cli.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from scenekit.hooks import Origin, Registry

HEADINGS = {
    "task": "tasks",
    "backbone": "backbones",
    "detector": "detectors",
    "dataset": "datasets",
    "labeler": "labelers",
    "modality": "modalities",
    "balancer": "balancers",
    "weights": "weights",
    "runtime": "runtimes",
    "tracker": "trackers",
}
KEY_LISTS = ("requires", "needs", "uses", "provides", "learns_from")
TEXTS = ("url", "license")
MORE = ("stages", "configure", "prepare")


def plugins(as_json: JsonOption = False) -> None:
    """List tasks, backbones, detectors, data sets, weights, trackers and the like, and the plugins that failed."""
    from scenekit.hooks import registry

    found = registry()
    if as_json:
        print_json({**inventory(found), "failures": failures(found)})
        return
    for heading, records in inventory(found).items():
        if records:
            print_records(heading, records)
    if found.failures:
        rows = [(entry["plugin"], entry["cause"], origin_text(entry)) for entry in failures(found)]
        print_table("failed", ("plugin", "cause", "from"), rows)


def inventory(found: Registry) -> dict[str, list[dict[str, Any]]]:
    """List records by heading with their origins; two records of one name are two entries."""
    return {
        heading: [
            {"name": name, **described(record), **origin_entry(origin)}
            for name, claims in sorted(found.records.get(kind, {}).items())
            for record, origin in claims
        ]
        for kind, heading in HEADINGS.items()
    }


def described(record: Any) -> dict[str, Any]:
    """Return the summary, of a data set its source, and of a task its keys and whether it has more than a head."""
    lists = {name: [key.name for key in getattr(record, name)] for name in KEY_LISTS if hasattr(record, name)}
    more = {name: getattr(record, name) is not None for name in MORE if hasattr(record, name)}
    texts = {name: getattr(record, name) for name in ("summary", *TEXTS) if hasattr(record, name)}
    return {**texts, **lists, **more}


def failures(found: Registry) -> list[dict[str, Any]]:
    """Return the plugins that could not be loaded, each with its cause in one line."""
    return [{**origin_entry(entry.origin), "cause": " ".join(entry.cause.split())} for entry in found.failures]


def origin_entry(origin: Origin) -> dict[str, str]:
    """Return plugin, distribution and version."""
    return {"plugin": origin.plugin, "distribution": origin.distribution, "version": origin.version}


def origin_text(entry: dict[str, Any]) -> str:
    """Return a text such as `scenekit 0.1.0`."""
    return f"{entry['distribution']} {entry['version']}"


def print_records(heading: str, records: list[dict[str, Any]]) -> None:
    """Print one table; with columns of keys only where a record has them."""
    lists = [name for name in ("requires", "provides") if name in records[0]]
    rows = [
        (entry["name"], entry["summary"], *(", ".join(entry[name]) for name in lists), origin_text(entry))
        for entry in records
    ]
    print_table(heading, ("name", "what", *lists, "from"), rows)
