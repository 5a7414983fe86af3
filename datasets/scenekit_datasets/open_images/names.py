"""Names of Open Images: classes, attributes, predicates, and which class belongs to which."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import brief
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.open_images.layout import Files, Tables

FLAGS = {"IsOccluded": "occluded", "IsTruncated": "truncated", "IsDepiction": "depiction", "IsInside": "inside"}
"""Attributes that are columns of the boxes."""

IS = "is"
"""The relationship of an object and its attribute."""


@dataclass(frozen=True)
class Names:
    """What the names of the files mean."""

    vocabulary: Vocabulary
    """All names."""
    labels: Mapping[str, int]
    """Labels of the classes by machine id, such as "/m/01g317"."""
    attributes: Mapping[str, int]
    """Places of the attributes of relationships, by machine id."""
    ancestors: Mapping[int, frozenset[int]]
    """For each label those of the broader classes that it belongs to."""

    def below(self, label: int) -> frozenset[int]:
        """Return the narrower classes of a class.

        Args:
            label: Label of the class.

        Returns:
            Their labels.
        """
        return frozenset(narrow for narrow, broad in self.ancestors.items() if label in broad)


def read_names(files: Files, tables: Tables) -> Names:
    """Read the names of classes and attributes, and those of the predicates that occur.

    Args:
        files: The files.
        tables: Their rows.

    Returns:
        The names.

    Raises:
        InputError: If a file is damaged.
    """
    classes = _descriptions(files.classes)
    attributes = _descriptions(files.attributes) if tables.relations is not None and files.attributes else {}
    predicates = () if tables.relations is None else tables.relations.names
    vocabulary = Vocabulary(
        things=tuple(dict.fromkeys(classes.values())),
        predicates=tuple(name for name in predicates if name != IS),
        attributes=tuple(dict.fromkeys((*FLAGS.values(), *attributes.values()))),
    )
    labels = {id: vocabulary.things.index(name) for id, name in classes.items()}
    places = {id: vocabulary.attributes.index(name) for id, name in attributes.items()}
    return Names(vocabulary, labels, places, _ancestors(files.hierarchy, labels))


def _descriptions(path: Path) -> dict[str, str]:
    """Read the names of machine ids, with or without a row of column names."""
    rows = [row for row in csv.reader(read_text(path).splitlines()) if row]
    kept = [row for row in rows if row[:2] != ["LabelName", "DisplayName"]]
    wrong = next((row for row in kept if len(row) < 2), None)
    if wrong is not None or not kept:
        found = "an empty file" if wrong is None else brief(wrong)
        raise InputError(f"{path}: expected rows such as /m/011k07,Tortoise (LabelName, DisplayName), got {found}")
    return {row[0]: row[1] for row in kept}


def _ancestors(path: Path | None, labels: Mapping[str, int]) -> dict[int, frozenset[int]]:
    """Read the broader classes of each class, of which there may be several, from the tree of subcategories."""
    if path is None:
        return {}
    try:
        tree = json.loads(read_text(path))
        pairs = list(_pairs(tree, frozenset()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{path}: expected a tree of objects with 'LabelName' and lists 'Subcategory'") from None
    out: dict[int, frozenset[int]] = {}
    for id, broader in pairs:
        if id in labels:
            known = frozenset(labels[one] for one in broader if one in labels)
            out[labels[id]] = out.get(labels[id], frozenset()) | known
    return out


def _pairs(node: dict[str, Any], broader: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    yield node["LabelName"], broader
    for child in node.get("Subcategory", []):
        yield from _pairs(child, broader | {node["LabelName"]})
