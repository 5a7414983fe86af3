"""Relations between the objects of an image."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Columns, Frame, ImageField, Shape, Swatch, rows_in, scores_of
from scenekit.io.files import plain
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.relations import Relations
from scenekit.structures.vocabulary import Vocabulary


class RelationField(ImageField[list[Relations], Relations]):
    """Relations of an image; mirroring exchanges the vocabulary's mirror predicates."""

    names_objects = True

    def image(self, value: list[Relations], index: int, rows: Tensor) -> Relations:
        """Those between objects that are left, which get the places of a Scene."""
        relations = value[index]
        named = [relations.subject, relations.object, rows]
        count = max((int(column.max()) + 1 for column in named if len(column)), default=0)
        count = count if relations.labels is None else len(relations.labels)
        places = torch.full((count,), -1, dtype=torch.int64, device=rows.device)
        places[rows] = torch.arange(len(rows), device=rows.device)
        return relations.moved(places)

    def transform(self, item: Relations, geometry: Geometry, vocabulary: Vocabulary) -> Relations:
        if not geometry.mirrored:
            return item
        order = torch.tensor(vocabulary.predicate_mirror_order, dtype=torch.int64, device=item.predicate.device)
        probabilities = None if item.probabilities is None else item.probabilities[:, order]
        return replace(item, predicate=order[item.predicate], probabilities=probabilities)

    def columns(self, item: Relations, frame: Frame) -> Columns:
        """Subject, predicate, object and score, the surest first."""
        surest, things = item, frame.vocabulary.things
        if item.score is not None:
            surest = item[item.score.nan_to_num(0).argsort(descending=True, stable=True)]
        names = [things[label] for label in rows_in(frame).labels.tolist()]
        scores = [] if surest.score is None else surest.score.tolist()
        return {
            "subject": [Swatch(f"{names[row]} {row}", row=row) for row in surest.subject.tolist()],
            "predicate": [frame.vocabulary.predicates[predicate] for predicate in surest.predicate.tolist()],
            "object": [Swatch(f"{names[row]} {row}", row=row) for row in surest.object.tolist()],
            **({"score": ["" if math.isnan(score) else f"{score:.2f}" for score in scores]} if scores else {}),
        }

    def example(self, frame: Frame, shape: Shape = None) -> Relations:
        """Each object to the next one."""
        subject = torch.arange(max(len(rows_in(frame)) - 1, 0))
        return Relations(subject, subject + 1, subject % max(len(frame.vocabulary.predicates), 1))

    def encode(self, item: Relations, vocabulary: Vocabulary) -> Any:
        """One entry a relation; where objects are labelled anew, an object with `relations` and `objects`."""
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
        if item.probabilities is None:
            return entries
        probabilities = plain(item.probabilities.tolist())
        return [{**entry, "probabilities": row} for entry, row in zip(entries, probabilities, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Relations:
        rows, objects = (data["relations"], data["objects"]) if isinstance(data, dict) else (data, None)
        subject, target, predicate = (
            torch.tensor([row[name] for row in rows], dtype=torch.int64) for name in ("subject", "object", "predicate")
        )
        probabilities = [row.get("probabilities") for row in rows]
        relations = Relations(
            subject, target, predicate, scores_of([row["score"] for row in rows]), scores_of(probabilities)
        )
        if objects is None:
            return relations
        labels = torch.tensor([row["label"] for row in objects], dtype=torch.int64)
        return replace(relations, labels=labels, label_scores=scores_of([row["score"] for row in objects]))
