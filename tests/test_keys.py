"""Keys are their names."""

import copy
import pickle

import pytest

from scenekit.errors import InputError
from scenekit.fields.base import Field
from scenekit.fields.depth import DepthField
from scenekit.fields.masks import MaskField
from scenekit.keys import MASKS, OBJECTS, PHRASES, SEMANTIC, Key, Stream, key_named


def test_keys_survive_pickling_and_copying() -> None:
    for key in (MASKS, OBJECTS, SEMANTIC):
        assert pickle.loads(pickle.dumps(key)) is key
        assert copy.deepcopy({key: 1}) == {key: 1}


def test_a_key_from_elsewhere_registers_when_it_is_unpickled() -> None:
    key = Key("tests.pickled", of=OBJECTS, doc="far away", field=MaskField(), shape=("N", 3))
    frozen = pickle.dumps(key)
    from scenekit import keys

    del keys._registered[key.name]
    back = pickle.loads(frozen)
    assert back is not key and back == key and key_named(key.name) is back
    assert (back.of, back.shape, type(back.field)) == (OBJECTS, ("N", 3), MaskField)


def test_the_same_name_is_the_same_key() -> None:
    first, second = Key("tests.same", of=OBJECTS), Key("tests.same", of=OBJECTS, doc="said twice")
    assert first == second and len({first, second}) == 1 and first != MASKS
    assert key_named("tests.same") is first and key_named("tests.other") is None


@pytest.mark.parametrize(
    "other",
    [
        {"of": PHRASES, "shape": ("N",)},
        {"of": OBJECTS, "shape": ("N", 3)},
        {"of": OBJECTS, "shape": ("N",), "field": MaskField()},
        {"shape": ("N",), "field": DepthField()},
    ],
)
def test_another_meaning_is_refused(other: dict) -> None:
    Key("tests.taken", of=OBJECTS, doc="metres", shape=("N",))
    with pytest.raises(InputError, match=r"key 'tests.taken' exists with another meaning \(metres\)"):
        Key("tests.taken", **other)
    assert key_named("tests.taken").of == OBJECTS  # type: ignore[union-attr]


def test_a_stream_is_no_plain_key() -> None:
    with pytest.raises(InputError, match="exists with another meaning"):
        Key("objects")
    with pytest.raises(InputError, match="exists with another meaning"):
        Stream("masks")


def test_entries_of_the_file_are_no_names() -> None:
    with pytest.raises(InputError, match="'image' is an entry of every scene file"):
        Key("image")
    assert key_named("image") is None


def test_plain_keys_know_their_dimensions() -> None:
    assert Key("tests.grid", of=OBJECTS, shape=("N", 4, 4)).field.dims == 3
    assert isinstance(Key("tests.number", of=OBJECTS).field, Field)
