"""The contract of detectors: what heads, losses and external regions rely on.

Letters: N regions of the batch, C foreground classes, K = C + 1 with background.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from scenekit.config import validated
from scenekit.data.collate import collate
from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.evaluation.evaluator import Evaluator
from scenekit.hooks import DetectorSpec
from scenekit.keys import FEATURES, OBJECTS
from scenekit.model.build import build_head
from scenekit.model.head import Core, Provider
from scenekit.model.scene_model import Outputs, SceneModel
from scenekit.model.targets import Targets
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary
from scenekit.testing.check import RuleError, SkipError, check, report_of, seeded
from scenekit.testing.compare import difference
from scenekit.testing.images import VOCABULARY, made_up
from scenekit.testing.report import Report
from scenekit.testing.rules.inputs import check_losses
from scenekit.testing.rules.learning import trainable
from scenekit.testing.toy_core import MODEL, WITNESS_TASK, core_of, stages_of

POOLED = 7
"""The side at which pooling is checked; most heads ask for it."""


@dataclass(frozen=True, eq=False)
class DetectorBench:
    """The detector under check below one small task, in a `model`."""

    spec: DetectorSpec
    core: Core
    model: SceneModel

    @property
    def stages(self) -> dict[str, Provider]:
        """The stages of the detector by name."""
        return {name: cast(Provider, stage) for name, stage in self.model.stages.items() if name != "backbone"}

    @property
    def provider(self) -> Provider:
        """The stage that provides OBJECTS."""
        return next(stage for stage in self.stages.values() if OBJECTS in stage.provides)

    def samples(self, count: int = 3, labelled: bool = True, objects: int = 3) -> list[Sample]:
        """Make the first `count` images up, of different sizes."""
        labels = [row % len(self.core.vocabulary.things) for row in range(objects)]
        keys = self.model.learns_from
        return [made_up(number, labels, keys, self.core.vocabulary, labelled) for number in range(count)]

    def batch(self, samples: Sequence[Sample]) -> tuple[ImageBatch, Targets]:
        """Pack samples as for training."""
        seeds = [sample.id for sample in samples]
        keys = self.model.learns_from
        return collate(samples, vocabulary=self.core.vocabulary, keys=keys, config=MODEL.input, seeds=seeds)

    def learn(self, samples: Sequence[Sample]) -> Outputs:
        """Run one pass with targets."""
        with seeded(1):
            outputs: Outputs = self.model(*self.batch(samples))
        return outputs

    @cached_property
    def learned(self) -> Outputs:
        """What one pass with targets gives for the usual samples, for all rules that look at it alone."""
        return self.learn(self.samples())

    @cached_property
    def detected(self) -> Regions:
        """What is detected on the usual samples, for all rules that look at it alone."""
        return self.detect(self.samples())

    def own_losses(self, outputs: Outputs) -> dict[str, Tensor]:
        """Return the losses of the detector's own stages."""
        return {name: loss for name, loss in outputs.losses.items() if name.partition(".")[0] in self.stages}

    def losses(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the losses of the detector's own stages on samples."""
        return self.own_losses(self.learn(samples))

    def detect(self, samples: Sequence[Sample], model: SceneModel | None = None) -> Regions:
        """Return the detections on images without targets."""
        batch, _ = self.batch(samples)
        with torch.no_grad(), seeded(1):
            regions: Regions = (model or self.model)(batch).board[OBJECTS]
        return regions


def check_detector(
    spec: DetectorSpec,
    *,
    options: Mapping[str, Any] | None = None,
    vocabulary: Vocabulary = VOCABULARY,
    only: Collection[str] | None = None,
) -> Report:
    """Check a detector against the rules that tasks and training rely on.

    It is built on a small backbone and run on images of about 64 x 96 pixels, on a CPU.

    Args:
        spec: Record of the detector.
        options: Its options, as in `model.detector_options` of a recipe; its `example` if None.
        vocabulary: Class names.
        only: Names of the checks to run; all, if None.

    Returns:
        Every broken rule with the reason and the remedy, what passed and what was skipped.

    Raises:
        InputError: For unknown checks.
    """
    options = spec.example if options is None else options
    remedy = "see the error; `build(core, config)` must return the stages (sk.Provider) of the detector"
    return report_of("detector", spec.name, lambda: set_up(spec, options, vocabulary), DETECTOR_CHECKS, only, remedy)


def set_up(spec: DetectorSpec, options: Mapping[str, Any], vocabulary: Vocabulary) -> DetectorBench:
    """Build the detector in a small model."""
    config = validated(spec.config, options, f"detector {spec.name!r}")
    if spec.prepare is not None:
        labels = [row % len(vocabulary.things) for row in range(3)]
        samples = (made_up(number, labels, (), vocabulary, labelled=True) for number in range(8))
        config = spec.prepare(config, (sample.scene for sample in samples))
    core = replace(core_of(vocabulary), detector=config)
    return DetectorBench(spec, core, model_with(spec, core))


def model_with(spec: DetectorSpec, core: Core) -> SceneModel:
    """Build the small model with fresh weights."""
    stages, pooler = stages_of(core, spec)
    heads = {WITNESS_TASK.name: (WITNESS_TASK, build_head(WITNESS_TASK, core, WITNESS_TASK.config()))}
    config = MODEL.model_copy(update={"detector": spec.name, "detector_options": core.detector.model_dump()})
    return SceneModel(config, core, stages, heads, pooler).eval()


@check(
    "see the error; read only what `requires` names, put all that `provides` names on the board, return losses by name",
    essential=True,
)
def runs(bench: DetectorBench) -> None:
    """Batches of one and of three images of different sizes give objects, and finite losses where it learns."""
    learns = bool(trainable(nn.ModuleDict(dict(bench.stages))))
    for count in (1, 3):
        regions: object = bench.detect(bench.samples(count))
        if not isinstance(regions, Regions):
            raise RuleError(f"sk.OBJECTS on the board is a {type(regions).__name__}, expected sk.Regions")
        losses = bench.losses(bench.samples(count))
        if learns and not losses:
            raise RuleError("labelled images give no loss")
        check_losses(losses)


@check(
    "put Regions on the board with `labels` (below the number of things), `scores` (0 to 1), boxes x0 < x1, y0 < y1 in "
    "pixels of the network's input, image by image"
)
def detections(bench: DetectorBench) -> None:
    """Without targets, objects have labels of the vocabulary, scores, finite boxes, and stand image by image."""
    samples, detected = bench.samples(), bench.detected
    if detected.labels is None or detected.scores is None:
        raise RuleError("detections have no labels or no scores")
    if not detected.boxes.isfinite().all() or not (detected.boxes[:, 2:] > detected.boxes[:, :2]).all():
        raise RuleError("a box is empty or not finite")
    things = len(bench.core.vocabulary.things)
    if len(detected) and (int(detected.labels.min()) < 0 or int(detected.labels.max()) >= things):
        raise RuleError(f"labels from {int(detected.labels.min())} to {int(detected.labels.max())} for {things} things")
    if not ((detected.scores >= 0) & (detected.scores <= 1)).all():
        raise RuleError("a score is not between 0 and 1")
    if (detected.image_index.diff() < 0).any() or (len(detected) and int(detected.image_index.max()) >= len(samples)):
        raise RuleError(f"`image_index` must rise from 0 to at most {len(samples) - 1}")
    _check_classes(detected, things)


def _check_classes(detected: Regions, things: int) -> None:
    """Raise RuleError where what is said of each class has other shapes than declared."""
    for name, expected in (("class_logits", (len(detected), things + 1)), ("class_boxes", (len(detected), things, 4))):
        value = getattr(detected, name)
        if value is not None and tuple(value.shape) != expected:
            raise RuleError(f"`{name}` has shape {list(value.shape)}, expected {list(expected)} or None")


@check(
    "with targets, put sampled regions on the board: `matched` is the row of `targets.streams[sk.OBJECTS].regions` "
    "that each one stands for, -1 for background"
)
def training_regions(bench: DetectorBench) -> None:
    """With targets, objects are matched to rows of the ground truth of their own image, some of them at least."""
    _, targets = bench.batch(bench.samples())
    regions: Regions = bench.learned.board[OBJECTS]
    _check_matched(regions, targets)
    if regions.matched is not None and not bool((regions.matched >= 0).any()):
        raise RuleError("no region is matched to ground truth, so that no head would learn; add the ground-truth boxes")


def _check_matched(regions: Regions, targets: Targets) -> None:
    target = targets.streams[OBJECTS].regions
    if regions.matched is None:
        raise RuleError("regions have no `matched`")
    rows = regions.matched[regions.matched >= 0]
    if len(rows) and int(rows.max()) >= len(target):
        raise RuleError(f"`matched` names row {int(rows.max())} of {len(target)} rows of ground truth")
    if not torch.equal(target.image_index[rows], regions.image_index[regions.matched >= 0]):
        raise RuleError("a region is matched to ground truth of another image; rows count over the whole batch")


@check("let `detections(board, targets)` return de-duplicated regions with labels, scores and `matched`")
def detections_to_learn_on(bench: DetectorBench) -> None:
    """Tasks with Policy.DETECTIONS, such as relations, can learn on what it detects."""
    _, targets = bench.batch(bench.samples())
    stage = bench.provider
    board = bench.learned.board.view(stage.name, (*stage.requires, *stage.provides), {})
    try:
        detected = stage.detections(board, targets)
    except InputError as error:
        raise SkipError(f"tasks with Policy.DETECTIONS cannot learn on this detector: {error}") from error
    if detected.labels is None or detected.scores is None:
        raise RuleError("`detections` gives regions without labels or scores")
    _check_matched(detected, targets)


@check(
    "read `board.given`: where it holds sk.OBJECTS, put these regions on the board, in their order, with labels and "
    "scores where they have none"
)
def external_regions(bench: DetectorBench) -> None:
    """Boxes that the caller fixes stay as they are, row by row, and are classified."""
    batch, targets = bench.batch(bench.samples())
    target = targets.streams[OBJECTS].regions
    external = Regions(target.boxes, target.image_index)
    with torch.no_grad():
        regions: Regions = bench.model(batch, given={OBJECTS: external}).board[OBJECTS]
    if len(regions) != len(external) or not torch.equal(regions.boxes, external.boxes):
        raise RuleError(f"{len(regions)} objects, or others, for {len(external)} external boxes")
    if regions.labels is None or regions.scores is None:
        raise RuleError("external boxes get no labels or no scores")


@check("take means over max(count, 1) values, as `sk.safe_mean` does, and let every layer take zero rows")
def no_objects(bench: DetectorBench) -> None:
    """Images without a single object give finite losses."""
    for samples in (bench.samples(objects=0), [*bench.samples(1), *bench.samples(2, objects=0)[1:]]):
        check_losses(bench.losses(samples))


@check("let every parameter take part in a loss, or freeze it (requires_grad=False)")
def gradients(bench: DetectorBench) -> None:
    """Labelled images give every parameter a finite gradient."""
    learning = trainable(nn.ModuleDict(dict(bench.stages)))
    if not learning:
        raise SkipError("it has no parameters that learn")
    total = torch.stack([*bench.own_losses(bench.learned).values()]).sum()
    gradients = torch.autograd.grad(total, list(learning.values()), allow_unused=True)
    if missing := [name for name, gradient in zip(learning, gradients, strict=True) if gradient is None]:
        raise RuleError(f"no gradient reaches {', '.join(missing)}")
    if not all(gradient.isfinite().all() for gradient in gradients if gradient is not None):
        raise RuleError("gradients are not finite")


@check(
    "leave out images where `targets.streams[sk.OBJECTS].supervised` is False; zero-valued losses must stay connected"
)
def unlabelled(bench: DetectorBench) -> None:
    """Images without labels give zero loss and no gradient, and change no loss of the others."""
    parameters = list(trainable(bench.model).values())
    for name, loss in bench.losses(bench.samples(labelled=False)).items():
        if float(loss.detach()) != 0:
            raise RuleError(f"{name} is {float(loss.detach()):.3g} where nothing is labelled, expected 0")
        gradients = torch.autograd.grad(loss, parameters, None, True, allow_unused=True) if loss.requires_grad else ()
        if any(gradient is not None and bool(gradient.any()) for gradient in gradients):
            raise RuleError(f"{name} has a gradient where nothing is labelled")
    first, other = bench.samples(1)[0], bench.samples(2, labelled=False)[1]
    shown = ([first, other], [first, replace(other, image=255 - other.image)])
    losses, same = map(bench.losses, shown)
    if found_difference := difference(losses, same):
        raise RuleError(f"the losses follow an image that has no labels ({found_difference})")


@check("let `pooler(features, regions, size)` compute every row on its own: [N C size size], also for zero rows")
def pools(bench: DetectorBench) -> None:
    """RoI features are a function of each row alone, in the order of the rows."""
    batch, targets = bench.batch(bench.samples())
    target = targets.streams[OBJECTS].regions
    with torch.no_grad():
        features = bench.model(batch).board[FEATURES]
        pooled = bench.model.pooler(features, target, POOLED)
        backwards = torch.arange(len(target)).flip(0)
        again = bench.model.pooler(features, target.subset(backwards), POOLED)
        empty = bench.model.pooler(features, target.subset(backwards[:0]), POOLED)
    expected = (len(target), bench.core.channels, POOLED, POOLED)
    if tuple(pooled.shape) != expected or tuple(empty.shape) != (0, *expected[1:]):
        raise RuleError(f"features have shapes {list(pooled.shape)} and {list(empty.shape)}, expected {list(expected)}")
    if differing := difference(pooled.flip(0), again):
        raise RuleError(f"rows in another order give other features ({differing})")


@check("draw random numbers from the images' own seeds (`board.images.seeds`), never from a state of your own")
def deterministic(bench: DetectorBench) -> None:
    """Two passes of one batch give the same losses and the same detections."""
    samples = bench.samples()
    if differing := difference(bench.own_losses(bench.learned), bench.losses(samples)):
        raise RuleError(f"two passes give different losses ({differing})")
    if differing := difference(bench.detected, bench.detect(samples)):
        raise RuleError(f"two passes give different detections ({differing})")


@check("register all that the detections depend on: nn.Parameter, register_buffer, or a number from the options")
def state_dict(bench: DetectorBench) -> None:
    """A fresh detector with the stored weights gives the same detections."""
    with seeded(2):
        again = model_with(bench.spec, bench.core)
    again.load_state_dict(bench.model.state_dict())
    if differing := difference(bench.detected, bench.detect(bench.samples(), again)):
        raise RuleError(f"a fresh detector with the same state_dict gives something else ({differing})")


@check("see the error: `evaluator(vocabulary)` must return an Evaluator, as scenekit.evaluation describes it")
def measures(bench: DetectorBench) -> None:
    """Its evaluator accepts any image, can be pickled and merged, and gives numbers by name."""
    if bench.spec.evaluator is None:
        raise SkipError("it has no evaluator, so that boxes are measured by none")
    evaluator, other = (bench.spec.evaluator(bench.core.vocabulary) for _ in range(2))
    if not isinstance(evaluator, Evaluator):
        raise RuleError(f"an object with update, merge and result was expected, got a {type(evaluator).__name__}")
    samples = bench.samples()
    with torch.no_grad():
        outputs = bench.model(bench.batch(samples)[0])
    for sample, scene in zip(samples, bench.model.scenes(outputs), strict=True):
        evaluator.update(sample, scene)
        other.update(sample, scene)
    evaluator.merge(pickle.loads(pickle.dumps(other)))
    if not isinstance(evaluator.result(), Mapping):
        raise RuleError(f"`result` must return numbers by name, got {evaluator.result()!r}")


DETECTOR_CHECKS = (
    runs,
    detections,
    training_regions,
    detections_to_learn_on,
    external_regions,
    no_objects,
    gradients,
    unlabelled,
    pools,
    deterministic,
    state_dict,
    measures,
)
"""All checks of a detector, in order."""
