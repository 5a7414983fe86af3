"""Texts become tokens and texts again; strange ones crash nothing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from scenekit.errors import InputError
from scenekit.metrics.dense_captions.language import words
from scenekit.structures import Vocabulary
from scenekit_plugins.texts.config import StoredTokenizer, TokenizerConfig
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, of_names, trained, word_level, words_of

TEXTS = ["A red cup.", "a red cup on the table", "the cup", "zebra"]
STRANGE = [
    "",
    "   ",
    "\x00\u200b\ufeff",
    "?!… --",
    "🙂🙂 👩‍👩‍👧 dog",
    "一只红色的杯子",
    "красная чашка",
    "naïve café \u0301",
    "\ud83d",
    "<start> <end> <pad> <unk>",
    "tab\tnew\nline",
    "cup " * 1000,
]


def made(texts: list[str] = TEXTS, **options: Any) -> CaptionTokenizer:
    return CaptionTokenizer(trained(TokenizerConfig.model_validate(options), texts))


def test_words_are_those_that_the_scores_compare() -> None:
    for text in STRANGE:
        plain = text.encode("utf-8", "replace").decode()
        assert words_of(plain) == words(plain), repr(text)


def test_most_frequent_words_first() -> None:
    known = made(vocabulary_size=7).names
    assert known == ("<pad>", "<start>", "<end>", "<unk>", "cup", "a", "red")
    assert made(min_count=2).names[4:] == ("cup", "a", "red", "the")


def test_words_and_back() -> None:
    tokenizer = made()
    assert tokenizer.decode(tokenizer.encode("A RED, red cup!")) == "a red red cup"
    assert tokenizer.decode([*tokenizer.encode("the cup"), tokenizer.end, *tokenizer.encode("zebra")]) == "the cup"
    assert tokenizer.encode("a blue cup")[1] == tokenizer.unknown
    assert set(tokenizer.suppressed) == {tokenizer.pad, tokenizer.start, tokenizer.unknown}


@pytest.mark.parametrize("text", STRANGE)
@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_strange_texts(kind: str, text: str) -> None:
    tokenizer = made(kind=kind, vocabulary_size=300)
    tokens = tokenizer.encode(text)
    assert all(0 <= token < len(tokenizer) for token in tokens)
    assert not {tokenizer.pad, tokenizer.start, tokenizer.end} & set(tokens)
    tokenizer.decode(tokens)


def test_bytes_spell_everything() -> None:
    tokenizer = made(kind="bpe", vocabulary_size=400)
    for text in ("🙂 dog", "一只红色的杯子", "A red cup."):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.unknown is None


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_equal_texts_give_equal_tokenizers(kind: Any) -> None:
    config = TokenizerConfig(kind=kind, vocabulary_size=300)
    assert trained(config, TEXTS) == trained(config, list(TEXTS))


def test_copies_are_the_same() -> None:
    tokenizer = made()
    for again in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert again.names == tokenizer.names and again.encode("a red cup") == tokenizer.encode("a red cup")


def test_names_of_a_vocabulary_are_words_to_begin_with() -> None:
    vocabulary = Vocabulary(("fire truck", "cup"), attributes=("red",), predicates=("on",), mirror_words=(("l", "r"),))
    assert CaptionTokenizer(of_names(vocabulary)).names[4:] == ("cup", "fire", "l", "on", "r", "red", "truck")


def test_faulty_ones_are_named() -> None:
    stored = word_level(["cup"])
    with pytest.raises(InputError, match=r"JSON as tokenizer\.stored\.text"):
        CaptionTokenizer(stored.model_copy(update={"text": "{"}))
    with pytest.raises(InputError, match="no token '<s>'"):
        CaptionTokenizer(StoredTokenizer(**{**stored.model_dump(), "start": "<s>"}))
    with pytest.raises(ValueError, match="needs the name of a tokenizer"):
        TokenizerConfig(kind="pretrained")
    with pytest.raises(ValueError, match="needs the name of a tokenizer"):
        TokenizerConfig(name="gpt2")
