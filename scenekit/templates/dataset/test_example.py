"""The data set keeps the rules that training and evaluation rely on."""

import pytest
from scenekit_example import scenekit_datasets

import scenekit as sk


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_keeps_every_rule(split: str) -> None:
    (data,) = scenekit_datasets()
    report = sk.testing.check_dataset(data, split=split)
    assert report.ok, str(report)
