"""Similarity of texts: scores of one text against its references, and scores of a whole set of texts.

A language score is any callable that takes candidates and, for each, its references, and gives one number per
candidate, 0 to 1. METEOR is one (Denkowski and Lavie 2014), through its authors' Java program. The default needs no
Java and is another measure, with other numbers: "unigram-F". Numbers of the two must never be compared.
"""

import importlib
import math
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError, nearest
from scenekit.metrics.dense_captions.stemming import stem

Texts = Sequence[str]
References = Sequence[Sequence[str]]
LanguageScore = Callable[[Texts, References], Float[np.ndarray, " N"]]
CorpusScore = Callable[[Texts, References], float]
TextSet = tuple[Texts, References]
SetScore = Callable[[Sequence[TextSet]], Float[np.ndarray, " S"]]
"""A score of each of several sets of texts."""

RECALL_WEIGHT, FRAGMENTATION, STEEPNESS = 0.9, 0.5, 3
"""alpha, gamma and beta of METEOR 1.0 (Lavie and Agarwal, METEOR, WMT 2007; first set in Banerjee and Lavie 2005)."""

CIDER_ORDER, CIDER_LENGTH_SPREAD = 4, 6.0
"""Longest n-gram, and sigma of the penalty on the length, in words (Vedantam et al., CIDEr, CVPR 2015)."""


def words(text: str) -> list[str]:
    """Split a text into words in lower case, without punctuation and symbols, as DenseCap prepares captions.

    Args:
        text: Any text.

    Returns:
        Its words.
    """
    kept = (c for c in text.lower() if c.isspace() or unicodedata.category(c)[0] not in "PSC")
    return "".join(kept).split()


def unigram_f(candidates: Texts, references: References) -> Float[np.ndarray, " N"]:
    """Compute the F-score of matched words, less a penalty for broken order; the best of the references.

    Words match when equal, then, among what is left, when their stems are (Porter). With m matches in h candidate and r
    reference words, in c runs of consecutive words: F = P R / (0.9 P + 0.1 R), P = m / h, R = m / r, score
    F (1 - 0.5 (c / m)^3). That is the matching of METEOR 1.0 without synonyms; it is not METEOR.

    Args:
        candidates: Texts.
        references: Of each candidate.

    Returns:
        Fractions.
    """
    pairs = zip(map(words, candidates), references, strict=True)
    return np.array(
        [max((_word_score(text, words(r)) for r in refs), default=0.0) for text, refs in pairs], dtype=float
    )


def meteor(candidates: Texts, references: References) -> Float[np.ndarray, " N"]:
    """Compute METEOR 1.5 for English, by its authors' Java program (through pycocoevalcap; 2 GB, seconds to start).

    Args:
        candidates: Texts.
        references: Of each candidate.

    Returns:
        Fractions.

    Raises:
        InputError: Java or pycocoevalcap is missing, or the program fails.
    """
    program = _meteor_program()
    rows = [i for i, text in enumerate(candidates) if words(text) and any(map(words, references[i]))]
    scores = np.zeros(len(candidates))
    if rows:
        targets = {i: [_one_line(text) for text in references[i] if words(text)] for i in rows}
        try:
            _, scores[rows] = program().compute_score(targets, {i: [_one_line(candidates[i])] for i in rows})
        except (OSError, ValueError) as cause:  # no answer, or no number
            raise _meteor_failed(cause) from cause
    return scores


def meteor_of_sets(sets: Sequence[TextSet]) -> Float[np.ndarray, " S"]:
    """Compute METEOR 1.5 of each set of texts, whose matches are counted together (see `meteor`).

    Args:
        sets: Texts and their references; a text without words matches nothing.

    Returns:
        Fractions; 0 for a set without texts.

    Raises:
        InputError: As for `meteor`.
    """
    program, scores = _meteor_program(), np.zeros(len(sets))
    rows = [i for i, (texts, _) in enumerate(sets) if texts]
    if not rows:
        return scores
    try:
        scorer = program()
        for i in rows:
            texts, references = sets[i]
            targets = {n: [_some_words(text, "z") for text in group] for n, group in enumerate(references)}
            scores[i] = scorer.compute_score(targets, {n: [_some_words(t, "x")] for n, t in enumerate(texts)})[0]
    except (OSError, ValueError) as cause:
        raise _meteor_failed(cause) from cause
    return scores


LANGUAGE_SCORES: dict[str, LanguageScore] = {"unigram-F": unigram_f, "METEOR": meteor}
"""By the names under which tables show them; the first is the default."""


def language_score(name: str) -> LanguageScore:
    """Return the language score of a name.

    Args:
        name: One of `LANGUAGE_SCORES`.

    Returns:
        The function.

    Raises:
        InputError: There is no such score.
    """
    if name not in LANGUAGE_SCORES:
        raise InputError(f"unknown language score {name!r}{nearest(name, LANGUAGE_SCORES)}")
    return LANGUAGE_SCORES[name]


def set_score(name: str) -> SetScore | None:
    """Return how the language score of a name is computed of a set of texts.

    Args:
        name: One of `LANGUAGE_SCORES`.

    Returns:
        The function; None where it is the mean over the texts.
    """
    return meteor_of_sets if name == "METEOR" else None


def cider_d(candidates: Texts, references: References) -> float:
    """Compute CIDEr-D: agreement of n-grams weighted by how rare they are (Vedantam et al. 2015, eq. 2 to 5).

    Document frequencies are those of these references, one document per candidate; terms are counted, not normalized by
    the length, as in the authors' program.

    Args:
        candidates: Texts.
        references: Of each candidate.

    Returns:
        0 to 10; NaN without candidates.
    """
    texts = [_ngrams(words(text)) for text in candidates]
    targets = [[_ngrams(words(text)) for text in refs] for refs in references]
    frequency = Counter(gram for refs in targets for gram in {gram for reference in refs for gram in reference})
    rarity = _Rarity(frequency, math.log(max(len(texts), 1)))
    scores = [
        np.mean([rarity.similarity(text, reference) for reference in refs] or [0.0])
        for text, refs in zip(texts, targets, strict=True)
    ]
    return float(np.mean(scores)) if scores else float("nan")


def bleu_4(candidates: Texts, references: References) -> float:
    """Compute BLEU of the whole set up to 4 words (Papineni et al. 2002), by torchmetrics.

    The length that counts is that of the reference nearest in length, of two equally near ones the shorter, as in
    pycocoevalcap.

    Args:
        candidates: Texts.
        references: Of each candidate.

    Returns:
        A fraction; NaN without candidates.
    """
    from torchmetrics.functional.text import bleu_score

    if not candidates:
        return float("nan")
    shortest_first = [sorted(_normalized(texts), key=lambda text: len(text.split())) for texts in references]
    return float(bleu_score(_normalized(candidates), shortest_first, n_gram=4))


def rouge_l(candidates: Texts, references: References) -> float:
    """Compute the mean F1 of the longest common subsequence with the best reference (Lin 2004), by torchmetrics.

    Args:
        candidates: Texts.
        references: Of each candidate.

    Returns:
        A fraction; NaN without candidates.
    """
    from torchmetrics.functional.text.rouge import rouge_score

    if not candidates:
        return float("nan")
    targets = [_normalized(texts) for texts in references]
    scores = rouge_score(
        _normalized(candidates), targets, "best", normalizer=str, tokenizer=str.split, rouge_keys="rougeL"
    )
    return float(scores["rougeL_fmeasure"])


CORPUS_SCORES: dict[str, CorpusScore] = {"CIDEr-D": cider_d, "BLEU-4": bleu_4, "ROUGE-L": rouge_l}
"""By the names under which tables show them."""


def _word_score(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Compute `unigram_f` of one text against one reference."""
    links = sorted(_links(candidate, reference))
    if not links:
        return 0.0
    precision, recall = len(links) / len(candidate), len(links) / len(reference)
    f = precision * recall / (RECALL_WEIGHT * precision + (1 - RECALL_WEIGHT) * recall)
    runs = 1 + sum((b[0] - a[0], b[1] - a[1]) != (1, 1) for a, b in pairwise(links))
    return f * (1 - FRAGMENTATION * (runs / len(links)) ** STEEPNESS)


def _links(candidate: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of matched words; from the end of the text on, each takes the last free equal one."""
    links: list[tuple[int, int]] = []
    free_left, free_right = list(range(len(candidate))), list(range(len(reference)))
    for form in (str, stem):
        left, right = [form(word) for word in candidate], [form(word) for word in reference]
        for i in reversed(free_left.copy()):
            partner = next((j for j in reversed(free_right) if left[i] == right[j]), None)
            if partner is not None:
                links.append((i, partner))
                free_left.remove(i)
                free_right.remove(partner)
    return links


def _meteor_program() -> Any:
    if shutil.which("java") is None:
        raise InputError("METEOR needs Java, but there is no program 'java'; install it, or use unigram-F")
    try:
        return importlib.import_module("pycocoevalcap.meteor.meteor").Meteor
    except ImportError as cause:
        raise InputError(
            "METEOR needs pycocoevalcap, which scenekit does not install, as it is under the LGPL and the GPL: "
            "pip install pycocoevalcap, or use unigram-F"
        ) from cause


def _meteor_failed(cause: Exception) -> InputError:
    return InputError(f"METEOR's Java program failed ({cause}); it needs 2 GB of memory, or use unigram-F")


def _some_words(text: str, letter: str) -> str:
    """Return the text as the Java program reads it; a word of one letter, which matches nothing, for no words."""
    return _one_line(text) if words(text) else 20 * letter


def _one_line(text: str) -> str:
    """Return the text as the Java program reads it: a line without its separator."""
    return " ".join(text.replace("|||", " ").split())


def _normalized(texts: Texts) -> list[str]:
    return [" ".join(words(text)) for text in texts]


def _ngrams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    orders = range(1, CIDER_ORDER + 1)
    return Counter(tuple(tokens[i : i + n]) for n in orders for i in range(len(tokens) - n + 1))


class _Rarity:
    """Weights of n-grams: log of the number of documents over that of those which have the n-gram."""

    def __init__(self, frequency: Counter[tuple[str, ...]], log_documents: float) -> None:
        self.frequency = frequency
        self.log_documents = log_documents

    def similarity(self, text: Counter[tuple[str, ...]], reference: Counter[tuple[str, ...]]) -> float:
        """Compute CIDEr-D of one text and one reference."""
        ours, theirs = self._vectors(text), self._vectors(reference)
        cosines = [_clipped_cosine(a, b) for a, b in zip(ours, theirs, strict=True)]
        difference = _length(text) - _length(reference)
        return 10 * float(np.mean(cosines)) * math.exp(-(difference**2) / (2 * CIDER_LENGTH_SPREAD**2))

    def _vectors(self, counts: Counter[tuple[str, ...]]) -> list[dict[tuple[str, ...], float]]:
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(CIDER_ORDER)]
        for gram, count in counts.items():
            vectors[len(gram) - 1][gram] = count * (self.log_documents - math.log(max(self.frequency[gram], 1)))
        return vectors


def _clipped_cosine(a: dict[tuple[str, ...], float], b: dict[tuple[str, ...], float]) -> float:
    """Compute the cosine; a text gains nothing by repeating a word more often than its reference."""
    shared = sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b)
    norm = math.hypot(*a.values()) * math.hypot(*b.values())
    return shared / norm if norm else 0.0


def _length(counts: Counter[tuple[str, ...]]) -> int:
    return sum(count for gram, count in counts.items() if len(gram) == 1)
