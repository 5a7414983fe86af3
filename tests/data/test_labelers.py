"""Ground truth that is derived: which samples get it, what it supervises, and in which order labelers run."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from scenekit.data import labelers
from scenekit.data.labelers import Labeler, labelers_named, labelled
from scenekit.data.sample import Sample
from scenekit.errors import InputError, PluginError
from scenekit.hooks import LabelerSpec, Registry, registry
from scenekit.hooks.manager import Origin
from scenekit.keys import AMODAL_MASKS, KEYPOINTS, MASKS, OBJECTS, SEMANTIC, VISIBILITY, Key
from scenekit.recipe import DataConfig, LabelerConfig
from scenekit.scene import Scene
from scenekit.structures.masks import Masks
from scenekit.structures.vocabulary import Vocabulary
from tests.data.scenes import VOCABULARY, rectangle, sample

WIDTH_KEY: Key[Any, Any] = Key("tests.labelers.width", of=OBJECTS, shape=("N",))
SQUARE: Key[Any, Any] = Key("tests.labelers.square", of=OBJECTS, shape=("N",))


class Two:
    """Two samples: one with amodal masks twice as wide as the cat's, one without."""

    vocabulary: Vocabulary = VOCABULARY

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        plain = sample(index, keys=frozenset({MASKS, AMODAL_MASKS, SEMANTIC}))
        if index == 1:
            return plain
        whole = Masks.from_dense(torch.stack((rectangle(1, 2, 9, 6), rectangle(0, 0, 0, 0))))
        scene = replace(plain.scene, values={**plain.scene.values, AMODAL_MASKS: whole})
        return replace(plain, scene=scene)


def widths(scene: Scene) -> dict[Key[Any, Any], Any]:
    return {WIDTH_KEY: scene.objects.boxes[:, 2] - scene.objects.boxes[:, 0]}


@dataclass(frozen=True)
class Power:
    """Widths to a power."""

    exponent: int = 2

    def __call__(self, scene: Scene) -> dict[Key[Any, Any], Any]:
        return {SQUARE: scene[WIDTH_KEY] ** self.exponent}


WIDTH = LabelerSpec("width", "of boxes", (OBJECTS,), (WIDTH_KEY,), lambda: widths)
POWER = LabelerSpec("power", "of widths", (WIDTH_KEY,), (SQUARE,), Power)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Registry]]:
    """Make labelers known by name."""

    def install(*specs: LabelerSpec) -> Registry:
        installed = registry()
        named = {spec.name: [(spec, Origin("mine", "acme", "1.2"))] for spec in specs}
        monkeypatch.setitem(installed.records, "labeler", {**installed.records["labeler"], **named})
        return installed

    yield install


def test_visibility_is_the_share_of_the_amodal_mask() -> None:
    data = labelled(Two(), labelers_named(["visibility"]))
    first, second = data[0], data[1]
    shares = first.scene[VISIBILITY]
    assert shares[0] == 0.5 and torch.isnan(shares[1]), "4 of 8 columns; an empty amodal mask says nothing"
    assert VISIBILITY in first.supervision.keys and MASKS in first.supervision.keys
    assert VISIBILITY not in second.scene and VISIBILITY not in second.supervision.keys
    assert data.vocabulary is VOCABULARY and len(data) == 2


def test_they_run_in_the_order_of_their_needs(install: Callable[..., Registry]) -> None:
    install(WIDTH, POWER)
    ordered = labelers_named(["power", "visibility", "width"])
    assert [labeler.spec.name for labeler in ordered] == ["visibility", "width", "power"]
    scene = labelled(Two(), ordered)[1].scene
    assert scene[WIDTH_KEY].tolist() == [4, 3] and scene[SQUARE].tolist() == [16, 9]
    cubes = labelled(Two(), labelers_named(["width", LabelerConfig(name="power", options={"exponent": 3})]))
    assert cubes[1].scene[SQUARE].tolist() == [64, 27]


def test_samples_and_scenes_agree_and_survive_workers(install: Callable[..., Registry]) -> None:
    install(POWER)
    data = labelled(Two(), [Labeler(replace(WIDTH, build=dict), widths), *labelers_named(["power"])])
    again = pickle.loads(pickle.dumps(data))
    assert again[0].scene[SQUARE].tolist() == data.scene(0)[SQUARE].tolist() == [16, 9]  # type: ignore[attr-defined]


def test_rows_are_valid_where_what_they_need_is() -> None:
    spec = LabelerSpec("dots", "x of the first point", (KEYPOINTS,), (WIDTH_KEY,), dict)
    scene = Labeler(spec, lambda scene: {WIDTH_KEY: scene[KEYPOINTS].xy[:, 0, 0]})(sample().scene)
    assert scene.rows_with(WIDTH_KEY).tolist() == [True, False]


def test_only_what_is_supervised_supervises_what_is_derived() -> None:
    class Quiet(Two):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            return replace(sample, supervision=replace(sample.supervision, keys=frozenset({MASKS})))

    derived = labelled(Quiet(), labelers_named(["visibility"]))[0]
    assert VISIBILITY in derived.scene and derived.supervision.keys == {MASKS}


def test_annotated_values_are_kept() -> None:
    annotated = torch.tensor([0.25, 0.75])
    scene = Two()[0].scene
    scene = replace(scene, values={**scene.values, VISIBILITY: annotated})
    (labeler,) = labelers_named(["visibility"])
    assert labeler(scene) is scene


@pytest.mark.parametrize(
    ("specs", "names", "message"),
    [
        ((), ["visibilty"], "unknown labeler 'visibilty'; did you mean 'visibility'"),
        ((), [LabelerConfig(name="visibility", options={"way": 1})], "labeler 'visibility' has no option 'way'"),
        ((WIDTH, replace(WIDTH, needs=(SQUARE,)), POWER), ["power", "width"], "need what each other provides"),
        ((WIDTH, replace(WIDTH, name="girth")), ["width", "girth"], "'width' and 'girth' both provide 'tests.labelers"),
    ],
)
def test_what_cannot_be_ordered(
    specs: tuple[LabelerSpec, ...], names: list[Any], message: str, install: Callable[..., Registry]
) -> None:
    install(*specs)
    with pytest.raises(InputError, match=message):
        labelers_named(names)


def test_what_is_not_a_mapping_of_its_keys_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, kind in (({SQUARE: 1}, r"\[\"Key\('tests.labelers.square'\)\"\]"), (None, "NoneType")):
        message = rf"labeler 'width' must return a mapping with the keys tests.labelers.width, got {kind}"
        with pytest.raises(PluginError, match=message):
            Labeler(WIDTH, lambda scene, value=value: value)(sample().scene)  # type: ignore[misc]
    with pytest.raises(InputError, match="has 1 rows for 2 objects"):
        Labeler(WIDTH, lambda scene: {WIDTH_KEY: torch.ones(1)})(sample().scene)


def test_recipes_name_them_with_or_without_options() -> None:
    data = DataConfig.model_validate(
        {"train": [{"name": "coco"}], "labelers": ["visibility", {"name": "power", "options": {"exponent": 3}}]}
    )
    assert data.labelers == ("visibility", LabelerConfig(name="power", options={"exponent": 3}))
    assert DataConfig.model_validate(data.model_dump(mode="json")) == data
    assert labelers.labelers_named(()) == []


def test_names_of_a_labeler_are_those_of_the_data_set(install: Callable[..., Registry]) -> None:
    install(replace(WIDTH, lists={"tests.sides": ("thin", "thick")}))
    data = labelled(Two(), labelers_named(["width"]))
    assert data.vocabulary.names("tests.sides") == ("thin", "thick")
    assert data[0].scene.vocabulary == data.vocabulary
    other = Labeler(replace(POWER, lists={"tests.sides": ("thick",)}), Power())
    with pytest.raises(InputError, match=r"has the names thick for the list 'tests.sides', but the data set has thin"):
        other.named(data.vocabulary)
