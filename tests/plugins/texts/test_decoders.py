"""Both decoders write what they would say themselves, and learn what they are forced."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit_plugins.captions.config import CaptionConfig
from scenekit_plugins.texts.config import (
    LstmConfig,
    SearchConfig,
    StoredTokenizer,
    TokenizerConfig,
    TransformerConfig,
)
from scenekit_plugins.texts.decoder import CaptionDecoder, GeneratedTokens, teacher_forcing
from scenekit_plugins.texts.lstm import LstmDecoder
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, trained, word_level

TOKENIZER = CaptionTokenizer(word_level(["red", "blue", "cup", "ball"]))
CHANNELS, SIDE, SEEN, LIMIT, ROWS = 4, 3, 2, 5, 7
DECODERS = ["lstm", "transformer"]
SEARCHES: list[dict[str, Any]] = [
    {},
    {"method": "beam", "beams": 3},
    {"method": "sampling", "temperature": 1.5, "top_k": 4, "top_p": 0.9},
]


def made(kind: str, loudness: float = 1.0, **options: Any) -> CaptionDecoder:
    """Fresh, with loud weights: quiet ones say the same of everything."""
    torch.manual_seed(1)
    decoder: CaptionDecoder
    if kind == "lstm":
        decoder = LstmDecoder(CHANNELS * SIDE**2, TOKENIZER, LstmConfig(features=8, width=8, layers=2, **options), SEEN)
    else:
        transformer = pytest.importorskip("scenekit_plugins.texts.transformer")
        pytest.importorskip("transformers")
        config = TransformerConfig(width=8, heads=2, layers=2, **options)
        decoder = transformer.TransformerDecoder(CHANNELS, SIDE, LIMIT, TOKENIZER, config, SEEN)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(loudness * torch.randn_like(parameter))
    return decoder.eval()


def pooled(rows: int = ROWS) -> Tensor:
    return 2 * torch.randn(ROWS, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(1))[:rows]


def read(decoder: CaptionDecoder, rows: int = ROWS) -> Tensor:
    """With the image: each region is brighter than the one before."""
    return decoder.encode(pooled(rows), torch.linspace(-1, 1, ROWS)[:rows, None].expand(rows, SEEN))


def write(decoder: CaptionDecoder, uniform: Tensor | None = None, rows: int = ROWS, **options: Any) -> GeneratedTokens:
    uniform = torch.rand(rows, LIMIT, generator=torch.Generator().manual_seed(2)) if uniform is None else uniform
    with torch.no_grad():
        return decoder.generate(read(decoder, rows), LIMIT, SearchConfig.model_validate(options), uniform)


def texts(written: GeneratedTokens) -> list[tuple[int, ...]]:
    is_text = written.text_mask(TOKENIZER.end)
    return [tuple(row[mask].tolist()) for row, mask in zip(written.tokens, is_text, strict=True)]


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("options", SEARCHES)
def test_log_probabilities_are_those_of_teacher_forcing(kind: str, options: dict[str, Any]) -> None:
    decoder = made(kind, loudness=3.0 if kind == "lstm" else 1.0)
    written = write(decoder, **options)
    assert len(set(texts(written))) > 1, "regions should differ, to tell them apart"
    into = torch.cat((torch.full((ROWS, 1), TOKENIZER.start), written.tokens[:, :-1]), dim=1)
    with torch.no_grad():
        forced = decoder(read(decoder), into).gather(2, written.tokens[..., None])[..., 0]
    is_text = written.text_mask(TOKENIZER.end)
    torch.testing.assert_close(written.log_probs[is_text], forced[is_text], rtol=1e-4, atol=1e-5)
    assert not written.log_probs[~is_text].any()


@pytest.mark.parametrize("kind", DECODERS)
def test_says_one_thing_or_another(kind: str) -> None:
    """Probabilities sum to one over what may be written."""
    decoder = made(kind)
    said = decoder(read(decoder), torch.full((ROWS, 1), TOKENIZER.start)).exp()
    torch.testing.assert_close(said.sum(-1), torch.ones(ROWS, 1))
    assert not said[..., list(TOKENIZER.suppressed)].any()


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("options", SEARCHES)
def test_a_region_is_described_alone_as_among_others(kind: str, options: dict[str, Any]) -> None:
    decoder, uniform = made(kind), torch.rand(ROWS, LIMIT)
    assert texts(write(decoder, uniform, **options))[:3] == texts(write(decoder, uniform[:3], rows=3, **options))


@pytest.mark.parametrize("kind", DECODERS)
def test_one_beam_is_greedy(kind: str) -> None:
    decoder = made(kind)
    assert texts(write(decoder, method="beam", beams=1)) == texts(write(decoder))


@pytest.mark.parametrize("options", SEARCHES)
def test_remembered_keys_and_values_change_nothing(options: dict[str, Any]) -> None:
    remembers, repeats = (write(made("transformer", cache=cache), **options) for cache in (True, False))
    assert torch.equal(remembers.tokens, repeats.tokens)
    torch.testing.assert_close(remembers.log_probs, repeats.log_probs, rtol=1e-4, atol=1e-5)


def test_both_searches_find_the_best_text() -> None:
    """With beams for everything, transformers' search and ours: both against every text there is."""
    vocabulary = [token for token in range(len(TOKENIZER)) if token not in TOKENIZER.suppressed]
    for kind in DECODERS:
        decoder, limit = made(kind), 3
        with torch.no_grad():
            region = read(decoder, 2)
            config = SearchConfig(method="beam", beams=125, length_penalty=1.0)
            found = texts(decoder.generate(region, limit, config, torch.rand(2, limit)))
            for row in range(2):
                score = {t: _score(decoder, region[row : row + 1], t) for t in _every_text(vocabulary, limit)}
                assert found[row] == max(score, key=lambda t: score[t])


def _every_text(vocabulary: list[int], limit: int) -> list[tuple[int, ...]]:
    words = [token for token in vocabulary if token != TOKENIZER.end]
    texts: list[tuple[int, ...]] = [()]
    ended = []
    for _ in range(limit):
        ended += [(*text, TOKENIZER.end) for text in texts]
        texts = [(*text, word) for text in texts for word in words]
    return [*ended, *texts]


def _score(decoder: CaptionDecoder, region: Tensor, text: tuple[int, ...]) -> float:
    said = decoder(region, torch.tensor([[TOKENIZER.start, *text[:-1]]]))
    return float(said.gather(2, torch.tensor([text])[..., None]).sum()) / len(text)


@pytest.mark.parametrize("kind", DECODERS)
def test_learns_to_tell_regions_apart(kind: str) -> None:
    torch.manual_seed(0)
    decoder = made(kind, loudness=0.1, dropout=0.0).train()
    sayings = ["red cup", "blue ball", "cup", "red red ball blue"]
    forced = teacher_forcing(TOKENIZER, [TOKENIZER.encode(text) for text in sayings], LIMIT)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    for _ in range(200):
        said = decoder(read(decoder, 4), forced.inputs)
        loss = F.nll_loss(said.flatten(0, 1), forced.targets.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    written = write(decoder.eval(), rows=4)
    assert [TOKENIZER.decode(tokens) for tokens in written.tokens.tolist()] == sayings


def test_lessons_by_hand() -> None:
    red, cup, start, end, pad = (
        *TOKENIZER.encode("red cup"),
        TOKENIZER.start,
        TOKENIZER.end,
        TOKENIZER.pad,
    )
    assert TOKENIZER.unknown is not None
    forced = teacher_forcing(TOKENIZER, [(red, cup), (cup,), (red, TOKENIZER.unknown, cup), (red,) * 9], limit=4)
    assert forced.inputs.tolist() == [
        [start, red, cup, pad, pad],
        [start, cup, pad, pad, pad],
        [start, red, TOKENIZER.unknown, cup, pad],
        [start, red, red, red, red],
    ]
    # Padding, unknown words, and the end of a text that was cut off are not learned.
    assert forced.targets.tolist() == [
        [red, cup, end, -1, -1],
        [cup, end, -1, -1, -1],
        [red, -1, cup, end, -1],
        [red, red, red, red, -1],
    ]


def test_padding_gets_no_gradient() -> None:
    decoder = made("lstm")
    forced = teacher_forcing(TOKENIZER, [TOKENIZER.encode("red cup ball"), TOKENIZER.encode("cup")], LIMIT)
    F.nll_loss(
        decoder(read(decoder, 2), forced.inputs).flatten(0, 1), forced.targets.flatten(), ignore_index=-1
    ).backward()
    assert isinstance(decoder, LstmDecoder)
    assert decoder.words.weight.grad is not None and not decoder.words.weight.grad[TOKENIZER.pad].any()


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A language model without cross-attention and its tokenizer, as transformers saves them."""
    transformers = pytest.importorskip("transformers")
    stored = trained(TokenizerConfig(kind="bpe", vocabulary_size=300), ["a red cup", "a blue ball"])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=CaptionTokenizer(stored)._tokenizer, bos_token="<start>", eos_token="<end>"
    )
    tokenizer.save_pretrained(tmp_path)
    config = transformers.GPT2Config(vocab_size=310, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_pretrained_decoders_by_name(pretrained: Path) -> None:
    from scenekit_plugins.texts.pretrained import architecture, pretrained_network, pretrained_tokenizer
    from scenekit_plugins.texts.transformer import TransformerDecoder

    stored = pretrained_tokenizer(str(pretrained))
    assert (stored.start, stored.end, stored.pad, stored.unknown) == ("<start>", "<end>", "<end>", None)
    tokenizer = CaptionTokenizer(stored)
    decoder = TransformerDecoder(CHANNELS, SIDE, LIMIT, tokenizer, TransformerConfig(weights=str(pretrained))).eval()
    theirs = pretrained_network(str(pretrained)).get_input_embeddings().weight
    assert torch.equal(decoder.network.get_input_embeddings().weight, theirs)
    (names,) = decoder.axis_names["network.transformer.wte.weight"]
    assert names.names[: len(tokenizer)] == tokenizer.names and len(names.names) == 310
    written = write(decoder)
    assert bool((written.tokens < len(tokenizer)).all())
    # A checkpoint has the architecture instead of the folder.
    again = TransformerDecoder(
        CHANNELS, SIDE, LIMIT, tokenizer, TransformerConfig(network=architecture(str(pretrained)))
    )
    again.load_state_dict(decoder.state_dict())
    assert torch.equal(write(again.eval()).tokens, written.tokens)


def test_wrong_names_are_told(tmp_path: Path, pretrained: Path) -> None:
    from scenekit_plugins.texts.pretrained import pretrained_network, pretrained_tokenizer
    from scenekit_plugins.texts.transformer import TransformerDecoder

    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be loaded as a language model of transformers"):
        pretrained_network(nowhere)
    with pytest.raises(InputError, match="cannot be loaded as a fast tokenizer of transformers"):
        pretrained_tokenizer(nowhere)
    with pytest.raises(ValueError, match="need their own tokenizer"):
        CaptionConfig(decoder="transformer", transformer=TransformerConfig(weights="gpt2"))
    many = CaptionTokenizer(word_level(f"word{number}" for number in range(400)))
    with pytest.raises(InputError, match="404 tokens, the pretrained decoder 310"):
        TransformerDecoder(CHANNELS, SIDE, LIMIT, many, TransformerConfig(weights=str(pretrained)))


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'pip install "scenekit\[transformers\]", or set decoder: lstm'):
        made_without()


def made_without() -> CaptionDecoder:
    from scenekit_plugins.texts.transformer import TransformerDecoder

    return TransformerDecoder(CHANNELS, SIDE, LIMIT, TOKENIZER, TransformerConfig())


def test_stored_tokenizers_are_short_in_messages() -> None:
    stored = StoredTokenizer(**word_level(["cup"]).model_dump())
    assert "cup" not in repr(stored)
