"""The task in a model: the contract, the modes, what follows the objects, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.hooks import Policy, registry
from scenekit.keys import BOXES3D, MASKS, OBJECTS, RELATIONS
from scenekit.model.build import configured
from scenekit.model.head import Core
from scenekit.structures import Regions, Relations, Vocabulary
from scenekit.testing import check_task
from scenekit.testing.bench import Bench, set_up
from scenekit.testing.images import VOCABULARY
from scenekit_plugins.relations.config import RelationConfig
from scenekit_plugins.relations.head import RelationHead

PREDICTORS = ("transformer", "imp", "frequency")
SPEC = registry().get("task", "relations")
VARIANTS: tuple[Mapping[str, Any], ...] = (
    {"predicates": "sigmoid", "long_tail": "class_balanced", "union_pooled": 0},
    {"learn_on": "regions", "long_tail": "logit_adjustment", "transformer": {"width": 8, "masks": True}},
    {"transformer": {"width": 8, "pairs3d": True}},
    {"predictor": "frequency"},
    {"predictor": "imp"},
    {"predictor": "imp", "imp": {"order": "original", "hidden": 4, "features": 4}, "frequency_bias": False},
)


def bench(**options: Any) -> Bench:
    return set_up(SPEC, options, VOCABULARY)


def pictures(made: Bench, count: int) -> list[Sample]:
    """Three different objects in each; the first relates to the second, and that one to the third."""
    return made.samples(count, labels=(2, 0, 1))


def learn(made: Bench, samples: list[Sample]) -> None:
    """One pass with targets, whose counts stay."""
    batch, targets = made.batch(samples)
    made.model(batch, targets, made.regions(targets, learning=True))


def head(made: Bench) -> RelationHead:
    return cast(RelationHead, made.head)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: ",".join(options))
def test_options_keep_the_contract(options: Mapping[str, Any]) -> None:
    """The defaults are checked with all other tasks."""
    only = ("reads", "shapes", "batches", "no_objects", "gradients", "partly_labelled", "deterministic", "state_dict")
    report = check_task(SPEC, options=options, only=only)
    assert not report.findings, report.findings


def test_options_shape_the_record() -> None:
    assert configured(SPEC, RelationConfig()).streams == {OBJECTS: Policy.DETECTIONS}
    assert configured(SPEC, RelationConfig(learn_on="regions")).streams == {OBJECTS: Policy.FOREGROUND}
    assert configured(SPEC, RelationConfig(max_objects=7)).max_regions == 7
    looking = RelationConfig.model_validate({"transformer": {"boxes3d": False, "masks": True}})
    assert configured(SPEC, looking).uses == (MASKS,)
    assert configured(SPEC, RelationConfig()).uses == (BOXES3D,)
    pairs = RelationConfig.model_validate({"transformer": {"boxes3d": False, "pairs3d": True}})
    assert configured(SPEC, pairs).uses == (BOXES3D,)
    assert configured(SPEC, RelationConfig(predictor="imp")).uses == ()


def test_a_vocabulary_without_predicates_is_refused() -> None:
    with pytest.raises(InputError, match="vocabulary with predicates"):
        RelationHead(Core(8, (4,), Vocabulary(("cup",))), RelationConfig())


def told(made: Bench, regions: Regions) -> list[Relations]:
    batch, _ = made.batch(pictures(made, 1))
    with torch.no_grad():
        found: list[Relations] = made.model(batch, given={OBJECTS: regions}, tasks=["relations"]).board[RELATIONS]
    return found


def given(made: Bench, count: int = 3) -> Regions:
    """Boxes alone, of the first image."""
    _, targets = made.batch(pictures(made, 1))
    truth = targets.streams[OBJECTS].regions
    return Regions(truth.boxes[:count], truth.image_index[:count])


@pytest.mark.parametrize("predictor", ["transformer", "imp"])
def test_given_labels_stay_and_given_boxes_are_labelled(predictor: str) -> None:
    made = bench(predictor=predictor)
    boxes = given(made)
    certain = replace(boxes, labels=torch.tensor([2, 0, 1]))
    (predcls,), (sgcls,) = told(made, certain), told(made, boxes)
    assert predcls.labels is None and len(predcls) == 6
    assert sgcls.labels is not None and sgcls.label_scores is not None and len(sgcls.labels) == 3
    assert predcls.score is not None and predcls.probabilities is not None
    torch.testing.assert_close(predcls.score, predcls.probabilities.max(dim=1).values)  # objects are certain
    assert bool((predcls.score.diff() <= 0).all())


def test_labels_that_are_not_learned_are_not_told() -> None:
    made = bench(predictor="imp", learn_on="regions")
    (relations,) = told(made, given(made))
    assert relations.labels is None and len(relations) == 6


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_objects_for_a_relation(predictor: str, count: int) -> None:
    made = bench(predictor=predictor)
    boxes = given(made, count)
    assert len(told(made, boxes)[0]) == 0
    assert len(told(made, replace(boxes, labels=torch.zeros(count, dtype=torch.int64)))[0]) == 0


def test_relations_to_objects_that_are_left_out_go_with_them() -> None:
    made = bench(max_objects=3)
    batch, targets = made.batch(pictures(made, 2))
    regions = made.regions(targets, learning=False)[OBJECTS]
    regions = replace(regions, scores=torch.tensor([0.2, 0.9, 0.8, 0.7, 0.3, 0.9]))
    with torch.no_grad():
        outputs = made.model(batch, given={OBJECTS: regions})
    named = outputs.board[RELATIONS]
    assert set(named[1].subject.tolist()) == {3, 4, 5}  # rows of the batch
    for scene in made.model.scenes(outputs):
        relations = scene[RELATIONS]
        assert set(relations.subject.tolist()) == {0, 1, 2} and relations.labels is not None
        assert len(relations.labels) == len(scene.objects)
    found = made.model(batch, tasks=["relations"])
    scores = found.board[OBJECTS].scores.detach()
    threshold = float(scores.median())
    for image, scene in enumerate(made.model.scenes(found, threshold=threshold)):
        kept = int((scores[found.board[OBJECTS].image_index == image] >= threshold).sum())
        assert len(scene.objects) == kept
        rows = torch.cat((scene[RELATIONS].subject, scene[RELATIONS].object))
        assert not len(rows) or int(rows.max()) < kept


def test_objects_beyond_the_limit_keep_their_labels() -> None:
    made = bench(max_objects=2)
    batch, targets = made.batch(pictures(made, 1))
    regions = made.regions(targets, learning=False)[OBJECTS]
    with torch.no_grad():
        (scene,) = made.model.scenes(made.model(batch, given={OBJECTS: regions}))
    relations = scene[RELATIONS]
    assert len(relations) == 2 and relations.labels is not None and relations.label_scores is not None
    assert int(relations.labels[2]) == int(scene.objects.labels[2])
    assert scene.objects.scores is not None
    assert float(relations.label_scores[2]) == float(scene.objects.scores[2])


def test_no_more_pairs_and_relations_than_told() -> None:
    made = bench(max_pairs=4, max_relations=3)
    assert [len(relations) for relations in told(made, given(made))] == [3]


def test_counts_are_those_of_the_ground_truth_and_only_while_training() -> None:
    made = bench()
    learn(made, pictures(made, 2))
    assert not head(made).counts.counts.any()
    made.model.train()
    learn(made, pictures(made, 2))
    assert head(made).counts.counts.sum(dim=(0, 1)).tolist() == [8, 2, 2, 0]
    learn(made, made.samples(2, labels=(2, 0, 1), labelled=False))
    assert int(head(made).counts.counts.sum()) == 12


def test_the_baseline_knows_the_counts_and_nothing_else() -> None:
    made = bench()
    made.model.train()
    learn(made, pictures(made, 2))
    made.model.eval()
    baseline = head(made).baseline()
    assert baseline is not None and baseline.baseline() is None and not list(baseline.parameters())
    assert baseline.counts is head(made).counts and baseline.provides == (RELATIONS,)
    made.model.heads["relations"] = baseline
    certain = replace(given(made), labels=torch.tensor([0, 1, 2]))
    (found,) = told(made, certain)
    shares = baseline.counts.probabilities()[found.subject, found.object]
    torch.testing.assert_close(found.probabilities, shares[:, 1:])


def test_the_log_of_the_frequencies_is_where_the_network_starts() -> None:
    made = bench(frequency_bias=True)
    network, bias = head(made), head(made).counts
    bias.counts[0, 1] = torch.tensor([0, 1000, 0, 0])
    certain = replace(given(made, 2), labels=torch.tensor([0, 1]))
    predictor: Any = network.predictor
    torch.nn.init.zeros_(predictor.predicates.weight)
    torch.nn.init.zeros_(predictor.predicates.bias)
    (found,) = told(made, certain)
    torch.testing.assert_close(found.probabilities, bias.probabilities()[found.subject, found.object][:, 1:])
    assert (int(found.subject[0]), int(found.object[0]), int(found.predicate[0])) == (0, 1, 0)
