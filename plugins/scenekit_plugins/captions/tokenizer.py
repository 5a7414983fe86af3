"""From texts to tokens and back.

A word-level tokenizer knows the words that it was made of: lower-cased, without punctuation and symbols (so that emoji
vanish), split at spaces. Other words, of whatever script, are read as one unknown token, which is never written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from scenekit.errors import InputError
from scenekit.structures import Vocabulary
from scenekit_plugins.captions.config import StoredTokenizer, TokenizerConfig
from scenekit_plugins.captions.pretrained import pretrained_tokenizer

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"

REMEMBERED = 100_000
"""Texts whose tokens are kept: most captions come up again in every epoch."""

LONGEST = 10_000
"""Characters of a text that are looked at; no description of a region comes near."""

_SIGNS = Regex(r"[\p{P}\p{S}]|[\p{C}&&[^\s]]")
"""Punctuation, symbols, and invisible characters that are no space."""

_NORMALIZER = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(_SIGNS, "")])
"""How word-level tokenizers read a text; made once, as compiling its expression takes ten times as long as its use."""

_PARALLELISM = "TOKENIZERS_PARALLELISM"


class CaptionTokenizer:
    """A stored tokenizer at work; tokens are numbers, special ones have names.

    `names` has the name of every token; `pad`, `start`, `end` and `unknown` (or None) are their numbers.
    """

    def __init__(self, stored: StoredTokenizer) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(stored.text)
        except Exception as error:  # the library raises plain ones
            raise InputError(f"captions: a tokenizer in JSON is expected as tokenizer.stored.text ({error})") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.names = _names(self._tokenizer)
        self.pad, self.start, self.end = (self._number(name) for name in (stored.pad, stored.start, stored.end))
        self.unknown = None if stored.unknown is None else self._number(stored.unknown)
        self._special = {self.pad, self.start, self.end}
        self.encode = lru_cache(REMEMBERED)(self._encode)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def unwritten(self) -> tuple[int, ...]:
        """Tokens that stand for no text and do not end one."""
        never = {self.pad, self.start, self.unknown} - {self.end, None}
        return tuple(sorted(token for token in never if token is not None))

    def _encode(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, without special ones around it; none where nothing of it is left."""
        found = self._tokenizer.encode(_readable(text), add_special_tokens=False).ids
        return tuple(token for token in found if token not in self._special)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens up to the first end."""
        kept = []
        for token in tokens:
            if token == self.end:
                break
            if token not in self._special:
                kept.append(token)
        return str(self._tokenizer.decode(kept, skip_special_tokens=True)).strip()

    def _number(self, name: str) -> int:
        number = self._tokenizer.token_to_id(name)
        if number is None:
            raise InputError(f"captions: the tokenizer has no token {name!r}, which tokenizer.stored names")
        return int(number)

    def __reduce__(self) -> tuple[object, ...]:
        stored = StoredTokenizer(
            text=self._tokenizer.to_str(),
            **{part: self.names[getattr(self, part)] for part in ("start", "end", "pad")},
            unknown=None if self.unknown is None else self.names[self.unknown],
        )
        return CaptionTokenizer, (stored,)


def trained(config: TokenizerConfig, texts: Iterable[str]) -> StoredTokenizer:
    """The tokenizer that `config` describes, learned from `texts` unless it is a pretrained one."""
    if config.name is not None:
        return pretrained_tokenizer(config.name)
    if config.kind == "bpe":
        return _byte_pairs(config, texts)
    return word_level(_frequent(config, texts))


def grown(stored: StoredTokenizer, config: TokenizerConfig, texts: Iterable[str]) -> StoredTokenizer:
    """A word-level tokenizer with the words that `texts` have and it lacks, as far as `config` has room, at its end."""
    known = CaptionTokenizer(stored).names
    counts = _counted(texts)
    fresh = [word for word in counts if word not in known and counts[word] >= config.min_count]
    fresh = sorted(fresh, key=lambda word: (-counts[word], word))[: max(config.vocabulary_size - len(known), 0)]
    return word_level((*known, *fresh)) if fresh else stored


def of_names(vocabulary: Vocabulary) -> StoredTokenizer:
    """The words that a vocabulary's names are made of: what a model writes with that has read no captions."""
    kinds = (vocabulary.labels, vocabulary.attributes, vocabulary.predicates, *vocabulary.mirror_words)
    names = [name for kind in kinds for name in kind]
    return word_level(sorted({word for name in names for word in words_of(name)}))


def word_level(words: Iterable[str]) -> StoredTokenizer:
    """A token for each of the words, behind the special ones."""
    special = (PAD, START, END, UNKNOWN)
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*special, *words)))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _NORMALIZER, pre_tokenizers.WhitespaceSplit()
    return _stored(tokenizer, UNKNOWN)


def words_of(text: str) -> list[str]:
    """The words of a text as a word-level tokenizer reads it."""
    return str(_NORMALIZER.normalize_str(_readable(text))).split()


def _readable(text: str) -> str:
    """As much as is looked at, without halves of characters, which the library refuses."""
    return text[:LONGEST].encode("utf-8", "replace").decode()


def _frequent(config: TokenizerConfig, texts: Iterable[str]) -> Iterator[str]:
    """The most frequent words, in the order of the alphabet where equally many."""
    counts = _counted(texts)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    room = config.vocabulary_size - len((PAD, START, END, UNKNOWN))
    return (word for word in ranked[:room] if counts[word] >= config.min_count)


def _counted(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in words_of(text))


def _byte_pairs(config: TokenizerConfig, texts: Iterable[str]) -> StoredTokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    with _one_thread():
        tokenizer.train_from_iterator(map(_readable, texts), trainer)
    return _stored(tokenizer, None)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The library warns in every process that is forked, such as one that loads data, after it ran several threads."""
    before = os.environ.get(_PARALLELISM)
    os.environ[_PARALLELISM] = "false"
    try:
        yield
    finally:
        os.environ.pop(_PARALLELISM)
        if before is not None:
            os.environ[_PARALLELISM] = before


def _stored(tokenizer: Tokenizer, unknown: str | None) -> StoredTokenizer:
    return StoredTokenizer(text=tokenizer.to_str(), start=START, end=END, pad=PAD, unknown=unknown)


def _names(tokenizer: Tokenizer) -> tuple[str, ...]:
    """By number; numbers that no token has get a name, too."""
    by_number = {number: name for name, number in tokenizer.get_vocab().items()}
    return tuple(by_number.get(number, f"(none {number})") for number in range(max(by_number) + 1))
