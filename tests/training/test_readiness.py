"""What is checked before the first step of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

import scenekit as sk
from scenekit.data.loader import Source
from scenekit.data.sample import Sample
from scenekit.errors import SkippedSampleError
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import Recipe, TeacherConfig
from scenekit.training.readiness import check_background

from . import toy


@dataclass(frozen=True)
class Sparse(toy.Toys):
    """Toys of which the first cannot be read, and only those of some numbers are exhaustive."""

    exhaustive: frozenset[int] = frozenset()

    def __getitem__(self, index: int) -> Sample:
        if index == 0:
            raise SkippedSampleError("torn")
        sample = super().__getitem__(index)
        streams = frozenset({sk.OBJECTS} if index in self.exhaustive else ())
        return replace(sample, supervision=replace(sample.supervision, exhaustive=streams))


@pytest.fixture(scope="module")
def model() -> SceneModel:
    toy.register()
    return build(toy.recipe().model, toy.VOCABULARY)


def warnings_of(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    return (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


def recipe(*names: str) -> Recipe:
    return Recipe.parse({"data": {"train": [{"name": name, "options": {"root": "."}} for name in names]}})


def test_a_stream_without_background_is_named(model: SceneModel, caplog: pytest.LogCaptureFixture) -> None:
    sources = [Source(Sparse(count=3), "a"), Source(Sparse(count=2), "b")]
    check_background(model, None, recipe("omni3d", "pix3d"), sources)
    assert list(warnings_of(caplog)) == [
        "no image of omni3d/train and pix3d/train is exhaustive for objects, so that nothing teaches what is background"
        " there, and all proposals get high scores; set the option `exhaustive` of omni3d if nearly all of them are "
        "annotated, or add a data set that is exhaustive for objects"
    ]


def test_a_data_set_without_such_an_option_is_not_told_to_set_it(
    model: SceneModel, caplog: pytest.LogCaptureFixture
) -> None:
    check_background(model, None, recipe("pix3d"), [Source(Sparse(count=3), "a")])
    (message,) = warnings_of(caplog)
    assert message.endswith("get high scores; add a data set that is exhaustive for objects")


@pytest.mark.parametrize("case", ["one image of the second data set", "frozen"])
def test_no_warning(model: SceneModel, case: str, caplog: pytest.LogCaptureFixture) -> None:
    some = Sparse(count=2, exhaustive=frozenset({1} if case != "frozen" else ()))
    learning = ("semantic",) if case == "frozen" else None
    check_background(model, learning, recipe("pix3d", "pix3d"), [Source(Sparse(count=3), "a"), Source(some, "b")])
    assert not list(warnings_of(caplog))


def test_classes_that_a_teacher_alone_labels_are_named(model: SceneModel, caplog: pytest.LogCaptureFixture) -> None:
    class Taught(toy.Toys):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            first = frozenset(toy.VOCABULARY.things[:1])
            return replace(sample, supervision=replace(sample.supervision, partial=first))

    taught = recipe("omni3d", "pix3d")
    entry = taught.data.train[0].model_copy(update={"teacher": TeacherConfig(model="small")})
    both = taught.model_copy(update={"data": taught.data.model_copy(update={"train": (entry, taught.data.train[1])})})
    alone = both.model_copy(update={"data": both.data.model_copy(update={"train": (entry,)})})
    check_background(model, None, alone, [Source(Taught(count=3), "a")])
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"only a teacher labels {toy.VOCABULARY.things[0]}, so that nothing teaches")
    caplog.clear()
    check_background(model, None, both, [Source(Taught(count=3), "a"), Source(toy.Toys(count=3), "b")])
    assert not list(warnings_of(caplog))
