"""Compare converted networks with torchvision: `python -m benchmarks.parity_torchvision [--out FILE]`.

Twelve networks with the same random weights, ours converted from a checkpoint file, on three images of different sizes,
in one batch and one by one, and their losses on two annotated images with the same sampled regions. The largest
differences and their tolerances go to benchmarks/results/. Run from the root of the checkout.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table

from scenekit.io.files import write_atomically
from tests.plugins.torchvision_losses import losses
from tests.plugins.torchvision_twins import NAMES, SIZES, Differences, Twins, differences, pictures, predicted, twins

COLUMNS = {
    "detections": "detections",
    "unmatched": "unmatched",
    "boxes": "boxes (px)",
    "scores": "scores",
    "masks": "masks (share of pixels)",
    "keypoints": "keypoints (px)",
    "keypoint_scores": "keypoint logits",
    "losses": "losses (relative)",
}
TOLERANCES = {
    "unmatched": 0,
    "boxes": 1e-3,
    "scores": 1e-4,
    "masks": 1e-3,
    "keypoints": 1e-3,
    "keypoint_scores": 1e-3,
    "losses": 1e-4,
}


def main() -> None:
    """Compare, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parent / "results" / "parity_torchvision.json"
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NAMES, help="others keep the rows of the file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # for a fixed order of summation
    kept = set(NAMES) - set(arguments.networks)
    known = json.loads(arguments.out.read_text())["networks"] if kept else {}
    result = {
        "torchvision": torchvision.__version__,
        "torch": torch.__version__,
        "images": SIZES,
        "tolerances": TOLERANCES,
        "networks": known | {name: compared(name) for name in arguments.networks},
    }
    write_atomically(arguments.out, (json.dumps(result, indent=1) + "\n").encode())
    show(result["networks"])


def compared(name: str) -> dict[str, Any]:
    """Return the largest differences of one network, over the batch and the single images."""
    with tempfile.TemporaryDirectory() as folder:
        pair = twins(name, Path(folder))
    images = pictures(seed=1)
    found = [outputs(pair, batch) for batch in (images, *([image] for image in images))]
    both = losses(pair)
    return {
        "detections": found[0].detections,
        "unmatched": sum(part.unmatched for part in found),
        **largest(found),
        "losses": max(abs(ours - theirs) / theirs for theirs, ours in both.values()),
        "losses_compared": sorted(both),
    }


@torch.no_grad()
def outputs(pair: Twins, batch: list[torch.Tensor]) -> Differences:
    """Return the differences of the outputs for one batch; torchvision runs image by image, as it pads batches."""
    return differences([pair.theirs([image])[0] for image in batch], predicted(pair.ours, batch))


def largest(found: list[Differences]) -> dict[str, float]:
    """Return the maximum of each kind of difference that the network has."""
    kinds = [name for name, value in asdict(found[0]).items() if name in TOLERANCES and value is not None]
    return {kind: max(getattr(part, kind) for part in found) for kind in kinds if kind != "unmatched"}


def show(networks: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table with one row per network."""
    table = Table(title="Largest differences from torchvision with the same weights")
    for title in ("network", *COLUMNS.values()):
        table.add_column(title)
    for name, row in networks.items():
        table.add_row(name, *(f"{row[kind]:.2g}" if kind in row else "" for kind in COLUMNS))
    table.add_row("tolerance", *(f"{TOLERANCES[kind]:.2g}" if kind in TOLERANCES else "" for kind in COLUMNS))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
