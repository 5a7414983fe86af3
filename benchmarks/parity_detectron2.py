"""Compare converted networks with detectron2: `python -m benchmarks.parity_detectron2 [--out FILE]`.

Every network is written to a checkpoint file and converted; each stage is compared with the output of detectron2 0.6
for the same weights and image (`tests/reference/detectron2`). The largest difference of each kind of stage and its
tolerance go to benchmarks/results/. Run from the root of the checkout.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from scenekit.io.files import write_atomically
from scenekit.weights import convert
from tests.plugins import detectron2_parity as parity

CONFIGS = {
    "mask": "mask_rcnn_R_50_FPN_3x",
    "keypoint": "keypoint_rcnn_R_50_FPN_3x",
    "panoptic": "panoptic_fpn_R_50_3x",
}

KINDS = {
    "normalized image": r"input_.*",
    "backbone": r"feat_res\d_(corner|end|stats)",
    "feature pyramid": r"feat_p\d_(corner|end|stats)",
    "RPN logits and offsets": r"rpn_.*",
    "anchors (px)": r"anchors_.*_(first12|last3)",
    "proposals before NMS (px)": r"img0_pre_nms_top100_boxes",
    "proposals (px)": r"img0_proposals_top100",
    "proposals (logits)": r"img0_(pre_nms|proposals)_top100_logits",
    "pooled features": r"box_pooled_.*|img0_\w+_pooled_.*",
    "box head": r"box_head_.*|cls_logits_.*|box_deltas_.*",
    "detections (px)": r"img0_(det|post)_boxes",
    "detections (scores)": r"img0_(det|post)_scores",
    "mask logits": r"img0_mask_logits_.*",
    "masks (share of pixels)": r"img0_post_mask_areas|img0_post_masks_.*",
    "keypoint heat maps": r"img0_keypoint_heatmaps_.*",
    "keypoints (share moved)": r"img0_(post_)?keypoints",
    "keypoints (scores)": r"img0_(post_)?keypoints_scores",
    "semantic logits": r"sem_logits_stride4_(corner|stats)|img0_sem_seg_corner",
    "label map (share of pixels)": r"img0_sem_seg_argmax",
    "panoptic map (share of pixels)": r"img0_panoptic_seg",
    "counts, levels, classes, segments": r".*_(shape|count|level|num_proposals|level_first20|classes|segments_json)",
}
"""Kinds of stages in the table, and patterns of their names in the reference; the first match counts."""


def main() -> None:
    """Compare, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "parity_detectron2.json")
    arguments = parser.parse_args()
    networks = {CONFIGS[network]: by_kind(measure(network)) for network in parity.NETWORKS}
    result = {
        "reference": "detectron2 0.6",
        "torch": torch.__version__,
        "image": [320, 416],
        "output": [480, 624],
        "networks": networks,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=1) + "\n").encode())
    for network, rows in networks.items():
        Console().print(table(network, rows))


def measure(network: str) -> list[parity.Difference]:
    """Return the differences of every stage of one network."""
    state = parity.weights(parity.shapes(network))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "model_final.pkl"
        checkpoint.write_bytes(pickle.dumps({"model": state}, protocol=2))
        model = convert("detectron2", checkpoint)
    return parity.differences(model, parity.reference(network), parity.image())


def by_kind(differences: Iterable[parity.Difference]) -> dict[str, dict[str, float]]:
    """Return largest difference, strictest tolerance and number of arrays for each kind of stage."""
    rows: dict[str, dict[str, float]] = {}
    for one in differences:
        kind = next(kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, one.stage))
        row = rows.setdefault(kind, {"difference": 0.0, "tolerance": one.tolerance, "arrays": 0})
        row["difference"] = max(row["difference"], one.value)
        row["tolerance"] = min(row["tolerance"], one.tolerance)
        row["arrays"] += 1
    return {kind: rows[kind] for kind in KINDS if kind in rows}


def table(network: str, rows: dict[str, dict[str, float]]) -> Table:
    """Return the table of one network."""
    shown = Table("stage", "largest difference", "tolerance", "arrays", title=network)
    for kind, row in rows.items():
        style = None if row["difference"] <= row["tolerance"] else "red"
        shown.add_row(kind, f"{row['difference']:.1e}", f"{row['tolerance']:.0e}", str(row["arrays"]), style=style)
    return shown


if __name__ == "__main__":
    main()
