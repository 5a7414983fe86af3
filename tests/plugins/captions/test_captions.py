"""The task as a whole: what it brings, learns, writes, keeps, and how it takes bad input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES, Key
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Objects, Scene
from scenekit.structures import Captions, ImageBatch, Regions, Vocabulary
from scenekit.visualization import draw_layers
from scenekit.weights.transfer import transfer
from scenekit_plugins.captions import prepared, texts_of
from scenekit_plugins.captions.config import CaptionConfig, TokenizerConfig
from scenekit_plugins.captions.draw import LONGEST, described_regions, draw_captions, region_texts
from scenekit_plugins.captions.head import CaptionHead, uniform_numbers
from scenekit_plugins.texts.decoder import GeneratedTokens
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, word_level
from tests.tiny import VOCABULARY, batch, config, sample

SMALL = {"lstm": {"features": 16, "width": 16}, "score_threshold": 0.0}
WORDS = ("a", "person", "cup", "beside", "the", "left", "right", "of", "with", "on")


def stored(words: Sequence[str] = WORDS) -> dict[str, Any]:
    return {"stored": word_level(words).model_dump()}


def built(vocabulary: Vocabulary = VOCABULARY, words: Sequence[str] = WORDS, **options: Any) -> SceneModel:
    torch.manual_seed(0)
    tasks = {"captions": {**SMALL, "tokenizer": stored(words), **options}}
    return sk.build(config(()).model_copy(update={"tasks": tasks}), vocabulary).eval()


@pytest.fixture(scope="module")
def model() -> SceneModel:
    """The detector of the other tests with this task alone, fresh."""
    return built()


def described(
    number: int = 0,
    phrases: Sequence[Sequence[str]] | None = (("a person", "a person beside a cup"), ("a cup",)),
    **keys: Any,
) -> Sample:
    """An image of two objects with two phrases about them; None: nobody said anything of regions."""
    one = sample(number, keys=())
    boxes, values = one.scene.objects.boxes, {}
    streams = {OBJECTS: one.scene.objects}
    if phrases is not None:
        rows = torch.arange(len(phrases)) % 2
        streams[PHRASES] = Objects(boxes[rows], torch.zeros(len(rows), dtype=torch.int64))
        values[PHRASE_CAPTIONS] = Captions(tuple(map(tuple, phrases)))
    if "objects" in keys:
        values[CAPTIONS] = Captions(tuple(map(tuple, keys["objects"])))
    scene = replace(one.scene, streams=streams, values=values, valid={})
    known = frozenset(streams)
    return replace(one, scene=scene, supervision=Supervision(frozenset(values), streams=known, exhaustive=known))


def truth_given(model: SceneModel, samples: Sequence[Sample]) -> tuple[ImageBatch, Any, dict[Key[Any, Any], Any]]:
    images, targets = batch(model, samples)
    given = {}
    for stream, truth in targets.streams.items():
        rows = torch.arange(len(truth.regions))
        given[stream] = replace(truth.regions, matched=rows, scores=torch.ones(len(rows)))
    return images, targets, given


def losses(model: SceneModel, samples: Sequence[Sample]) -> dict[str, float]:
    images, targets, given = truth_given(model, samples)
    with torch.no_grad():
        found = model(images, targets, given).losses
    return {name: float(value) for name, value in found.items() if name.startswith("captions.")}


def head_of(model: SceneModel) -> CaptionHead:
    head = model.heads["captions"]
    assert isinstance(head, CaptionHead)
    return head


def test_brings_a_stream_of_its_own(model: SceneModel) -> None:
    images, targets = batch(model, [described()])
    learning = model(images, targets)
    assert {"phrases.classification", "phrases.box", "captions.phrase"} <= set(learning.losses)
    scene = model.predict(described().image, threshold=0.0)
    assert len(scene[PHRASE_CAPTIONS]) == len(scene.regions(PHRASES)) and len(scene[CAPTIONS]) == len(scene.objects)


def test_objects_are_described_if_asked_for() -> None:
    alone = built(objects=False)
    assert alone.specs["captions"].provides == (PHRASE_CAPTIONS,) == alone.learns_from
    scene = alone.predict(described().image, threshold=0.0)
    assert PHRASE_CAPTIONS in scene and CAPTIONS not in scene


def test_loss_by_hand(model: SceneModel) -> None:
    """One text a region, so that there is nothing to draw: the mean of minus log-probability over all tokens."""
    samples = [described(0, [("a person",), ("the cup on the left",)]), described(1, [("a cup",)])]
    images, targets, given = truth_given(model, samples)
    head = head_of(model)
    with torch.no_grad():
        outputs = model(images, targets, given)
        read = head.decoder.encode(outputs.board.pool(given[PHRASES], head.config.pooled))
        total, count = 0.0, 0
        for row, text in enumerate(["a person", "the cup on the left", "a cup"]):
            tokens = [*head.tokenizer.encode(text), head.tokenizer.end]
            into = torch.tensor([[head.tokenizer.start, *tokens[:-1]]])
            said = head.decoder(read[row : row + 1], into)[0]
            total -= float(said.gather(1, torch.tensor(tokens)[:, None]).sum())
            count += len(tokens)
    assert float(outputs.losses["captions.phrase"]) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("decoder", ["lstm", "transformer"])
def test_looking_at_the_image_starts_silent_and_learns(decoder: str) -> None:
    """A model of before goes on with the same losses, and from the first step on the picture changes them."""
    if decoder == "transformer":
        pytest.importorskip("transformers")
    more = {"decoder": decoder, "transformer": {"width": 8, "heads": 2}}
    before, looking = built(**more), built(picture=True, channels=4, picture_channels=4, **more)
    told = transfer(before, looking)
    new = {"looking.pixels.0", "looking.pixels.2", "looking.conv", "decoder.seen"}
    assert {name.removeprefix("heads.captions.").rpartition(".")[0] for name in told.fresh} == new
    samples = [described(0, objects=[("a person",), ("a cup",)])]
    assert losses(looking, samples) == pytest.approx(losses(before, samples), rel=1e-5)
    names, values = zip(*head_of(looking).named_parameters(), strict=True)
    for _ in range(2):  # what is silent is the only new part that has a gradient at first
        images, targets, given = truth_given(looking, samples)
        found = looking(images, targets, given).losses
        gradients = torch.autograd.grad(found["captions.phrase"] + found["captions.object"], values)
        with torch.no_grad():
            for value, gradient in zip(values, gradients, strict=True):
                value -= 0.1 * gradient
    by_name = dict(zip(names, gradients, strict=True))
    assert all(bool(by_name[f"{name}.weight"].any()) for name in new)


def test_all_references_are_the_mean_of_each() -> None:
    both, one = built(references="all"), built()
    together = losses(both, [described(0, [("a person", "the person")])])["captions.phrase"]
    alone = [losses(one, [described(0, [(text,)])])["captions.phrase"] for text in ("a person", "the person")]
    assert together == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_one_reference_is_drawn_by_the_images_seed(model: SceneModel) -> None:
    texts = [tuple(f"{word} cup" for word in WORDS)]
    images, targets, given = truth_given(model, [described(0, texts)])

    def loss(seed: int) -> float:
        with torch.no_grad():
            return float(model(replace(images, seeds=(seed,)), targets, given).losses["captions.phrase"])

    found = [loss(seed) for seed in range(8)]
    assert found == [loss(seed) for seed in range(8)] and len(set(found)) > 3


def test_images_without_descriptions_teach_nothing(model: SceneModel) -> None:
    assert losses(model, [described(phrases=None)]) == {"captions.unlabelled": 0.0}
    mixed = losses(model, [described(0, [("a cup",)]), described(1, phrases=None)])
    assert mixed["captions.phrase"] == pytest.approx(losses(model, [described(0, [("a cup",)])])["captions.phrase"])


def test_objects_alone_teach_too(model: SceneModel) -> None:
    found = losses(model, [described(phrases=None, objects=[("a person",), ("a cup",)])])
    assert found["captions.object"] > 0 and "captions.phrase" not in found


@pytest.mark.parametrize(
    "texts",
    [
        [("",), ("a cup",)],
        [(), ("🙂 !?",)],
        [("zebra quagga",), ("cup " * 1000,)],
        [("一只红色的杯子", "\ud83d"), ("\x00",)],
    ],
)
def test_strange_captions(model: SceneModel, texts: Any) -> None:
    found = losses(model, [described(0, texts)])
    assert all(torch.isfinite(torch.tensor(value)) for value in found.values())


def test_empty_captions_are_passed_over(model: SceneModel) -> None:
    assert losses(model, [described(0, [("",), ("a cup", "")])])["captions.phrase"] == pytest.approx(
        losses(model, [described(0, [("?!",), ("a cup",)])])["captions.phrase"]
    )
    assert losses(model, [described(0, [("",), ("...",)])])["captions.phrase"] == 0


def test_texts_are_bounded() -> None:
    short = built(max_tokens=3)
    scene = short.predict(described().image, threshold=0.0)
    for key in (PHRASE_CAPTIONS, CAPTIONS):
        assert all(len(texts) == 1 and len(texts[0].split()) <= 3 for texts in scene[key].texts)
        assert scene[key].log_probs is not None and scene[key].log_probs.shape[1] <= 3


def test_log_probabilities_and_scores_by_hand(model: SceneModel) -> None:
    head = head_of(model)
    cup, end, pad = head.tokenizer.encode("cup")[0], head.tokenizer.end, head.tokenizer.pad
    logs = torch.tensor([[-1.0, -3.0, 0.0], [-1.0, -2.0, -3.0], [-0.5, 0.0, 0.0]])
    captions = head.captions(GeneratedTokens(torch.tensor([[cup, end, pad], [cup, cup, cup], [end, pad, pad]]), logs))
    assert captions.texts == (("cup",), ("cup cup cup",), ("",))
    assert captions.log_probs is not None and captions.scores is not None
    assert captions.log_probs.isnan().tolist() == [[False, False, True], [False] * 3, [False, True, True]]
    torch.testing.assert_close(captions.scores, torch.tensor([-2.0, -2.0, -0.5]).exp())


def test_what_is_written_survives_json(model: SceneModel) -> None:
    scene = model.predict(described().image, threshold=0.0)
    again = Scene.from_json(scene.to_json())
    for key in (PHRASE_CAPTIONS, CAPTIONS):
        ours, theirs = scene[key], again[key]
        assert ours.texts == theirs.texts
        if len(ours):
            torch.testing.assert_close(ours.log_probs, theirs.log_probs, equal_nan=True)
            torch.testing.assert_close(ours.scores, theirs.scores)


def test_equal_seeds_draw_equal_texts() -> None:
    def texts(seed: int) -> Any:
        return (
            built(search={"method": "sampling", "seed": seed}).predict(described().image, threshold=0.0)[CAPTIONS].texts
        )

    assert texts(1) == texts(1)


def test_lots_follow_the_image() -> None:
    regions = Regions(torch.zeros(3, 4), torch.tensor([0, 1, 1]))
    images = ImageBatch(torch.zeros(2, 3, 8, 8), ((8, 8),) * 2, ((8, 8),) * 2, seeds=(5, 6))
    lots = uniform_numbers(images, regions.image_index, 4, "tests")
    swapped = uniform_numbers(replace(images, seeds=(6, 5)), torch.tensor([0, 0, 1]), 4, "tests")
    assert torch.equal(lots[1:], swapped[:2]) and torch.equal(lots[0], swapped[2])


# Words


def test_words_come_from_the_training_data() -> None:
    vocabulary = Vocabulary(("cup",), mirror_words=(("left", "right"),))
    empty = Scene((8, 8), vocabulary)
    scene = replace(
        empty,
        streams={PHRASES: Objects(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))},
        values={PHRASE_CAPTIONS: Captions((("Left cup!",), ()))},
    )
    assert list(texts_of([empty, scene])) == ["Left cup!", "Right cup!"]
    found = prepared(CaptionConfig(), [empty, scene]).tokenizer.stored
    assert found is not None and CaptionTokenizer(found).names[4:] == ("cup", "left", "right")
    with pytest.raises(InputError, match="the training data has no captions"):
        prepared(CaptionConfig(), [empty])


def test_known_words_keep_their_places() -> None:
    known = CaptionConfig(tokenizer=TokenizerConfig(stored=word_level(["cup", "ball"]), grow=True))
    scene = Scene((8, 8), VOCABULARY, {OBJECTS: Objects(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64))})
    told = replace(scene, values={CAPTIONS: Captions((("a red ball a",),))})
    more = prepared(known, [told])
    assert more.tokenizer.stored is not None
    assert CaptionTokenizer(more.tokenizer.stored).names[4:] == ("cup", "ball", "a", "red")
    assert prepared(more, [told]) == more
    with pytest.raises(InputError, match="has no captions"):
        prepared(known, [scene])


def test_weights_follow_words() -> None:
    """Words in another order, one of them new, one gone."""
    before, after = built(), built(words=("cup", "zebra", "a"))
    with torch.no_grad():
        head_of(after).decoder.get_parameter("words.weight").zero_()
    moved = transfer(before, after)
    theirs, ours = (head_of(model) for model in (before, after))
    for word in ("cup", "a", "<end>"):
        rows = [head.tokenizer.names.index(word) for head in (theirs, ours)]
        for name in ("words.weight", "predictor.weight", "predictor.bias"):
            parameters = [head.decoder.get_parameter(name)[row] for head, row in zip((theirs, ours), rows, strict=True)]
            assert torch.equal(*parameters)
    assert moved.partly["heads.captions.decoder.words.weight"].fresh == ("zebra",)


def test_a_model_comes_back_from_disk(model: SceneModel, tmp_path: Any) -> None:
    from scenekit.weights.checkpoint import load_model, save_model

    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    texts = [one.predict(described().image, threshold=0.0)[CAPTIONS].texts for one in (model, again)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"decoder": "gru"}, "decoder"),
        ({"max_token": 3}, "unknown key 'max_token'; did you mean 'max_tokens'"),
        ({"search": {"method": "beams"}}, "search.method"),
        ({"language_score": "meteor"}, "unknown language score 'meteor'"),
        ({"tokenizer": {"kind": "pretrained"}}, "needs the name of a tokenizer"),
        ({"transformer": {"width": 10, "heads": 4}}, "multiple of heads"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        sk.build(config(()).model_copy(update={"tasks": {"captions": dict(options)}}), VOCABULARY)


# Images


def test_drawn_texts_are_those_of_the_best_phrases() -> None:
    boxes = torch.tensor([[2.0, 2.0, 30.0, 20.0], [10.0, 10.0, 40.0, 40.0], [5.0, 5.0, 5.0, 9.0], [1.0, 1.0, 9.0, 9.0]])
    scores = torch.tensor([0.2, 0.9, 0.8, 0.7])
    texts = (("a cup",), ("a person " * 10,), ("nothing",), ("",))
    scene = Scene(
        (48, 64),
        VOCABULARY,
        {PHRASES: Objects(boxes, torch.zeros(4, dtype=torch.int64), scores)},
        {PHRASE_CAPTIONS: Captions(texts)},
    )
    written = region_texts(*described_regions(scene))
    assert list(written) == [1, 0] and written[0] == "a cup 0.20"
    assert written[1].endswith("… 0.90") and len(written[1]) <= LONGEST + len(" 0.90")
    blank = Image.new("RGB", (640, 480))
    drawn = draw_captions(blank, scene)
    assert drawn.size == blank.size and drawn.crop((100, 100, 400, 400)).getbbox() is not None
    nothing = scene.select(PHRASES, torch.zeros(0, dtype=torch.int64))
    assert draw_captions(blank, nothing).getbbox() is None


def test_of_a_scene_without_phrases_the_described_objects_are_drawn() -> None:
    objects = Objects(torch.tensor([[2.0, 2.0, 30.0, 20.0]]), torch.zeros(1, dtype=torch.int64))
    phrases_only = Scene((48, 64), VOCABULARY, {PHRASES: objects}, {PHRASE_CAPTIONS: Captions((("a cup",),))})
    objects_only = Scene((48, 64), VOCABULARY, {OBJECTS: objects}, {CAPTIONS: Captions((("a mug",),))})
    assert region_texts(*described_regions(objects_only)) == {0: "a mug"}
    for scene in (phrases_only, objects_only):
        assert draw_layers(scene, Image.new("RGB", (64, 48)))["captions"].getbbox() is not None
