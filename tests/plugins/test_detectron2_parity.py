"""Converted networks give detectron2's own numbers, layer by layer, from a checkpoint to the finished Scene."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.cli.main import main
from scenekit.fields.semantic import IGNORE
from scenekit.model.preprocess import pack
from tests.plugins import detectron2_parity as parity


@dataclass
class Converted:
    """A model from a checkpoint, and what detectron2 computes with the same weights."""

    network: str
    model: sk.SceneModel
    reference: dict[str, Any]


@pytest.fixture(scope="module", params=["panoptic", "keypoint"])
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Panoptic FPN, which is Mask R-CNN and more, by the command line, and Keypoint R-CNN by the path of its file."""
    reference = parity.reference(request.param)
    state = parity.weights(parity.shapes(request.param))
    assert parity.off_by_the_rule(state, reference) < 1e-6
    checkpoint = tmp_path_factory.mktemp(request.param) / "model_final.pkl"
    checkpoint.write_bytes(pickle.dumps({"model": state, "__author__": "Detectron2 Model Zoo"}, protocol=2))
    model = by_command(checkpoint) if request.param == "panoptic" else sk.load(f"detectron2/{checkpoint}")
    checkpoint.unlink()
    return Converted(request.param, model, reference)


def by_command(checkpoint: Path) -> sk.SceneModel:
    """The model that `scenekit convert` writes."""
    out = checkpoint.with_name("model.safetensors")
    with pytest.raises(SystemExit) as end:
        main(["convert", "detectron2", str(checkpoint), "-o", str(out)])
    assert not end.value.code
    model = sk.load(out)
    out.unlink()
    return model


def test_every_stage_equals_detectron2(converted: Converted) -> None:
    found = parity.differences(converted.model, converted.reference, parity.picture())
    assert not [difference for difference in found if not difference.fine]
    checked = {difference.stage for difference in found}
    assert set(converted.reference) - checked == {"weights_check_names", "weights_check_abs_sums"}


def test_words_are_cocos(converted: Converted) -> None:
    vocabulary = converted.model.vocabulary
    if converted.network == "keypoint":
        assert vocabulary.things == ("person",) and vocabulary.skeleton is not None
        assert vocabulary.skeleton.points[0] == "nose" and len(vocabulary.skeleton.points) == 17
    else:
        assert (len(vocabulary.things), len(vocabulary.stuff)) == (80, 53)
        assert vocabulary.things[0] == "person" and vocabulary.things[-1] == "toothbrush"
        assert vocabulary.stuff[0] == "banner" and vocabulary.stuff[-1] == "rug-merged"


@torch.no_grad()
def test_images_in_which_nothing_scores(converted: Converted) -> None:
    """Two images of different sizes without objects, asked for at sizes other than the network's."""
    model, sizes = converted.model, ((35, 25), (48, 80))
    batch = pack([parity.picture(70, 50), parity.picture(40, 96)], model.config.input, original_sizes=sizes)
    for scene, size in zip(model.scenes(model(batch, threshold=1.1), threshold=1.1), sizes, strict=True):
        assert scene.size == size and len(scene.objects) == 0
        if converted.network == "keypoint":
            assert scene[sk.KEYPOINTS].xy.shape == (0, 17, 2)
        else:
            assert len(scene[sk.MASKS]) == 0 and scene[sk.SEMANTIC].shape == size
            assert scene[sk.PANOPTIC].segments == (), "no stuff can reach 4096 pixels"
            assert set(scene[sk.SEMANTIC].unique().tolist()) <= {IGNORE, *range(80, 133)}


def test_channels_turn_to_bgr(converted: Converted) -> None:
    """An RGB image comes in as everywhere; the mean of each channel is detectron2's PIXEL_MEAN."""
    image = parity.picture(32, 32)
    found = pack([image], converted.model.config.input).pixels[0, :, 0, 0]
    expected = image.flip(0)[:, 0, 0] - torch.tensor([103.530, 116.280, 123.675])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
