"""Relations between the objects of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.fields.base import ImageField, Shape
from scenekit.fields.conversion import scores_of
from scenekit.fields.frame import Columns, Edges, Frame, Issue, Validated, rows_in
from scenekit.fields.pairs import end_columns, first_of_each, misplaced_ends, repeated, unknown_names, without_entries
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.label_map import LabelMap
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary, flip_labels, one_sided_names


class RelationField(ImageField[list[Relations], Relations]):
    """Relations of an image; a flip exchanges predicates that name a side."""

    lists = ("predicates",)
    parts = MappingProxyType(
        {
            "subject": "row of the subject among the objects [R]; -1 for padding",
            "object": "row of the object among the objects [R]; -1 for padding",
            "predicate": "place among the predicates of the vocabulary [R]",
            "score": "score of the whole triplet, 0..1, best first [R]",
            "probabilities": "probability of each predicate for the pair [R P]; the rest to 1 is no relation",
            "labels": "classes that the predictor gives to the objects, by place among the things [N]; -1 for none",
            "label_scores": "scores of these classes, 0..1 [N]",
            "count": "how often each relation is annotated [R]",
        }
    )

    def transform(self, item: Relations, geometry: Geometry, vocabulary: Vocabulary) -> Relations:
        if not geometry.mirrored:
            return item
        order = list(vocabulary.flipped("predicates").order)
        probabilities = None if item.probabilities is None else item.probabilities[:, order]
        labels = None if item.labels is None else flip_labels(item.labels, "things", vocabulary)
        predicate = flip_labels(item.predicate, "predicates", vocabulary)
        return replace(item, predicate=predicate, probabilities=probabilities, labels=labels)

    def one_sided(self, item: Relations, frame: Frame) -> Iterator[str]:
        """Yield predicates without a counterpart."""
        yield from one_sided_names(item.predicate, "predicates", frame.vocabulary)

    def columns(self, item: Relations, frame: Frame) -> Columns:
        """Return subject, predicate, object and score of the likely relations, by descending score."""
        item = item[item.likely]
        surest = item if item.score is None else item[item.score.nan_to_num(0).argsort(descending=True, stable=True)]
        ends = end_columns(surest.subject, surest.object, frame)
        scores: list[float] = [] if surest.score is None else surest.score.tolist()
        return {
            "subject": ends["subject"],
            "predicate": [frame.vocabulary.predicates[predicate] for predicate in surest.predicate.tolist()],
            "object": ends["object"],
            **({"score": ["" if math.isnan(score) else f"{score:.2f}" for score in scores]} if scores else {}),
        }

    def example(self, frame: Frame, shape: Shape = None) -> Relations:
        """Return a relation of each object to the next one."""
        subject = torch.arange(max(len(rows_in(frame)) - 1, 0))
        return Relations(subject, subject + 1, subject % max(len(frame.vocabulary.predicates), 1))

    def encode(self, item: Relations, vocabulary: Vocabulary) -> Any:
        """Encode an entry per relation; with labels of the predictor a mapping of `relations` and `objects`."""
        relations = self._encode_rows(item, vocabulary)
        if item.labels is None:
            return relations
        scores: list[Any] = [None] * len(item.labels) if item.label_scores is None else item.label_scores.tolist()
        objects = [
            {"label": label, "name": vocabulary.things[label], "score": plain(score)}
            for label, score in zip(item.labels.tolist(), scores, strict=True)
        ]
        return {"relations": relations, "objects": objects}

    def _encode_rows(self, item: Relations, vocabulary: Vocabulary) -> list[dict[str, Any]]:
        scores: list[Any] = [None] * len(item) if item.score is None else plain(item.score.tolist())
        columns = (item.subject.tolist(), item.object.tolist(), item.predicate.tolist(), scores)
        names = vocabulary.predicates
        entries = [
            {"subject": s, "object": o, "predicate": p, "name": names[p], "score": score}
            for s, o, p, score in zip(*columns, strict=True)
        ]
        for name, column in (("probabilities", item.probabilities), ("count", item.count)):
            if column is not None:
                values = plain(column.tolist())
                entries = [{**entry, name: value} for entry, value in zip(entries, values, strict=True)]
        return entries

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Relations:
        rows, objects = (data["relations"], data["objects"]) if isinstance(data, dict) else (data, None)
        subject, target, predicate = (
            torch.tensor([row[name] for row in rows], dtype=torch.int64) for name in ("subject", "object", "predicate")
        )
        probabilities = [row.get("probabilities") for row in rows]
        relations = Relations(
            subject,
            target,
            predicate,
            scores_of([row["score"] for row in rows]),
            scores_of(probabilities),
            count=torch.tensor([row["count"] for row in rows]) if rows and "count" in rows[0] else None,
        )
        if objects is None:
            return relations
        labels = torch.tensor([row["label"] for row in objects], dtype=torch.int64)
        return replace(relations, labels=labels, label_scores=scores_of([row["score"] for row in objects]))

    def remap(self, item: Relations, index_map: Int[Tensor, " N"]) -> Relations:
        """Return the relations of objects that are left, with their new rows."""
        return item.remapped(index_map)

    def relabel(self, item: Relations, labels: LabelMap) -> Relations:
        """Return those that the new vocabulary has a predicate for, each once; its further predicates are improbable.

        Labels that a predictor gave the objects stay if the new vocabulary has all of them.
        """
        if not len(item.subject) == len(item.object) == len(item.predicate):
            return item  # `validate` refuses it
        predicate = labels.apply("predicates", item.predicate)
        kept = predicate >= 0
        if labels.merges("predicates"):
            kept &= first_of_each((item.subject, item.object, predicate))
        left = replace(item, predicate=predicate)[kept]
        if left.probabilities is not None:
            left = replace(left, probabilities=labels.summed("predicates", left.probabilities))
        if left.labels is None:
            return left
        relabelled = labels.apply("things", left.labels)
        if bool((relabelled < 0).any()):
            return replace(left, labels=None, label_scores=None)
        return replace(left, labels=relabelled)

    def validate(self, item: Relations, frame: Frame) -> Validated:
        """Drop relations of missing objects or of an object to itself, with an unknown predicate, and repetitions."""
        columns = (item.subject, item.object, item.predicate)
        if len({len(column) for column in columns}) > 1:
            lengths = ", ".join(str(len(column)) for column in columns)
            message = f"there are {lengths} subjects, objects and predicates; expected as many of each"
            return Validated(None, None, [Issue("relations of unequal columns", message)])
        problems = [
            *misplaced_ends("relations", item.subject, item.object, len(frame.boxes)),
            *unknown_names("relations", item.predicate, frame.vocabulary.predicates, "predicates"),
            *repeated("relations", columns),
        ]
        kept, issues = without_entries(len(item), problems)
        return Validated(item[kept] if issues else item, None, issues)

    def statistics(self, item: Relations, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield how many relations there are."""
        yield "relations an image", torch.tensor([len(item)])

    def occurrences(self, item: Relations, frame: Frame) -> Iterator[tuple[str, str]]:
        """Yield the predicate of each relation."""
        yield from (("predicates", frame.vocabulary.predicates[number]) for number in item.predicate.tolist())

    def edges(self, item: Relations, vocabulary: Vocabulary) -> Edges:
        """Return an edge per relation, with its `predicate` and, where known, `probabilities` [P].

        Raises:
            InputError: A predicate is not in the vocabulary.
        """
        issue = next(unknown_names("relations", item.predicate, vocabulary.predicates, "predicates"), None)
        if issue is not None:
            raise InputError(
                f"relation {issue.entry}: {issue.message}, counted from 0; give the scene the vocabulary that the"
                " relations were made with"
            )
        probabilities = None if item.probabilities is None else plain(item.probabilities.tolist())
        attributes = [
            {"predicate": vocabulary.predicates[number]}
            | ({} if probabilities is None else {"probabilities": probabilities[row]})
            for row, number in enumerate(item.predicate.tolist())
        ]
        return Edges(item.subject, item.object, item.score, attributes, item.likely)
