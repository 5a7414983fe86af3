"""Classes by the embeddings of their names: cosines, one file per vocabulary, further classes by name alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import scenekit as sk
from scenekit.config import merged
from scenekit.detection import text
from scenekit.detection.text import TextBoxPredictor, TextConfig, text_embeddings
from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.weights import load_model, save_model
from tests import tiny

transformers = pytest.importorskip("transformers")

WORDS = ("a", "photo", "of", "cup", "person", "zebra", "kite", "the")
DIM = 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test."""
    monkeypatch.setenv("SCENEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", params=["clip", "siglip"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny text encoder of random weights, and a tokenizer of whole words."""
    return stored(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored("clip", tmp_path_factory.mktemp("one"))


def stored(kind: str, folder: Path, seed: int = 1) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(seed)
    words = {word: number for number, word in enumerate(["<pad>", "<end>", "<unk>", *WORDS, "."])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(folder)
    sizes = {"hidden_size": DIM, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"vocab_size": len(words), "max_position_embeddings": 10}
    if kind == "clip":
        ids = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "projection_dim": DIM}
        seen = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        seen |= {"image_size": 8, "patch_size": 4, "projection_dim": DIM}
        config = transformers.CLIPConfig(text_config=sizes | ids, vision_config=seen, projection_dim=DIM)
        network = transformers.CLIPModel(config)  # as published: text and images
    else:
        network = transformers.SiglipTextModel(transformers.SiglipTextConfig(projection_size=DIM, **sizes))
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return folder


def model_with(weights: Path | str | None, names: tuple[str, ...] = ("cup", "person")) -> SceneModel:
    config = tiny.config(tasks=())
    options = merged(config.detector_options, {"box_head": {"text": {"weights": weights and str(weights), "dim": DIM}}})
    return build(config.model_copy(update={"detector_options": options}), sk.Vocabulary(names))


def test_embeddings_are_those_of_the_encoder(encoder: Path) -> None:
    """One text at a time by hand, the mean over two templates."""
    config = TextConfig(weights=str(encoder), dim=DIM, templates=("a photo of a {}.", "the {}"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    clip = "clip" in transformers.AutoConfig.from_pretrained(encoder).model_type
    network = (transformers.CLIPTextModelWithProjection if clip else transformers.SiglipTextModel).from_pretrained(
        encoder
    )

    def by_hand(sentence: str) -> Tensor:
        tokens = tokenizer(sentence, padding="max_length", max_length=10, return_tensors="pt")
        with torch.no_grad():
            output = network.eval()(input_ids=tokens["input_ids"])
        return F.normalize(output.text_embeds if clip else output.pooler_output, dim=1)[0]

    expected = torch.stack([by_hand(f"a photo of a {name}.") + by_hand(f"the {name}") for name in ("cup", "zebra")])
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)
    torch.testing.assert_close(text_embeddings(("cup", "zebra"), config), F.normalize(expected, dim=1))


def test_a_vocabulary_is_encoded_once(clip: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TextConfig(weights=str(clip), dim=DIM)
    first = text_embeddings(("cup", "person"), config)
    monkeypatch.setattr(text, "encode", None)
    assert torch.equal(text_embeddings(("cup", "person"), config), first)
    assert len(list((cache / "text").glob("*.npy"))) == 1
    monkeypatch.undo()
    next((cache / "text").glob("*.npy")).write_bytes(b"cut off")
    monkeypatch.setenv("SCENEKIT_CACHE", str(cache))
    assert torch.equal(text_embeddings(("cup", "person"), config), first)


def test_logits_are_cosines() -> None:
    """Two classes along two axes: by hand, with the initial scale of 1 / 0.07."""
    predictor = TextBoxPredictor(2, ("cup", "person"), TextConfig(dim=2))
    predictor.text.copy_(torch.eye(2))
    with torch.no_grad():
        predictor.projection.weight.copy_(torch.eye(2))
        predictor.projection.bias.zero_()
        predictor.background.copy_(torch.tensor([-5.0, 0.0]))
        predictor.bias.fill_(0.5)
        logits, deltas = predictor(torch.tensor([[3.0, 4.0]]))
    torch.testing.assert_close(logits, torch.tensor([[0.6 / 0.07 + 0.5, 0.8 / 0.07 + 0.5, -0.6 / 0.07]]))
    assert deltas.shape == (1, 2, 4) and torch.equal(deltas[:, 0], deltas[:, 1])


def test_it_learns_all_but_the_embeddings(clip: Path) -> None:
    model = model_with(clip).train()
    losses = model(*tiny.batch(model, [tiny.sample(0, keys=())])).losses
    torch.stack([*losses.values()]).sum().backward()
    detection = model.stages["detection"]
    assert all(value.grad is not None for value in detection.parameters())
    assert not detection.predictor.text.requires_grad


def test_a_saved_model_needs_no_encoder(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(clip).eval()
    save_model(model, tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "transformers", None)
    again = load_model(tmp_path / "model.safetensors")
    assert torch.equal(again.state_dict()["stages.detection.predictor.text"], detection_text(model))


def detection_text(model: SceneModel) -> Tensor:
    return model.state_dict()["stages.detection.predictor.text"]


def test_a_class_is_added_by_its_name(clip: Path) -> None:
    """Scores of the old classes stay in their order, and a region that looks like the new name is detected as it."""
    model = model_with(clip).eval()
    larger = sk.add_labels(model, ["zebra"], text=str(clip))
    assert larger.vocabulary.things == ("cup", "person", "zebra")
    assert torch.equal(detection_text(larger)[:2], detection_text(model))
    features = torch.rand(5, 32)
    before, after = (one.stages["detection"].predictor(features) for one in (model, larger))
    torch.testing.assert_close(after[0][:, [0, 1, 3]], before[0])
    torch.testing.assert_close(after[1][:, :2], before[1])
    predictor = larger.stages["detection"].predictor
    with torch.no_grad():
        predictor.projection.weight.zero_()
        predictor.projection.bias.copy_(predictor.text[2])
        assert int(predictor(features)[0][0, :3].argmax()) == 2


def test_one_name_is_one_class(clip: Path) -> None:
    assert sk.add_labels(model_with(clip), "zebra", text=str(clip)).vocabulary.things == ("cup", "person", "zebra")


def test_what_cannot_be_added(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train with\s+model.detector_options.box_head.text"):
        sk.add_labels(build(tiny.config(()), tiny.VOCABULARY), ["zebra"], text=str(clip))
    with pytest.raises(InputError, match="has the class cup already"):
        sk.add_labels(model_with(clip), ["cup"], text=str(clip))
    with pytest.raises(InputError, match="other embeddings than it was trained with"):
        sk.add_labels(model_with(clip), ["zebra"], text=str(stored("clip", tmp_path, seed=2)))


def test_what_cannot_be_encoded(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of 12 numbers, expected 768; set box_head.text.dim: 12"):
        text_embeddings(("cup",), TextConfig(weights=str(clip)))
    transformers.AutoConfig.for_model("bert").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="expected CLIP, SigLIP or SigLIP 2, got bert"):
        text_embeddings(("cup",), TextConfig(weights=str(tmp_path)))
    with pytest.raises(InputError, match=r"expected one \{\} for the class name"):
        options: dict[str, Any] = {"box_head": {"text": {"templates": ["a photo"]}}}
        build(tiny.config(()).model_copy(update={"detector_options": options}), tiny.VOCABULARY)


def test_training_without_embeddings_is_refused() -> None:
    model = model_with(None).train()
    with pytest.raises(InputError, match=r"no embeddings; set model\.detector_options"):
        model(*tiny.batch(model, [tiny.sample(0, keys=())]))
