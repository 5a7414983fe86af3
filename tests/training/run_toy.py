"""A training run on toys in a process of its own: `run_toy.py OUT '{"resume": true, "recipe": {...}, "steps": 6}'`."""

import hashlib
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import toy

from scenekit.recipe import Recipe
from scenekit.training.loop import train


def main(out: str, options: dict) -> None:
    """Train; print a checksum of the weights."""
    torch.set_num_threads(1)
    toy.register()
    content = toy.recipe(options.pop("steps"), **options.pop("train", {})).model_dump(mode="json")
    content["model"]["tasks"] |= options.pop("tasks", {})
    content["model"]["backbone"] = options.pop("backbone", content["model"]["backbone"])
    content["data"]["train"] = options.pop("data", content["data"]["train"])
    model = train(Recipe.parse(content), out=out, device="cpu", **options)
    weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    print(hashlib.sha256(weights).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
