"""Measure, or train, the events of clips that `small` predicts: `OMP_NUM_THREADS=1 python benchmarks/events.py`.

* Without options the shipped model is measured on the synthetic validation and test clips: its events, its sentences
  against fixed ones of the first 100 training clips, and its sentences for the true spans.
* `--train 345` trains the head from the first 345 training clips with the settings of `recipes/events.yaml`, which
  `scenekit train` reads, too. The trunk is frozen, so that the cells of each clip are computed once, as the clip is and
  flipped. They are kept in `--cells`, in a folder for each trunk. The result is a model folder, `--out`.
* `--merge FOLDER` puts the head of a trained model on the model `--model`, whose other weights may have changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import operator
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from measuring import machine
from torch import Tensor
from torch.nn import functional as F

import scenekit as sk
from scenekit.data.clips import ClipSamples
from scenekit.hooks import registry
from scenekit.io.files import plain, write_atomically
from scenekit.metrics.dense_captions.language import language_score
from scenekit.model.build import build
from scenekit.model.targets import Targets
from scenekit.structures.images import ClipFrames, ImageBatch
from scenekit.training.ema import Ema
from scenekit.training.optimizers import build_optimizer, set_learning_rate
from scenekit.weights.checkpoint import save_model
from scenekit.weights.grafting import Scion, graft
from scenekit_plugins.events.cells import EVENT_CELLS
from scenekit_plugins.events.config import EventConfig
from scenekit_plugins.events.evaluator import EventEvaluator
from scenekit_plugins.events.head import EventHead

HERE = Path(__file__).parent
RECIPE = HERE.parent / "recipes" / "events.yaml"
FRAMES, RATE = 20, 4
"""Frames of a clip, and frames in a second."""
NAMED = 100
"""Training clips whose sentences are compared."""
METRICS = ("precision at 0.5", "recall at 0.5", "unigram-F", "BLEU-4", "CIDEr-D", "SODA_c (unigram-F)")
SHIFT = (2, 3)
"""By so many rows and columns of the parts of cells images are shifted at most; the edge comes in."""
THINNED = 0.3
"""Probability that up to 30 % of the frames are left out."""
TARGET = 0.6
"""Precision and recall at a tIoU of 0.5."""


@dataclass(frozen=True, eq=False)
class Example:
    """What the head reads of a clip, and what it learns from it."""

    cells: Float[Tensor, "F G D"]
    """The cells of each frame."""
    times: tuple[float, ...]
    """Seconds of each frame."""
    events: sk.Events
    """Ground truth."""


def main() -> None:
    """Train, merge or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--train", type=int, metavar="N", help="train a head from the first N training clips")
    parser.add_argument("--merge", type=Path, metavar="FOLDER", help="model folder whose head is put on the model")
    parser.add_argument("--cells", type=Path, default=Path("runs/events/cells"), help="where cells are kept")
    parser.add_argument("--out", type=Path, help="model folder, or file of results")
    arguments = parser.parse_args()
    model = sk.load(arguments.model)
    if arguments.train:
        trained = train(model, arguments.train, arguments.cells)
        save_model(trained, arguments.out or Path("runs/events/model"), dtype=torch.float16)
    elif arguments.merge:
        save_model(merged(model, arguments), arguments.out or Path("runs/events/merged"), dtype=torch.float16)
    else:
        measure(model, arguments.model, arguments.out or HERE / "results" / "events.json")


def merged(model: sk.SceneModel, arguments: argparse.Namespace) -> sk.SceneModel:
    """Return a model whose head of events is that of another one with the same trunk."""
    others = ",".join(name for name in model.specs if name != "events")
    return graft([Scion.parse(f"{arguments.model}:{others}"), Scion.parse(f"{arguments.merge}:events")])[0]


def with_head(base: sk.SceneModel, options: Mapping[str, Any]) -> sk.SceneModel:
    """Return a model with a fresh head of events beside its tasks, whose weights stay as they are."""
    torch.manual_seed(0)
    tasks = {**base.config.tasks, "events": dict(options)}
    model = build(base.config.model_copy(update={"tasks": tasks}), base.vocabulary)
    kept = {name: value for name, value in base.state_dict().items() if not name.startswith("heads.events.")}
    model.load_state_dict({**model.state_dict(), **kept})
    return model.eval()


def clips(split: str, **options: Any) -> Any:
    """Return the synthetic clips of a split."""
    return sk.clips("synthetic_clips", split=split, frames=FRAMES, rate=RATE, **options)


def train(base: sk.SceneModel, count: int, folder: Path) -> sk.SceneModel:
    """Return a model with a head of events that has learned from cells."""
    recipe, data = sk.Recipe.load(RECIPE), clips("train", length=max(count, 1000))
    spec = registry().get("task", "events")
    options = recipe.model.tasks["events"]
    scenes = (ClipSamples(data).scene(index) for index in range(count))
    prepared = spec.prepare(spec.config.model_validate(options), scenes)
    stored = prepared.tokenizer.model_dump(mode="json", exclude_defaults=True)
    model = with_head(base, {**options, "tokenizer": stored})
    own = cells_folder(model, folder)
    examples = [example for index in range(count) for example in both(model, data, index, own)]
    head = model.heads["events"]
    assert isinstance(head, EventHead)
    learn(head, examples, recipe.train, {**spec.loss_weights, **recipe.train.loss_weights})
    return model.eval()


def cells_folder(model: sk.SceneModel, folder: Path) -> Path:
    """Return the folder of the cells of a model: another one for other weights of the trunk, or other options."""
    config = EventConfig.model_validate(model.config.tasks["events"])
    options = config.model_dump(mode="json", include={"level", "rows", "columns", "parts"})
    digest = hashlib.sha256(json.dumps([options, model.config.input.model_dump(mode="json"), FRAMES, RATE]).encode())
    for step in model.plan.needed(["event_cells"]):
        for name, value in model.stages[step].state_dict().items():
            digest.update(f"{step}.{name}".encode() + value.cpu().numpy().tobytes())
    return folder / digest.hexdigest()[:12]


def both(model: sk.SceneModel, data: Any, index: int, folder: Path) -> tuple[Example, Example]:
    """Return a clip as it is and flipped; its cells are computed once."""
    clip, path = data[index], folder / f"{index:06d}.pt"
    if not path.exists():
        images = [frame.image for frame in clip.frames]
        cells = torch.stack([cells_of(model, images), cells_of(model, [image[:, ::-1].copy() for image in images])])
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(cells.half(), path)
        print(f"cells of {index + 1} clips", file=sys.stderr, flush=True)
    times = tuple(number / RATE for number in range(FRAMES))
    flip, captions = data.vocabulary.mirror_text, clip.events.captions
    flipped = replace(captions, texts=tuple(tuple(map(flip, texts)) for texts in captions.texts))
    plain_cells, flipped_cells = torch.load(path)
    return Example(plain_cells, times, clip.events), Example(
        flipped_cells, times, sk.Events(clip.events.spans, flipped)
    )


@torch.no_grad()
def cells_of(model: sk.SceneModel, images: Sequence[Any]) -> Float[Tensor, "F G D"]:
    """Compute the cells of frames."""
    cells: Tensor = model(model.preprocess(images), tasks=["event_cells"]).board[EVENT_CELLS]
    return cells


def board_of(examples: Sequence[Example]) -> sk.Board:
    """Return a board with the cells of clips."""
    count = sum(len(example.times) for example in examples)
    starts = [sum(len(example.times) for example in examples[:row]) for row in range(len(examples))]
    clips = tuple(ClipFrames(start, example.times) for start, example in zip(starts, examples, strict=True))
    images = ImageBatch(torch.zeros(count, 3, 0, 0), ((1, 1),) * count, ((1, 1),) * count, clips=clips)
    board = sk.Board(images, lambda *_: torch.zeros(0))
    board.put(EVENT_CELLS, torch.cat([example.cells.float() for example in examples]))
    return board


def augmented(example: Example, config: EventConfig, dice: random.Random) -> Example:
    """Return a clip whose images are shifted, and in which some frames are missing."""
    fine = config.rows * config.parts, config.columns * config.parts
    rows, columns = (
        (torch.arange(count) + dice.randint(-reach, reach)).clamp(0, count - 1)
        for count, reach in zip(fine, SHIFT, strict=True)
    )
    coarse = example.cells.float().transpose(1, 2).unflatten(2, (config.rows, config.columns))
    moved = F.pixel_shuffle(coarse, config.parts)[:, :, rows][..., columns]
    cells = F.pixel_unshuffle(moved, config.parts).flatten(2).transpose(1, 2)
    kept = list(range(len(cells)))
    if dice.random() < THINNED:
        kept = sorted(dice.sample(kept, dice.randint(math.ceil(0.7 * len(kept)), len(kept))))
    return Example(cells[kept], tuple(example.times[row] for row in kept), example.events)


def learn(head: EventHead, examples: Sequence[Example], config: Any, weights: Mapping[str, float]) -> None:
    """Train a head as `scenekit train` does, on shifted cells."""
    dice = random.Random(config.seed)
    optimizer, ema = build_optimizer(head, config), Ema(head, config.ema)
    source, order, began = torch.Generator().manual_seed(config.seed), list[int](), time.perf_counter()
    head.train()
    for step in range(config.steps):
        while len(order) < config.batch_size:
            order += torch.randperm(len(examples), generator=source).tolist()
        rows, order = order[: config.batch_size], order[config.batch_size :]
        batch = [augmented(examples[row], head.config, dice) for row in rows]
        valid = {sk.EVENTS: torch.ones(len(batch), dtype=torch.bool)}
        board, targets = board_of(batch), Targets({}, {sk.EVENTS: [example.events for example in batch]}, valid)
        losses = head.loss(head(board), board, targets)
        set_learning_rate(optimizer, config, step)
        optimizer.zero_grad()
        torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), config.clip)
        optimizer.step()
        ema.update(head, step)
        if (step + 1) % 50 == 0:
            values = {name: round(float(loss.detach()), 3) for name, loss in losses.items()}
            print(step + 1, values, f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    head.load_state_dict(ema.average)


def measure(model: sk.SceneModel, name: str, out: Path) -> None:
    """Measure a model on the validation and the test clips, write the numbers, and print them."""
    began, fixed = time.perf_counter(), fixed_sentences()
    found = {f"{split} clips": measured(model, clips(split), fixed) for split in ("val", "test")}
    reached = found["test clips"]["predicted spans"]  # settings were chosen on the validation clips
    targets = {name: {"value": reached[name], "target": TARGET, "met": reached[name] >= TARGET} for name in METRICS[:2]}
    facts = {"model": name, "frames": FRAMES, "rate": RATE, "sentences": fixed}
    facts |= {f"{split} clips": len(clips(split)) for split in ("val", "test")}
    facts["seconds"] = round(time.perf_counter() - began)
    result = {**machine(torch.device("cpu")), **facts, "targets": targets, "events of": found}
    write_atomically(out, (json.dumps(plain(result), indent=1) + "\n").encode())
    print(json.dumps(found, indent=1))


def fixed_sentences() -> dict[str, str]:
    """Return two sentences of the first 100 training clips, which are planned, but not rendered.

    These are the most frequent one, and the one that is most like all others in words.
    """
    data = clips("train", cache=False)
    texts = Counter(text for index in range(NAMED) for group in data[index].events.captions.texts for text in group)
    alike, references = language_score("unigram-F"), [[text] for text in texts]

    def likeness(text: str) -> float:
        return sum(map(operator.mul, alike([text] * len(texts), references), texts.values()))

    return {"most frequent": texts.most_common(1)[0][0], "most central": max(texts, key=likeness)}


def measured(model: sk.SceneModel, data: Any, fixed: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return the metrics of what is predicted, and on the true spans, with own and with fixed sentences."""
    evaluators: dict[str, EventEvaluator] = {}
    samples = ClipSamples(data, FRAMES)
    for index in range(len(data)):
        sample = samples[index]
        for spans, events in zip(("predicted spans", "true spans"), both_ways(model, data[index]), strict=True):
            ways = {f"{spans}, {name} sentence": saying(events, sentence) for name, sentence in fixed.items()}
            for way, value in {spans: events, **ways}.items():
                evaluator = evaluators.setdefault(way, EventEvaluator(model.vocabulary))
                evaluator.update(sample, replace(sample.scene, values={sk.EVENTS: value}))
    return {way: numbers(evaluator) for way, evaluator in evaluators.items()}


def numbers(evaluator: EventEvaluator) -> dict[str, float]:
    """Return the metrics that the page shows."""
    result = evaluator.result()
    return {metric: round(result[metric], 4) for metric in METRICS}


def saying(events: sk.Events, sentence: str) -> sk.Events:
    """Return events that all have one sentence."""
    return replace(events, captions=sk.Captions(((sentence,),) * len(events)))


def both_ways(model: sk.SceneModel, clip: sk.Clip) -> tuple[sk.Events, sk.Events]:
    """Return the events that `sk.predict_clip` gives, and the true ones with the sentences for their spans."""
    head = model.heads["events"]
    assert isinstance(head, EventHead)
    times = tuple(frame.moment.time for frame in clip.frames if frame.moment is not None)
    board = board_of([Example(cells_of(model, [frame.image for frame in clip.frames]), times, clip.events)])
    with torch.no_grad():
        raw = head(board)
        described = replace(clip.events, captions=head.texts_of(raw[1], 0, clip.events.spans))
        return head.decode(raw, board)[0], described


if __name__ == "__main__":
    main()
