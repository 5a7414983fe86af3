"""What a task finds out before the network is built: once a run, kept in its checkpoints, handed on with weights."""

from typing import Any

import pytest
import torch

from scenekit.data.scenes import scene_of, spread_scenes
from scenekit.errors import InputError, PluginError
from scenekit.hooks import Origin, TaskSpec, registry
from scenekit.recipe import Recipe
from scenekit.training import preparation as preparing
from scenekit.training.loop import train
from scenekit.training.preparation import adopted, open_mixture, with_steps, with_tasks
from scenekit.weights import load

from . import toy

HEAD = "heads.tally.net.weight"


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    toy.register()
    monkeypatch.setattr(toy.TallyHead, "prepared", [])


def recipe(options: dict[str, Any] | None = None, **more: Any) -> Recipe:
    """Two data sets, of which one has a single image."""
    content = toy.recipe(steps=2, save_every=1, batch_size=1).model_dump(mode="json")
    content["model"]["tasks"] = {"tally": options or {}}
    content["data"]["train"] = [{"name": "toys"}, {"name": "toys", "options": {"count": 1}}]
    return Recipe.parse({**content, **more})


def run(recipe, out, **options):
    return train(recipe, out=out, device="cpu", progress=False, **options)


def test_a_run_finds_out_once_and_keeps_it(tmp_path):
    model = run(recipe(), tmp_path)
    (scenes,) = toy.TallyHead.prepared
    expected = [toy.Toys()[index].scene for index in range(32)] + [toy.Toys()[0].scene]
    assert [scene.names() for scene in scenes] == [scene.names() for scene in expected]
    kinds = model.config.tasks["tally"]["kinds"]
    assert list(kinds) == ["disc", "square"] and sum(kinds.values()) == sum(len(scene.objects) for scene in scenes)
    assert Recipe.load(tmp_path / "recipe.yaml") == recipe({"kinds": kinds})
    for folder in (tmp_path / "model", *(tmp_path / "checkpoints").iterdir()):
        assert load(folder).config.tasks["tally"] == {"kinds": kinds}
    assert len(toy.TallyHead.prepared) == 1


def test_a_run_that_goes_on_does_not_look_again(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = run(recipe(), whole).state_dict()
    run(recipe(train={**recipe().train.model_dump(), "steps": 1}), cut)
    assert len(toy.TallyHead.prepared) == 2
    found = run(recipe(), cut, resume=True).state_dict()
    assert len(toy.TallyHead.prepared) == 2 and found.keys() == expected.keys()
    assert run(Recipe.load(cut / "recipe.yaml"), cut, resume=True).tasks == ("tally",)  # as the run itself wrote it
    with pytest.raises(InputError, match=r"another recipe: model\.tasks\.tally\.kinds\.disc changed"):
        run(recipe({"kinds": {"disc": 1}}), cut, resume=True)


def test_a_run_that_stopped_before_its_first_checkpoint_begins_with_what_it_knew(tmp_path):
    recipe({"kinds": {"disc": 1, "square": 2}}).save(tmp_path / "recipe.yaml")
    model = run(recipe(), tmp_path, resume=True)
    assert model.config.tasks["tally"]["kinds"] == {"disc": 1, "square": 2} and not toy.TallyHead.prepared


def partial_recipe(init: str | None = None, **rpn: Any) -> Recipe:
    """Two data sets, of which one covers squares alone."""
    content = toy.recipe(steps=2, save_every=1, batch_size=2).model_dump(mode="json")
    content["model"]["tasks"] = {}
    content["model"]["detector_options"]["rpn"] |= rpn
    content["data"]["train"] = [{"name": "toys"}, {"name": "toys", "options": {"covers": ["square"]}}]
    return Recipe.parse({**content, "init": init})


def groups_of(model: Any) -> Any:
    return model.config.detector_options["rpn"].get("groups", ())


def test_the_detector_learns_what_is_covered_together(tmp_path):
    """The groups are found once; a run that goes on, and a model that is loaded, have them."""
    model = run(partial_recipe(), tmp_path / "run")
    assert [list(group) for group in groups_of(model)] == [["disc"], ["square"]]
    assert len(load(tmp_path / "run" / "model").stages["proposals"].groups) == 2
    longer = partial_recipe()
    longer = longer.model_copy(update={"train": longer.train.model_copy(update={"steps": 3})})
    assert [list(group) for group in groups_of(run(longer, tmp_path / "run", resume=True))] == [["disc"], ["square"]]
    assert groups_of(run(partial_recipe(groups=[]), tmp_path / "own")) == []


def test_groups_follow_the_data_of_a_run_that_starts_from_another_model(tmp_path):
    """From one objectness to two and back: each begins as what it was, and none is left that no data teaches."""
    plain = partial_recipe(groups=[])
    run(plain, tmp_path / "whole")
    apart = run(partial_recipe(str(tmp_path / "whole" / "model")), tmp_path / "apart")
    assert len(apart.stages["proposals"].groups) == 2
    content = partial_recipe(str(tmp_path / "apart" / "model")).model_dump(mode="json")
    content["data"]["train"] = [{"name": "toys"}]
    again = run(Recipe.parse(content), tmp_path / "again")
    assert len(again.stages["proposals"].groups) == 1 and list(groups_of(again)) == []


@pytest.mark.parametrize("part", ["detection", "rpn"])
def test_a_frozen_detector_stays_as_it_is(tmp_path, part):
    """So that what it finds does so to the bit; and a frozen task keeps its options."""
    content = partial_recipe(groups=[]).model_dump(mode="json")
    content["model"]["tasks"] = {"tally": {}}
    model = run(Recipe.parse(content), tmp_path / "whole")
    later = partial_recipe(str(tmp_path / "whole" / "model")).model_dump(mode="json")
    later["model"]["tasks"] = {"tally": {}, "semantic": {"channels": 16, "norm_groups": 4}}
    later["train"]["freeze"] = ["trunk", part, "tally"]
    found = run(Recipe.parse(later), tmp_path / "more")
    assert len(found.stages["proposals"].groups) == 1 and len(toy.TallyHead.prepared) == 1
    assert found.config.tasks["tally"] == model.config.tasks["tally"]


def test_at_most_so_many_scenes_evenly_from_each_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "SCENES", 8)
    run(recipe(), tmp_path)
    numbers = [*range(0, 32, 8), 0]
    (scenes,) = toy.TallyHead.prepared
    assert [scene.names() for scene in scenes] == [toy.Toys()[index].scene.names() for index in numbers]


def test_scenes_without_images_where_the_data_set_has_them():
    class Cheap(toy.Toys):
        def __getitem__(self, index):
            raise AssertionError("no image is needed")

        def scene(self, index):
            return toy.Toys()[index].scene

    assert scene_of(Cheap(), 3).names() == toy.Toys()[3].scene.names()
    assert len(list(spread_scenes(Cheap(), 5))) == 5 and len(list(spread_scenes(toy.Toys(2), 5))) == 2
    assert list(spread_scenes(toy.Toys(0), 5)) == []


def test_a_run_from_a_model_takes_what_fits_its_weights(tmp_path):
    first = run(
        recipe({"kinds": {"a": 1, "b": 1, "c": 1}, "hints": {"deep": {"one": 1, "two": 2}}}), tmp_path / "first"
    )
    init = {"init": str(tmp_path / "first" / "model")}
    second = run(
        recipe({"hints": {"deep": {"two": None}}}, **init, train={**recipe().train.model_dump(), "lr": 1e-12}),
        tmp_path / "second",
    )
    told = second.config.tasks["tally"]
    assert told == {"kinds": {"a": 1, "b": 1, "c": 1}, "hints": {"deep": {"one": 1, "two": None}}}
    torch.testing.assert_close(second.state_dict()[HEAD], first.state_dict()[HEAD])
    assert not toy.TallyHead.prepared
    assert run(recipe({"kinds": None}, **init), tmp_path / "anew").state_dict()[HEAD].shape[0] == 2
    assert len(toy.TallyHead.prepared) == 1


def test_what_a_recipe_leaves_open_is_adopted():
    before = recipe({"kinds": {"disc": 1}, "hints": {"deep": {"one": 1}}})
    assert adopted(recipe({"kinds": None, "hints": {"deep": {}}}), before) == before
    assert adopted(recipe({"kinds": {"disc": 2}}), before).model.tasks["tally"]["kinds"] == {"disc": 2}
    others = with_tasks(recipe(), {"masks": {"convs": 2}})
    assert adopted(with_tasks(recipe(), {"masks": {}}), others).model.tasks == {"masks": {}}


def test_a_task_that_gives_something_else(tmp_path, monkeypatch):
    wrong = TaskSpec(
        "wrong", "for tests", (toy.TALLY,), toy.TallyHead, toy.TallyConfig, prepare=lambda config, scenes: {}
    )
    monkeypatch.setitem(registry().records["task"], "wrong", [(wrong, Origin("wrong", "acme", "1"))])
    with pytest.raises(PluginError, match=r"`prepare` of task 'wrong' must return a TallyConfig, got dict .*acme"):
        run(with_tasks(recipe(), {"wrong": {}}), tmp_path)


def test_epochs_count_all_data_sets_together_in_steps_of_all_processes():
    two = recipe().model_copy(update={"train": recipe().train.model_copy(update={"epochs": 2.0, "batch_size": 3})})
    sources = open_mixture(two)
    assert with_steps(two, sources).train.steps == 22  # 2 * (32 + 1) images in steps of 3
    assert with_steps(two, sources, processes=2).train.steps == 11
    assert with_steps(recipe(), sources).train.steps == 2


def test_temperature_weights_the_mixture_by_size():
    by_size = recipe(data={**recipe().data.model_dump(), "temperature": 1})
    large, small = open_mixture(by_size)
    assert large.weight / small.weight == pytest.approx(32)
    assert [source.weight for source in open_mixture(recipe())] == [1.0, 1.0]


def test_a_run_of_epochs_is_resumed_exactly_and_for_more_of_them(tmp_path):
    def epochs(count):
        return recipe(train={**recipe().train.model_dump(), "epochs": count, "batch_size": 11, "schedule": "constant"})

    whole = run(epochs(2), tmp_path / "whole").state_dict()  # 6 steps
    run(epochs(1), tmp_path / "cut")
    stored = Recipe.load(tmp_path / "cut" / "recipe.yaml").train
    assert (stored.epochs, stored.steps) == (1, 3)
    again = run(epochs(2), tmp_path / "cut", resume=True).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
