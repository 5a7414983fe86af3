"""Tracking metrics by trackeval, the official evaluator, and made-up sequences for them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

OFFICIAL = {
    **{name: name for name in ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr")},
    **{name: name for name in ("MOTA", "MOTP", "MT", "PT", "ML", "Frag", "IDF1", "IDP", "IDR")},
    **{"recall": "CLR_Re", "precision": "CLR_Pr", "IDS": "IDSW", "FP": "CLR_FP", "FN": "CLR_FN"},
}
"""Names of the official evaluator by ours."""


def official_metrics(sequences: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The metrics of each preprocessed sequence and of all, by our names."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    results: dict[str, dict[str, float]] = {name: {} for name in (*sequences, "combined")}
    with contextlib.redirect_stdout(io.StringIO()):
        for metric in (HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})):
            parts = {name: metric.eval_sequence(data) for name, data in sequences.items()}
            for name, values in {**parts, "combined": metric.combine_sequences(parts)}.items():
                own = {ours: values[theirs] for ours, theirs in OFFICIAL.items() if theirs in values}
                results[name] |= {ours: float(np.mean(value)) for ours, value in own.items()}
    return results


def as_official(targets: list[Any], predictions: list[Any], similarities: list[Any]) -> dict[str, Any]:
    """A sequence as the official metrics read it."""
    known, found = (np.unique(np.concatenate([np.asarray(r, int) for r in ids])) for ids in (targets, predictions))
    return {
        "num_timesteps": len(targets),
        "num_gt_ids": len(known),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(map(len, targets)),
        "num_tracker_dets": sum(map(len, predictions)),
        "gt_ids": [np.searchsorted(known, row) for row in targets],
        "tracker_ids": [np.searchsorted(found, row) for row in predictions],
        "similarity_scores": [
            np.asarray(table, dtype=float).reshape(len(g), len(p))
            for g, p, table in zip(targets, predictions, similarities, strict=True)
        ],
    }


def made_up(seed: int, frames: int = 20, objects: int = 6) -> tuple[list[Any], list[Any], list[Any]]:
    """Targets and predictions that miss some, add some and exchange ids, and their similarities."""
    random = np.random.default_rng(seed)
    targets, predictions, similarities = [], [], []
    names = random.permutation(50)[:objects]
    for _ in range(frames):
        there = np.flatnonzero(random.random(objects) < 0.8)
        if random.random() < 0.1:
            names = random.permutation(names)
        hit = there[random.random(len(there)) < 0.8]
        extra = 60 + np.flatnonzero(random.random(4) < 0.3)
        found = np.concatenate((names[hit], extra))
        order = random.permutation(len(found))
        table = random.random((len(there), len(found))) * 0.45
        for column, owner in enumerate(hit):
            table[there == owner, column] = random.uniform(0.3, 1)
        targets.append(there * 3 + 1)
        predictions.append(found[order])
        similarities.append(table[:, order])
    return targets, predictions, similarities


def official_mot_challenge(root: Path, lengths: Mapping[str, int], benchmark: str) -> dict[str, dict[str, float]]:
    """What the official evaluator says of root/gt and root/pred/data."""
    from trackeval.datasets import MotChallenge2DBox

    with contextlib.redirect_stdout(io.StringIO()):
        data = MotChallenge2DBox(
            {
                "GT_FOLDER": str(root / "gt"),
                "TRACKERS_FOLDER": str(root),
                "TRACKERS_TO_EVAL": ["pred"],
                "BENCHMARK": benchmark,
                "SEQ_INFO": dict(lengths),
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        return official_metrics(_preprocessed(data, lengths, "pedestrian"))


def official_kitti(root: Path, lengths: Mapping[str, int], name: str) -> dict[str, dict[str, float]]:
    """What the official evaluator says of root/gt/label_02 and root/pred/data."""
    from trackeval.datasets import Kitti2DBox

    lines = [f"{sequence} empty 000000 {length:06d}" for sequence, length in lengths.items()]
    (root / "gt" / "evaluate_tracking.seqmap.training").write_text("\n".join(lines))
    with contextlib.redirect_stdout(io.StringIO()):
        data = Kitti2DBox(
            {
                "GT_FOLDER": str(root / "gt"),
                "TRACKERS_FOLDER": str(root),
                "TRACKERS_TO_EVAL": ["pred"],
                "PRINT_CONFIG": False,
            }
        )
        return official_metrics(_preprocessed(data, lengths, name))


def _preprocessed(data: Any, lengths: Mapping[str, int], name: str) -> dict[str, dict[str, Any]]:
    return {
        sequence: data.get_preprocessed_seq_data(data.get_raw_seq_data("pred", sequence), name) for sequence in lengths
    }
