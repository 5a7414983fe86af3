"""Conversion between texts and tokens.

A word-level tokenizer has the words that it was trained on: lower-cased, without punctuation and symbols (so that emoji
vanish), split at spaces. Other words, of whatever script, become one unknown token, which is never generated.
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
from scenekit_plugins.texts.config import StoredTokenizer, TokenizerConfig
from scenekit_plugins.texts.pretrained import pretrained_tokenizer

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"

CACHE_SIZE = 100_000
"""Number of texts whose tokens are cached: most captions are used again in every epoch."""

MAX_CHARACTERS = 10_000
"""Upper limit of the characters of a text that are used; descriptions of regions are far shorter."""

_SIGNS = Regex(r"[\p{P}\p{S}]|[\p{C}&&[^\s]]")
"""Punctuation, symbols, and invisible characters that are not spaces."""

_NORMALIZER = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(_SIGNS, "")])
"""Normalization of word-level tokenizers; built once, as compiling its expression takes ten times as long as its use.
"""

_PARALLELISM = "TOKENIZERS_PARALLELISM"


class CaptionTokenizer:
    """A stored tokenizer in use.

    `names` has the name of every token; `pad`, `start`, `end` and `unknown` (or None) are numbers of tokens.
    """

    def __init__(self, stored: StoredTokenizer) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(stored.text)
        except Exception as error:  # the library raises plain ones
            raise InputError(f"captions: expected a tokenizer in JSON as tokenizer.stored.text ({error})") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        by_number = {number: name for name, number in self._tokenizer.get_vocab().items()}
        self.names = tuple(by_number.get(number, f"(none {number})") for number in range(max(by_number) + 1))
        self.pad, self.start, self.end = (self._number(name) for name in (stored.pad, stored.start, stored.end))
        self.unknown = None if stored.unknown is None else self._number(stored.unknown)
        self._special = {self.pad, self.start, self.end}
        self.encode = lru_cache(CACHE_SIZE)(self._encode)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def suppressed(self) -> tuple[int, ...]:
        """Tokens that are no text and do not end one."""
        never = {self.pad, self.start, self.unknown} - {self.end, None}
        return tuple(sorted(token for token in never if token is not None))

    def _encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text, without special ones; none if normalization removes everything."""
        tokens = self._tokenizer.encode(_readable(text), add_special_tokens=False).ids
        return tuple(token for token in tokens if token not in self._special)

    def decode(self, tokens: Iterable[int]) -> str:
        """Convert tokens up to the first end token to text.

        Args:
            tokens: The tokens.

        Returns:
            The text.
        """
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
    """Train the tokenizer of a configuration, or load a pretrained one.

    Args:
        config: Options of the tokenizer.
        texts: Texts to train on.

    Returns:
        The tokenizer.

    Raises:
        InputError: If a pretrained tokenizer cannot be loaded.
    """
    if config.name is not None:
        return pretrained_tokenizer(config.name)
    if config.kind == "bpe":
        return _byte_pairs(config, texts)
    return word_level(_frequent(config, texts))


def grown(stored: StoredTokenizer, config: TokenizerConfig, texts: Iterable[str]) -> StoredTokenizer:
    """Append new words to a word-level tokenizer, up to the size in `config`.

    Args:
        stored: The tokenizer.
        config: Options of the tokenizer.
        texts: Texts with new words.

    Returns:
        The larger tokenizer.
    """
    known = CaptionTokenizer(stored).names
    counts = _counted(texts)
    fresh = [word for word in counts if word not in known and counts[word] >= config.min_count]
    fresh = sorted(fresh, key=lambda word: (-counts[word], word))[: max(config.vocabulary_size - len(known), 0)]
    return word_level((*known, *fresh)) if fresh else stored


def of_names(vocabulary: Vocabulary) -> StoredTokenizer:
    """Build a word-level tokenizer of the words in a vocabulary's names, for models that were not trained on captions.

    Args:
        vocabulary: The vocabulary.

    Returns:
        The tokenizer.
    """
    kinds = (vocabulary.labels, vocabulary.attributes, vocabulary.predicates, *vocabulary.mirror_words)
    names = [name for kind in kinds for name in kind]
    return word_level(sorted({word for name in names for word in words_of(name)}))


def word_level(words: Iterable[str]) -> StoredTokenizer:
    """Build a word-level tokenizer.

    Args:
        words: The words; their tokens follow the special ones.

    Returns:
        The tokenizer.
    """
    special = (PAD, START, END, UNKNOWN)
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*special, *words)))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _NORMALIZER, pre_tokenizers.WhitespaceSplit()
    return _stored(tokenizer, UNKNOWN)


def words_of(text: str) -> list[str]:
    """Split a text into words, as a word-level tokenizer does.

    Args:
        text: The text.

    Returns:
        The words.
    """
    return str(_NORMALIZER.normalize_str(_readable(text))).split()


def _readable(text: str) -> str:
    """Return the used part of a text, without lone surrogates, which the library refuses."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def _frequent(config: TokenizerConfig, texts: Iterable[str]) -> Iterator[str]:
    """Yield the most frequent words; equally frequent ones in alphabetical order."""
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
    """Use one thread: after several, the library warns in every forked process, such as one that loads data."""
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
