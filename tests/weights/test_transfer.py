"""Starting from another model: what fits is taken, the rest stays fresh, and a run can begin that way."""

import pytest
import torch

import scenekit as sk
from scenekit.errors import PluginError
from scenekit.keys import KEYPOINTS, MASKS, SEMANTIC
from scenekit.model.build import build
from scenekit.model.head import BACKGROUND
from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit.training.log import read_log
from scenekit.training.loop import train
from scenekit.weights import save_model
from scenekit.weights.transfer import Part, named_axes, transfer

from .. import tiny
from ..training import toy


def test_what_fits_is_taken_and_the_rest_named():
    source = build(tiny.config(("masks", "semantic")), tiny.VOCABULARY)
    target = build(tiny.config(("masks", "keypoints")), tiny.VOCABULARY)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    moved = transfer(source, target)
    assert all(name.startswith("heads.keypoints.") for name in moved.fresh) and moved.fresh
    given = source.state_dict()
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name] if name in moved.fresh else given[name]), name


def test_other_shapes_stay_fresh():
    wider = tiny.config(("masks",)).model_copy(update={"tasks": {"masks": {**tiny.TASKS["masks"], "channels": 16}}})
    moved = transfer(build(tiny.config(("masks",)), tiny.VOCABULARY), build(wider, tiny.VOCABULARY))
    assert moved.fresh and all(name.startswith("heads.masks.") for name in moved.fresh)


RENAMED = Vocabulary(
    ("person", "sofa", "cup"),
    ("wall", "ceiling", "floor"),
    skeletons={"person": Skeleton(("right_foot", "neck", "head", "left_foot"), sigmas=(0.1,) * 4)},
)
"""Other names, in another order, with a new one of each kind."""


def built(vocabulary, tasks=("semantic", "masks", "keypoints")):
    return build(tiny.config(tasks), vocabulary).eval()


def shaken(model):
    """Every parameter random, so that none is what it was by chance."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "predictor" in name:
                value.normal_(std=0.1)
    return model


def test_rows_follow_their_names():
    source, target = shaken(built(tiny.VOCABULARY)), built(RENAMED)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    moved = transfer(source, target)
    theirs, own = source.state_dict(), target.state_dict()
    for place, old in ((0, tiny.PERSON), (2, tiny.CUP)):
        for name in ("stages.detection.predictor.classification", "heads.masks.predictor"):
            assert torch.equal(own[f"{name}.weight"][place], theirs[f"{name}.weight"][old])
            assert torch.equal(own[f"{name}.bias"][place], theirs[f"{name}.bias"][old])
        deltas = "stages.detection.predictor.deltas.weight"
        assert torch.equal(own[deltas][4 * place : 4 * place + 4], theirs[deltas][4 * old : 4 * old + 4])
    background = "stages.detection.predictor.classification.weight"
    assert torch.equal(own[background][-1], theirs[background][-1])
    assert torch.equal(own[background][1], before[background][1])
    labels = [(0, tiny.PERSON), (2, tiny.CUP), (3, tiny.WALL), (5, tiny.FLOOR)]
    for place, old in labels:
        name = "heads.semantic.predictor.weight"
        assert torch.equal(own[name][place], theirs[name][old])
    for place, old in ((2, 0), (3, 1), (0, 2)):  # head, left_foot, right_foot
        name = "heads.keypoints.predictor.weight"
        assert torch.equal(own[name][:, place], theirs[name][:, old])
        assert torch.equal(own["heads.keypoints.predictor.bias"][place], theirs["heads.keypoints.predictor.bias"][old])
    assert moved.partly["heads.masks.predictor.bias"] == Part(("person", "cup"), ("sofa",))
    assert moved.partly["heads.semantic.predictor.bias"].fresh == ("sofa", "ceiling")
    assert moved.partly["heads.keypoints.predictor.weight"].fresh == ("neck",)
    assert not moved.fresh and not moved.unused


def test_a_name_scores_as_before():
    """The same image gives the same scores by name where the labels only change places."""
    turned = Vocabulary(("person", "cup"), ("wall", "floor"), skeletons={"person": tiny.SKELETON})
    source, target = shaken(built(tiny.VOCABULARY)), built(turned)
    moved = transfer(source, target)
    assert not moved.fresh and not moved.partly
    image = tiny.sample().image
    first, second = source.predict(image, threshold=0.0), target.predict(image, threshold=0.0)
    assert len(first.objects) == len(second.objects) > 0
    assert named(first) == pytest.approx(named(second), abs=1e-5)
    torch.testing.assert_close(first[KEYPOINTS].xy, second[KEYPOINTS].xy, equal_nan=True)
    assert torch.equal(first[MASKS].dense, second[MASKS].dense)
    renamed = torch.tensor([tiny.VOCABULARY.label(name) for name in turned.labels])[second[SEMANTIC]]
    assert torch.equal(first[SEMANTIC], renamed)


def named(scene):
    """By (label, rounded box): the score."""
    objects = scene.objects
    labels = [scene.vocabulary.things[label] for label in objects.labels.tolist()]
    places = [tuple(box) for box in objects.boxes.round().int().tolist()]
    return dict(zip(zip(labels, places, strict=True), objects.scores.tolist(), strict=True))


def test_a_smaller_vocabulary_takes_what_it_knows():
    target = built(Vocabulary(("person",), ("floor",), skeletons={"person": tiny.SKELETON}))
    moved = transfer(built(tiny.VOCABULARY), target)
    assert not moved.partly and not moved.fresh


def test_nothing_in_common_stays_fresh():
    target = built(Vocabulary(("boat", "buoy"), ("sea", "sky")), ("semantic", "masks"))
    before = target.state_dict()["heads.masks.predictor.weight"].clone()
    moved = transfer(built(tiny.VOCABULARY), target)
    assert "has none of its names" in moved.fresh["heads.masks.predictor.weight"]
    assert torch.equal(target.state_dict()["heads.masks.predictor.weight"], before)
    assert moved.partly["stages.detection.predictor.classification.bias"].taken == (BACKGROUND,)
    assert "heads.keypoints.predictor.bias" in moved.unused


def test_what_it_tells():
    told = str(transfer(built(tiny.VOCABULARY, ("semantic", "masks")), built(RENAMED, ("masks", "keypoints"))))
    masks = "partly taken: heads.masks.predictor.* (2 parameters): person, cup; fresh there: sofa"
    assert masks in told.splitlines() and told.startswith("taken: ")
    assert "fresh: heads.keypoints.* (4 parameters): the source has no such parameter" in told.splitlines()
    assert any(line.startswith("not used: heads.semantic.* (") for line in told.splitlines())


class PriorHead(sk.Head):
    """A third party's: how often each predicate joins each pair of things, things along two axes."""

    def __init__(self, vocabulary):
        super().__init__()
        things, predicates = vocabulary.things, vocabulary.predicates
        shape = len(things), len(things), len(predicates)
        self.register_buffer("prior", torch.arange(len(things) ** 2 * len(predicates)).float().reshape(shape))
        self.axis_names = {
            "prior": [sk.AxisNames(things), sk.AxisNames(things, axis=1), sk.AxisNames(predicates, axis=2)]
        }

    def forward(self, board):
        return None

    def decode(self, raw, board):
        return None


def with_prior(vocabulary, **axis_names):
    spec = sk.TaskSpec("prior", "", (sk.RELATIONS,), lambda core, config: PriorHead(core.vocabulary))
    model = tiny.extended(built(vocabulary, ()), spec)
    model.heads["prior"].axis_names = {**model.heads["prior"].axis_names, **axis_names}
    return model


def test_several_axes_of_a_third_party():
    old = Vocabulary(("cup", "person"), predicates=("on", "holds", "near"))
    new = Vocabulary(("person", "tree", "cup"), predicates=("near", "on"))
    source, target = with_prior(old), with_prior(new)
    target.heads["prior"].prior.fill_(-1)
    moved = transfer(source, target)
    theirs, own = source.heads["prior"].prior, target.heads["prior"].prior
    for i, subject in enumerate(new.things):
        for j, thing in enumerate(new.things):
            for k, predicate in enumerate(new.predicates):
                known = "tree" not in (subject, thing)
                place = (old.things.index(subject), old.things.index(thing)) if known else None
                expected = theirs[(*place, old.predicates.index(predicate))] if place else -1
                assert own[i, j, k] == expected
    assert moved.partly["heads.prior.prior"] == Part(("person", "cup", "near", "on"), ("tree",))


def test_declarations_that_do_not_fit_are_refused():
    vocabulary = Vocabulary(("cup", "person"), predicates=("on",))
    with pytest.raises(PluginError, match=r"axis_names of heads\.prior names 'priors', but there is no such"):
        named_axes(with_prior(vocabulary, priors=[sk.AxisNames(("a",))]))
    wrong = r"axis_names of heads.prior.prior: 2 names with 4 entries each need 8 entries along axis 0"
    with pytest.raises(PluginError, match=wrong):
        named_axes(with_prior(vocabulary, prior=[sk.AxisNames(("a", "b"), each=4)]))
    with pytest.raises(PluginError, match="unique"):
        sk.AxisNames(("a", "a"))


def test_axes_named_in_another_way_stay_fresh():
    vocabulary = Vocabulary(("cup", "person"), predicates=("on",))
    source, target = with_prior(vocabulary), with_prior(vocabulary)
    source.heads["prior"].axis_names = {}
    assert "not named in the same way" in transfer(source, target).fresh["heads.prior.prior"]


def test_a_run_starts_from_another_models_weights(tmp_path, capsys):
    toy.register()
    first = train(toy.recipe(steps=20, log_every=1), out=tmp_path / "first", progress=False)
    save_model(first, tmp_path / "model")
    again = toy.recipe(steps=1).model_copy(update={"init": str(tmp_path / "model")})
    train(again, out=tmp_path / "again")
    assert f"weights of {tmp_path / 'model'}:\ntaken: " in capsys.readouterr().err
    train(toy.recipe(steps=1), out=tmp_path / "fresh", progress=False)
    loss = {name: next(iter(read_log(tmp_path / name / "log.jsonl")))["loss"] for name in ("again", "fresh")}
    assert loss["again"] < 0.9 * loss["fresh"]
