"""The proposals of a model, or of a source alone, for the images of a data set; and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from scenekit.data.datasets import SampleSet
from scenekit.data.sample import Sample
from scenekit.data.skipping import SkippedSamples, usable
from scenekit.detection.proposals.build import build_proposals
from scenekit.detection.proposals.config import ProposalsConfig
from scenekit.detection.proposals.stage import Candidates, SourceProposals
from scenekit.errors import InputError
from scenekit.keys import OBJECTS, PROPOSALS
from scenekit.metrics.proposals import ProposalRecall
from scenekit.model.head import Core
from scenekit.model.prediction import evaluating
from scenekit.model.preprocess import pack
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import InputConfig
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary


def proposals_of(
    source: SceneModel | ProposalsConfig, samples: Iterable[Sample]
) -> Iterator[tuple[Sample, Candidates]]:
    """Yield the proposals of images, lazily.

    Args:
        source: A model that has proposals; or the options of a source without weights, which then sees the images as
            they are, not at the size of a network.
        samples: The images.

    Returns:
        Each sample and its proposals: best first, in pixels of its image.

    Raises:
        InputError: The model has no proposals, or the source needs a model.
    """
    propose = _of_model(source) if isinstance(source, SceneModel) else _of_source(source)
    return ((sample, propose(sample)) for sample in samples)


def evaluate_proposals(
    source: SceneModel | ProposalsConfig,
    data: SampleSet | Iterable[Sample],
    limit: int | None = None,
    on_sample: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measure the recall of the proposals of a model, or of a source alone, on a data set.

    Args:
        source: See `proposals_of`.
        data: A data set or samples; images without annotated objects are left out.
        limit: Only the first images are measured.
        on_sample: Called after each image with the number of images that are done.

    Returns:
        AR100, AR300, AR1000 and more, see `scenekit.metrics.proposals.ProposalRecall.result`.

    Raises:
        InputError: The model has no proposals, or the source needs a model.

    Example:
        ```python
        evaluate_proposals(sk.load("small"), sk.dataset("synthetic", split="val"), limit=50)["AR100"]
        ```
    """
    samples = data if isinstance(data, Iterable) else usable(data, SkippedSamples(len(data)), strict=True)
    recall = ProposalRecall()
    for done, (sample, found) in enumerate(proposals_of(source, islice(samples, limit)), start=1):
        objects = sample.scene.objects
        if OBJECTS in sample.supervision.streams:
            flags = {"crowd": objects.crowd, "ignore": objects.ignore, "area": objects.area}
            recall.update(sample.id, sample.scene.size, objects.boxes, found.boxes, found.scores, **flags)
        if on_sample is not None:
            on_sample(done)
    return recall.result()


def _of_source(config: ProposalsConfig) -> Callable[[Sample], Candidates]:
    if config.name == "rpn":
        raise InputError("proposals of 'rpn' need the weights of a model; name a model instead of a source")
    images = InputConfig(divisor=1)
    (stage,) = build_proposals(Core(0, (), Vocabulary(things=()), input=images), config)
    assert isinstance(stage, SourceProposals), "all other sources have one"

    def propose(sample: Sample) -> Candidates:
        batch = pack([sample.image], images).named([sample.scene.path], [sample.id])
        return _candidates(stage.propose(batch, config.limit_test))

    return propose


def _of_model(model: SceneModel) -> Callable[[Sample], Candidates]:
    stage = next((name for name, step in model.plan.steps.items() if PROPOSALS in step.provides), None)
    if stage is None:
        raise InputError(
            f"this model has no proposals (its detector is {model.config.detector!r}); choose one whose detector has "
            "two stages, such as faster_rcnn"
        )

    @torch.no_grad()
    def propose(sample: Sample) -> Candidates:
        with evaluating(model):
            batch = model.preprocess([sample.image]).named([sample.scene.path], [sample.id])
            regions: Regions = model(batch, tasks=[stage]).board[PROPOSALS]
        found = _candidates(regions)
        return Candidates(batch.to_original(0).boxes(found.boxes), found.scores)

    return propose


def _candidates(regions: Regions) -> Candidates:
    assert regions.scores is not None, "proposals have scores"
    return Candidates(regions.boxes.float().cpu(), regions.scores.float().cpu())
