"""What values say in names, which maps of many images count, and what the votes come to."""

import math

import torch

import scenekit as sk

VOCABULARY = sk.Vocabulary(things=("mug",), attributes=("red", "blue"))


def test_attributes_vote_with_their_probability() -> None:
    field = sk.ATTRIBUTES.field
    votes = field.votes(torch.tensor([[0.75, 0.0], [math.nan, 0.5]]), VOCABULARY)
    assert votes == [{"red": 0.75}, {"blue": 0.5}], "what is unknown has no vote"
    assert (
        field.elected({"red": 0.75, "blue": 0.25}, 0.5)
        == field.describe(torch.tensor([[0.75, 0.25]]), VOCABULARY, 0.5)[0]
    )


def test_captions_vote_with_their_score() -> None:
    field = sk.CAPTIONS.field
    assert field.votes(sk.Captions((("a mug", "one mug"), ())), VOCABULARY) == [{"a mug": 1.0, "one mug": 1.0}, {}]
    assert field.votes(sk.Captions((("a mug",),), torch.tensor([0.5])), VOCABULARY) == [{"a mug": 0.5}]
    texts = [f"mug {n}" for n in range(9)]
    assert field.elected(dict.fromkeys(texts, 0.1), 0.5) == {"texts": texts[:5]}


def test_other_kinds_of_values_have_no_votes() -> None:
    assert sk.VISIBILITY.field.votes(torch.tensor([0.5]), VOCABULARY) is None
