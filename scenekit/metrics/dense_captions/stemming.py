"""Porter's suffix stripper for English (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980).

The rules are those of the paper, not the extensions of later programs such as nltk's: "flies" becomes "fli", "fly" and
"sky" stay, "dies" and "ties" become "di" and "ti". Only words of one or two letters are left alone, as in Porter's own
program. Words of other languages pass through mostly unchanged. The names of the rules are those of the paper: m is the
number of vowel-consonant sequences of what is left of a word, *v* says that it has a vowel, *d that it ends in two
equal consonants, *o that it ends consonant-vowel-consonant and the last is not w, x or y.
"""

from collections.abc import Mapping
from functools import lru_cache

_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "abli": "able", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = {
    "al": "", "ance": "", "ence": "", "er": "", "ic": "", "able": "", "ible": "", "ant": "", "ement": "", "ment": "",
    "ent": "", "ion": "", "ou": "", "ism": "", "ate": "", "iti": "", "ous": "", "ive": "", "ize": "",
}  # fmt: skip


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Compute the stem of a word.

    Args:
        word: In lower case.

    Returns:
        Its stem; words of one or two letters are their own.
    """
    if len(word) <= 2:
        return word
    word = _third_person_or_plural(word)
    word = _past_or_participle(word)
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(word, _STEP_2, 0)
    word = _replaced(word, _STEP_3, 0)
    word = _replaced(word, _STEP_4, 1)
    return _without_final_e(word)


def _third_person_or_plural(word: str) -> str:
    """Step 1a."""
    for suffix, replacement in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(suffix):
            return word.removesuffix(suffix) + replacement
    return word


def _past_or_participle(word: str) -> str:
    """Step 1b: -eed, -ed and -ing, and the completion of what is left (hop-p-ing, fil-ing, conflat-ed)."""
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        left = word.removesuffix(suffix)
        if left != word and "v" in _shape(left):
            return _completed(left)
    return word


def _completed(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if _doubled(word) and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _short_end(word) else word


def _replaced(word: str, rules: Mapping[str, str], least: int) -> str:
    """Replace the longest suffix of `rules`, where m of what is before it is above `least`."""
    suffix = max((suffix for suffix in rules if word.endswith(suffix)), key=len, default=None)
    if suffix is None:
        return word
    left = word.removesuffix(suffix)
    if _measure(left) <= least or (suffix == "ion" and not left.endswith(("s", "t"))):
        return word
    return left + rules[suffix]


def _without_final_e(word: str) -> str:
    """Step 5: the last -e, then one of -ll."""
    if word.endswith("e"):
        m = _measure(word[:-1])
        if m > 1 or (m == 1 and not _short_end(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


def _shape(word: str) -> str:
    """Return `c` or `v` for each letter; y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        shape += "v" if letter in "aeiou" or (letter == "y" and shape.endswith("c")) else "c"
    return shape


def _measure(word: str) -> int:
    """Return m of the paper."""
    return _shape(word).count("vc")


def _doubled(word: str) -> bool:
    """Return *d of the paper."""
    return len(word) > 1 and word[-1] == word[-2] and _shape(word).endswith("cc")


def _short_end(word: str) -> bool:
    """Return *o of the paper."""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"
