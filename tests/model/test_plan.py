"""The order of stages and tasks, and which of them run."""

from __future__ import annotations

import pytest

from scenekit.errors import InputError
from scenekit.keys import CAPTIONS, FEATURES, IMAGES, MASKS, OBJECTS, PANOPTIC, PROPOSALS, RELATIONS, SEMANTIC, Key
from scenekit.model.plan import Plan, Step

CORE = (
    Step("detection", (FEATURES, PROPOSALS), (OBJECTS,)),
    Step("rpn", (FEATURES,), (PROPOSALS,)),
    Step("backbone", (IMAGES,), (FEATURES,)),
)
TASKS = (
    Step("panoptic", (OBJECTS, MASKS, SEMANTIC), (PANOPTIC,)),
    Step("masks", (OBJECTS,), (MASKS,)),
    Step("semantic", (FEATURES,), (SEMANTIC,)),
)
RELATE = Step("relations", (OBJECTS,), (RELATIONS,), uses=(CAPTIONS, SEMANTIC))


def plan(*steps: Step) -> Plan:
    return Plan((*steps, *CORE), given=(IMAGES,))


def test_everything_comes_after_what_it_reads() -> None:
    order = plan(*TASKS).order
    assert sorted(order) == sorted(step.name for step in (*TASKS, *CORE))
    for earlier, later in [
        ("backbone", "rpn"),
        ("rpn", "detection"),
        ("detection", "masks"),
        ("masks", "panoptic"),
        ("semantic", "panoptic"),
    ]:
        assert order.index(earlier) < order.index(later)
    assert order == plan(*TASKS).order


def test_only_what_is_asked_for_and_what_it_needs_runs() -> None:
    whole = plan(*TASKS)
    assert whole.needed(["semantic"]) == ["backbone", "semantic"]
    assert whole.needed(["masks"]) == ["backbone", "rpn", "detection", "masks"]
    assert set(whole.needed(["panoptic"])) == set(whole.order)
    assert whole.needed() == whole.order
    assert whole.needed([]) == []


def test_what_is_there_already_needs_no_provider() -> None:
    whole = plan(*TASKS)
    assert whole.needed(["masks"], present=(OBJECTS,)) == ["masks"]
    assert whole.needed(["masks"], present=(PROPOSALS,)) == ["backbone", "detection", "masks"]
    assert "rpn" not in whole.needed(present=(PROPOSALS,))


def test_a_step_with_several_values_runs_while_one_is_missing() -> None:
    double = Plan([Step("both", (), (SEMANTIC, MASKS)), Step("reader", (SEMANTIC,), (PANOPTIC,))])
    assert double.needed(["both"], present=(SEMANTIC,)) == ["both"]
    assert double.needed(["both"], present=(SEMANTIC, MASKS)) == []
    assert double.needed(["reader"], present=(SEMANTIC,)) == ["reader"]


def test_uses_are_fixed_when_the_model_is_built() -> None:
    without, with_semantic = plan(RELATE), plan(RELATE, TASKS[2])
    assert without.reads("relations") == (OBJECTS,)
    assert with_semantic.reads("relations") == (OBJECTS, SEMANTIC)
    # Not asking for `semantic` changes nothing for who uses it.
    assert "semantic" in with_semantic.needed(["relations"])
    assert with_semantic.readers("semantic") == ["relations"] and without.readers("rpn") == ["detection"]
    assert with_semantic.order.index("semantic") < with_semantic.order.index("relations")


def test_a_missing_provider_is_named() -> None:
    with pytest.raises(
        InputError, match=r"'panoptic' requires 'masks', which nothing in this model provides.*semantic"
    ):
        plan(TASKS[0], TASKS[2])
    with pytest.raises(InputError, match=r"'backbone' requires 'images'.*"):
        Plan(CORE)


def test_two_providers_are_named() -> None:
    with pytest.raises(InputError, match="'masks' and 'better_masks' both provide 'masks'; leave one out"):
        plan(*TASKS, Step("better_masks", (OBJECTS,), (MASKS,)))


def test_names_are_unique() -> None:
    with pytest.raises(InputError, match="two parts of this model are named 'rpn'"):
        plan(Step("rpn", (OBJECTS,), (MASKS,)))


def test_circles_are_named() -> None:
    one, other = Key("tests.plan.one"), Key("tests.plan.other")
    with pytest.raises(InputError, match=r"in a circle: (a -> b -> a|b -> a -> b)"):
        plan(Step("a", (one,), (other,)), Step("b", (other,), (one,)))
    with pytest.raises(InputError, match="in a circle: a -> a"):
        plan(Step("a", (one,), (one,)))
    with pytest.raises(InputError, match="in a circle"):
        plan(Step("a", (), (other,), uses=(one,)), Step("b", (other,), (one,)))


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(InputError, match="this model has no task 'mask'; did you mean 'masks'"):
        plan(*TASKS).needed(["mask"])
