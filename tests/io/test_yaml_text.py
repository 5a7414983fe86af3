import pytest

from scenekit.errors import InputError
from scenekit.io.yaml_text import load_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


def test_plain_data_with_anchors_and_merges():
    text = "base: &base {lr: 0.1, steps: 3}\nrun: {<<: *base, steps: 5}\nsame: *base\nsmallest: -9223372036854775808"
    base = {"lr": 0.1, "steps": 3}
    assert load_yaml(text, "here") == {"base": base, "run": {"lr": 0.1, "steps": 5}, "same": base, "smallest": -(2**63)}
    assert load_yaml("", "here") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 3000, "nested too deeply"),
        ("".join(f"{' ' * level}a:\n" for level in range(400)), "nested too deeply"),
        ("a: &a [*a]", "10,000,000 values"),
        (BOMB, "10,000,000 values"),
        ("a: " + "9" * 6000, "an integer of at most 64 bits, got '999.*6000 characters.* in line 1"),
        ("a: 0x" + "f" * 6000, "an integer of at most 64 bits"),
        ("a: 9223372036854775808", "an integer of at most 64 bits"),
        ("a: 1\nb: 2\na: 3", "the key 'a' occurs twice in line 1"),
        ("b:\n\ta: 1", r"'\\t' .* in line 2, column 1"),
        ("{Car:car}", "'Car:car' has no value; write Car: car with a space"),
        ("a: {b: {Car:car, Van:car}}", "'Car:car' has no value"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("? [a]\n: b", "unhashable"),
        ("a: !!python/name:os.getcwd", "could not determine a constructor"),
        ("--- a\n--- b", "expected"),
    ],
    ids=lambda text: text[:20].strip(),
)
def test_mistakes_are_one_line_that_names_the_origin(text, message):
    with pytest.raises(InputError, match=message) as caught:
        load_yaml(text, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ") and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_key_with_a_colon_in_quotes_or_with_a_value_is_fine():
    assert load_yaml("{'Car:car': , http://x: 1}", "here") == {"Car:car": None, "http://x": 1}
