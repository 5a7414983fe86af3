"""Language scores, held against nltk, pycocoevalcap, METEOR's own program, and cases worked by hand."""

import importlib.util
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.metrics.dense_captions import language
from scenekit.metrics.dense_captions.language import bleu_4, cider_d, language_score, meteor, rouge_l, unigram_f, words
from scenekit.metrics.dense_captions.stemming import stem

REFERENCE = Path(__file__).parents[1] / "reference" / "captions"
ROWS: list[dict[str, Any]] = json.loads((REFERENCE / "meteor.json").read_text())["rows"]
TEXTS = [row["candidate"] for row in ROWS], [row["references"] for row in ROWS]
OFFICIAL = json.loads((REFERENCE / "pycocoevalcap.json").read_text())


def test_unigram_f_equals_nltks_exact_and_stem_matching() -> None:
    assert unigram_f(*TEXTS) == pytest.approx([row["nltk_exact_stem"] for row in ROWS], abs=1e-9, rel=0)


def test_unigram_f_by_hand() -> None:
    """3 of 4 words match 3 of 5 in 2 runs (one by its stem): P = 3/4, R = 3/5, F = .45 / (.675 + .06)."""
    expected = 0.45 / 0.735 * (1 - 0.5 * (2 / 3) ** 3)
    assert unigram_f(["Red cars, big dog!"], [["red car on a dog"]]) == pytest.approx([expected])


def test_texts_without_words_score_nothing() -> None:
    candidates = ["", "...", "\U0001f600", "a dog", "a dog"]
    assert unigram_f(candidates, [["a"], ["a"], ["\U0001f600"], [""], []]).tolist() == [0] * 5
    assert unigram_f([], []).shape == (0,)


def test_words_of_other_scripts_are_kept() -> None:
    assert words("T-shirt, man's;\nнебо  हिन्दी") == ["tshirt", "mans", "небо", "हिन्दी"]
    assert unigram_f(["синее небо"], [["синее небо"]])[0] == pytest.approx(1 - 0.5 / 8)


def test_texts_of_a_thousand_words() -> None:
    text = " ".join(f"word{i}" for i in range(1000))
    assert unigram_f([text], [[text]])[0] == pytest.approx(1)


def test_cider_d_equals_pycocoevalcap() -> None:
    assert cider_d(*TEXTS) == pytest.approx(OFFICIAL["CIDEr-D"], abs=1e-9, rel=0)


def test_bleu_equals_pycocoevalcap() -> None:
    assert bleu_4(*TEXTS) == pytest.approx(OFFICIAL["BLEU"][3], abs=1e-6, rel=0)


def test_rouge_l_by_hand() -> None:
    """The longest common subsequence of the first has 3 words: P = 3/4, R = 3/3; the second says the same."""
    assert rouge_l(["A big red dog", "небо"], [["big, dog", "a red dog"], ["небо"]]) == pytest.approx((6 / 7 + 1) / 2)


def test_sets_without_texts_are_undefined_and_empty_texts_score_nothing() -> None:
    for score in language.CORPUS_SCORES.values():
        assert math.isnan(score([], [])) and score([""], [["a dog"]]) == 0


def test_names() -> None:
    assert next(iter(language.LANGUAGE_SCORES)) == "unigram-F" and language_score("METEOR") is meteor
    with pytest.raises(InputError, match="unknown language score 'unigramF'; did you mean 'unigram-F'"):
        language_score("unigramF")


STEMS = {
    "generalizations": "gener", "oscillators": "oscil", "caresses": "caress", "ponies": "poni", "cats": "cat",
    "feed": "feed", "agreed": "agre", "plastered": "plaster", "bled": "bled", "motoring": "motor", "sing": "sing",
    "hopping": "hop", "tanned": "tan", "falling": "fall", "hissing": "hiss", "fizzed": "fizz", "failing": "fail",
    "filing": "file", "happy": "happi", "sky": "sky", "relational": "relat", "rational": "ration", "as": "as",
    "triplicate": "triplic", "electrical": "electr", "hopeful": "hope", "goodness": "good", "adoption": "adopt",
    "replacement": "replac", "homologou": "homolog", "effective": "effect", "probate": "probat", "rate": "rate",
    "cease": "ceas", "controll": "control", "roll": "roll",
}  # fmt: skip
"""The examples of Porter's paper, each taken through all of its steps."""


SHORT = {
    "fly": "fly", "flies": "fli", "flying": "fly", "die": "die", "dies": "di", "died": "di", "dying": "dy",
    "tie": "tie", "ties": "ti", "sky": "sky", "skies": "ski", "cry": "cry", "cries": "cri",
}  # fmt: skip
"""By the rules of the paper: IES becomes I (1a); ED and ING need a vowel before them (1b), and so does Y (1c)."""


def test_stems_are_those_of_porters_paper() -> None:
    assert {word: stem(word) for word in STEMS} == STEMS
    assert {word: stem(word) for word in SHORT} == SHORT


@pytest.mark.parametrize("references", [["a b c d e f", "a b c d"], ["a b c d", "a b c d e f"]])
def test_of_equally_near_references_the_shorter_counts_for_bleu(references: list[str]) -> None:
    """Five words between four and six: no penalty, where six would give exp(1 - 6/5)."""
    assert language.bleu_4(["a b c d e"], [references]) == pytest.approx(1)


def test_meteor_without_java_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match=r"METEOR needs Java.* or use unigram-F"):
        meteor(["a dog"], [["a dog"]])


def test_a_program_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def compute_score(self, *_: Any) -> Any:
            raise BrokenPipeError("Broken pipe")

    monkeypatch.setattr(language, "_meteor_program", lambda: Failing)
    with pytest.raises(InputError, match=r"Java program failed \(Broken pipe\); it needs 2 GB"):
        meteor(["a dog"], [["a dog"]])
    assert meteor(["", "a dog"], [["a dog"], []]).tolist() == [0, 0], "nothing is asked"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR's program needs Java")
@pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="METEOR needs pycocoevalcap")
def test_meteor_equals_its_authors_program() -> None:
    candidates, references = [*TEXTS[0], ""], [*TEXTS[1], ["a dog"]]
    expected = np.array([*(row["meteor15"] for row in ROWS), 0.0])
    assert meteor(candidates, references) == pytest.approx(expected, abs=1e-6, rel=0)
