"""Images of scenes: where they change, where not, and that every size and every content can be drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.cli.scene_files import save
from scenekit.errors import InputError
from scenekit.hooks import Coverage, TaskSpec, registry
from scenekit.keys import ATTRIBUTES, EVENTS, KEYPOINTS, MASKS, OBJECTS, PANOPTIC, RELATIONS, SEMANTIC, Key
from scenekit.scene import Objects, Scene
from scenekit.structures import Captions, Events, Masks, Relations, Vocabulary
from scenekit.structures.moments import Moment, VideoFrame
from scenekit.visualization import (
    Canvas,
    draw_boxes,
    draw_layers,
    draw_scene,
    draw_views,
)
from scenekit.visualization.canvas import paint_map
from scenekit.visualization.draw import drawn_tasks, layers_apart, object_colors, object_texts
from scenekit.visualization.palette import stuff_color
from scenekit_plugins.keypoints.draw import draw_keypoints
from scenekit_plugins.masks.draw import draw_masks
from scenekit_plugins.panoptic.draw import draw_panoptic
from scenekit_plugins.semantic.draw import draw_semantic
from tests.visualization.scenes import GRAY, gray_image, nothing, room

LAYERS = {
    "boxes": draw_boxes,
    "semantic": draw_semantic,
    "panoptic": draw_panoptic,
    "masks": draw_masks,
    "keypoints": draw_keypoints,
}
SIZES = [(1, 1), (1, 700), (900, 2), (10, 3000), (3000, 4), (17, 23), (240, 320)]


def changed(drawn: Image.Image) -> np.ndarray:
    """Which pixels [H W] are no longer gray."""
    return (np.asarray(drawn) != GRAY).any(axis=-1)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_layer_draws_every_size(layer: object, size: tuple[int, int]) -> None:
    scene = room(*size)
    for factor in (1, 3):
        image = gray_image(scene).resize((factor * size[1], factor * size[0]))
        drawn = layer(image, scene)  # type: ignore[operator]
        assert drawn.size == image.size and drawn.mode == "RGB"
        assert not changed(image).any(), "a layer must leave the image it was given as it was"


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_nothing_to_draw_changes_nothing(layer: object) -> None:
    scene = nothing()
    assert not changed(layer(gray_image(scene), scene)).any()  # type: ignore[operator]


def test_masks_change_their_own_pixels_only() -> None:
    scene = room()
    drawn = draw_masks(gray_image(scene), scene, labels=False)
    np.testing.assert_array_equal(changed(drawn), scene[MASKS].dense.any(dim=0).numpy())


def test_enlarged_masks_stay_on_the_object() -> None:
    scene = room()
    image = gray_image(scene).resize((960, 720))
    inside = scene[MASKS].dense.any(dim=0).numpy().repeat(3, axis=0).repeat(3, axis=1)
    difference = changed(draw_masks(image, scene, labels=False)) != inside
    assert difference.sum() <= 8 * 9  # at most a source pixel at each of the eight corners, which the filter rounds


def test_rows_without_a_mask_are_left_out() -> None:
    scene = replace(room(), valid={MASKS: torch.tensor([False, True])})
    drawn = draw_masks(gray_image(scene), scene, labels=False)
    np.testing.assert_array_equal(changed(drawn), scene[MASKS].dense[1].numpy())


def test_small_mask_lies_over_large_one() -> None:
    large = torch.zeros((1, 40, 40), dtype=torch.bool)
    large[:, 5:35, 5:35] = True
    small = torch.zeros_like(large)
    small[:, 15:25, 15:25] = True
    base = replace(room(40, 40), valid={})
    alone, both = (
        replace(
            base,
            values={MASKS: Masks.from_dense(torch.cat(parts))},
            streams={
                OBJECTS: Objects(Masks.from_dense(torch.cat(parts)).boxes, torch.tensor(ids), ids=torch.tensor(ids))
            },
        )
        for parts, ids in (([large], [0]), ([small, large], [1, 0]))
    )
    drawn = [np.asarray(draw_masks(gray_image(base), scene, labels=False)) for scene in (alone, both)]
    differs = (drawn[0] != drawn[1]).any(axis=-1)
    np.testing.assert_array_equal(differs, small[0].numpy())


def test_boxes_are_hollow_frames() -> None:
    scene = room()
    frame = changed(draw_boxes(gray_image(scene), scene, labels=False))
    for x0, y0, x1, y1 in scene.objects.boxes.int().tolist():
        assert frame[y0 : y0 + 3, (x0 + x1) // 2].any() and frame[(y0 + y1) // 2, x1 - 3 : x1].any()
        assert not frame[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].any()
        frame[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = False
    assert not frame.any()


def test_labels_are_written() -> None:
    scene = room()
    for layer in (draw_boxes, draw_masks, draw_semantic, draw_panoptic):
        named, bare = (np.asarray(layer(gray_image(scene), scene, labels=labels)) for labels in (True, False))
        assert (named != bare).any(axis=-1).sum() > 200


def test_maps_tint_what_they_name_and_leave_the_rest() -> None:
    scene = room()
    semantic = scene[SEMANTIC].clone()
    semantic[:, 160:] = -1
    scene = replace(scene, values={SEMANTIC: semantic})
    drawn = draw_semantic(gray_image(scene), scene, labels=False)
    assert changed(drawn)[:, :155].all() and not changed(drawn)[:, 165:].any()
    expected = np.array(GRAY) * 0.45 + np.array(stuff_color(2, scene.vocabulary.labels[2])) * 0.55
    np.testing.assert_allclose(np.asarray(drawn)[4, 4], expected, atol=1.5)


def test_panoptic_things_look_as_their_objects() -> None:
    scene = room()
    y, x = 200 * 3 // 8 + 80, 240  # inside the chair
    mask, segment = (np.asarray(f(gray_image(scene), scene, labels=False))[y, x] for f in (draw_masks, draw_panoptic))
    grayness = [(pixel.astype(float) - GRAY) / (1 - keep) for pixel, keep in ((mask, 0.55), (segment, 0.45))]
    np.testing.assert_allclose(*grayness, atol=4)


def test_an_id_keeps_its_color_over_the_frames_of_a_video() -> None:
    """Wherever the object is, and in whatever row."""
    scene = room(60, 80)
    scene = replace(scene, streams={OBJECTS: replace(scene.objects, ids=torch.arange(len(scene.objects)) + 7)})
    rows = torch.arange(len(scene.objects)).flip(0)
    later = scene.select(OBJECTS, rows)
    colors = dict(zip(scene.objects.ids.tolist(), object_colors(scene), strict=True))
    assert object_colors(later) == [colors[identity] for identity in later.objects.ids.tolist()]
    assert len(set(colors.values())) == len(colors) > 1


def test_texts_have_the_ids_that_last() -> None:
    """An object that no track has yet has no number; neither have those of a single image."""
    objects = Objects(
        torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), torch.tensor([0.5, 0.25]), torch.tensor([7, -1])
    )
    scene = Scene((4, 4), Vocabulary(("cat",)), {OBJECTS: objects})
    assert object_texts(scene) == ["cat 0.50", "cat 0.25"]
    assert object_texts(replace(scene, tracked=True)) == ["cat #7 0.50", "cat 0.25"]


def test_a_scene_of_a_stream_is_drawn_on_its_frame(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    scene = replace(room(60, 80), path=str(tmp_path / "clip.mp4"), moment=Moment(1.5, 3))
    with pytest.raises(InputError, match="pass the frame"):
        scene.draw()
    drawn = scene.draw(VideoFrame(np.asarray(gray_image(scene)), scene.moment))
    assert changed(drawn.resize((80, 60), Image.Resampling.NEAREST)).any()
    gray_image(scene).save(tmp_path / "000003.png")  # data sets store the frames of a video as images
    assert changed(replace(scene, path=str(tmp_path / "000003.png")).draw()).any()


@pytest.mark.parametrize("far", [1, 1000, 10**6])
def test_a_map_looks_the_same_whatever_its_numbers_are(far: int) -> None:
    ids = np.random.default_rng(0).integers(-1, 4, (30, 40))
    image = Image.new("RGB", (40, 30), (90, 120, 150))
    colors = {number: (60 * number, 200, 30) for number in range(3)}
    drawn = paint_map(image, ids, colors, 0.5)
    elsewhere = paint_map(image, ids * far, {number * far: color for number, color in colors.items()}, 0.5)
    assert np.array_equal(np.asarray(drawn), np.asarray(elsewhere))


def test_keypoints_are_on_the_skeleton() -> None:
    scene = room()
    drawn = draw_keypoints(gray_image(scene), scene)
    (x, top), (_, _), (_, bottom) = scene[KEYPOINTS].xy[0].tolist()
    touched = changed(drawn)
    assert touched[int(top) : int(bottom), int(x)].all()
    touched[int(top) - 6 : int(bottom) + 7, int(x) - 6 : int(x) + 7] = False
    assert not touched.any()
    pixels = np.asarray(drawn)
    assert pixels[int(top), int(x)].min() > 180, "visible: filled with white"
    assert pixels[int(bottom), int(x)].max() < 100, "hidden: filled with black"


def test_boxes_that_cannot_be_drawn_are_left_out() -> None:
    nan, inf = torch.nan, torch.inf
    broken = [[nan, 0, 5, 5], [9, 9, 3, 3], [-50, -50, -20, -20], [5, 5, 900, inf], [0, 5, 0, 9], [90, 5, 99, 9]]
    objects = Objects(torch.tensor(broken).float(), torch.zeros(len(broken), dtype=torch.int64))
    scene = replace(nothing(), values={}, streams={OBJECTS: objects})
    assert not changed(draw_boxes(gray_image(scene), scene)).any()


def test_crowded_labels_do_not_cover_each_other() -> None:
    boxes = torch.tensor([[10.0 + i, 10 + i, 60 + i, 60 + i] for i in range(30)])
    scene = replace(nothing(120, 160), values={})
    scene = replace(scene, streams={OBJECTS: Objects(boxes, torch.zeros(30, dtype=torch.int64))})
    assert draw_boxes(gray_image(scene), scene).size == (160, 120)


def test_scene_is_enlarged_by_a_whole_factor() -> None:
    for size, expected in (((240, 320), (960, 720)), ((900, 1200), (1200, 900)), ((1, 1), (4, 4))):
        scene = nothing(*size)
        assert draw_scene(scene, gray_image(scene), ["boxes"]).size == expected


def test_scene_reads_its_own_image(tmp_path: Path) -> None:
    scene = room()
    gray_image(scene).save(tmp_path / "room.png")
    found = replace(scene, path=str(tmp_path / "room.png")).draw()
    np.testing.assert_array_equal(np.asarray(found), np.asarray(scene.draw(gray_image(scene))))


def test_layers_are_the_installed_tasks() -> None:
    scene = room()
    assert registry().failures == []
    layers = draw_layers(scene, gray_image(scene))
    assert list(layers) == ["boxes", "panoptic", "semantic", "masks", "keypoints"]
    assert {layer.size for layer in layers.values()} == {(960, 720)}
    only_boxes = replace(scene, values={})
    assert list(draw_layers(only_boxes, gray_image(scene))) == ["boxes"]


def test_whole_scene_shows_what_requires_the_rest_once() -> None:
    scene = room()
    image = gray_image(scene)
    whole = draw_scene(scene, image)
    np.testing.assert_array_equal(np.asarray(whole), np.asarray(draw_scene(scene, image, ["panoptic", "keypoints"])))
    without = replace(scene, values={k: v for k, v in scene.values.items() if k != PANOPTIC})
    named = draw_scene(without, image, ["semantic", "masks", "keypoints"])
    np.testing.assert_array_equal(np.asarray(draw_scene(without, image)), np.asarray(named))
    boxes = replace(scene, values={})
    np.testing.assert_array_equal(np.asarray(draw_scene(boxes, image)), np.asarray(draw_scene(boxes, image, ["boxes"])))


def test_third_party_task_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    key: Key[object, object] = Key("acme.stamp", doc="for this test")

    def stamp(canvas: Canvas, scene: Scene) -> None:
        canvas.image = Image.new("RGB", canvas.image.size)

    spec = TaskSpec("stamp", "", (key,), build=lambda core, config: None, draw=stamp)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(type(registry()), "tasks", property(lambda self: {"stamp": spec}))
    scene = replace(nothing(), values={key: torch.zeros(1)})
    assert np.asarray(draw_scene(scene, gray_image(scene))).max() == 0
    assert list(draw_layers(scene, gray_image(scene))) == ["boxes", "stamp"]


def test_a_tasks_own_record_says_where_it_is_drawn_and_what_else_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    key: Key[object, object] = Key("acme.stamp", doc="for this test")

    def stamp(image: Image.Image, scene: Scene) -> Image.Image:
        return Image.new("RGB", image.size)

    def task(name: str, **options: object) -> TaskSpec:
        return TaskSpec(name, "", (key,), build=lambda core, config: None, draw=stamp, **options)  # type: ignore[arg-type,return-value]

    plan = {"plan": lambda scene: Image.new("RGB", (7, 5))}
    specs = (
        task("lines", views=plan),
        task("map", draw_covers=Coverage.IMAGE),
        task("area", draw_covers=Coverage.AREAS),
    )
    monkeypatch.setattr(type(registry()), "tasks", property(lambda self: {spec.name: spec for spec in specs}))
    scene = replace(nothing(), values={key: torch.zeros(1)})
    assert list(drawn_tasks(scene)) == ["map", "area", "lines"]
    assert {name: view.size for name, view in draw_views(scene).items()} == {"plan": (7, 5)}
    assert draw_views(nothing()) == {}


def test_errors_say_what_to_do() -> None:
    scene = room()
    with pytest.raises(InputError, match="pass the image as"):
        draw_scene(scene)
    with pytest.raises(InputError, match=r"320 x 240 pixels is expected.*got 5 x 4"):
        draw_scene(scene, Image.new("RGB", (5, 4)))
    with pytest.raises(InputError, match=r"no layer 'mask'.*did you mean 'masks'"):
        draw_scene(scene, gray_image(scene), ["mask"])
    with pytest.raises(InputError, match=r"missing\.png: no such file"):
        draw_scene(Scene((4, 4), scene.vocabulary, path="missing.png"))


def test_what_wants_a_image_of_its_own_gets_one_beside_the_others(tmp_path):
    scene = room()
    image = tmp_path / "room.png"
    gray_image(scene).save(image)
    held = Relations(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    wordy = {ATTRIBUTES: torch.ones(len(scene.objects), 1), RELATIONS: held}
    words = replace(scene.vocabulary, attributes=("red",), predicates=("left of",))
    alone = replace(scene, vocabulary=words, path=str(image), values=wordy)
    first, *others = drawn_tasks(alone)
    assert {first, *others} == {"attributes", "relations"}
    assert layers_apart(scene) == [] and layers_apart(alone) == others
    both = replace(alone, values={**scene.values, **wordy})
    assert set(layers_apart(both)) == {"attributes", "relations"}
    save(both, tmp_path / "seen")
    names = {"seen.json", "seen.png", "seen-attributes.png", "seen-relations.png"}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "room.png"}


def test_layers_full_of_words_are_drawn_when_asked_for_or_alone():
    scene, words = room(), replace(room().vocabulary, attributes=("red", "shiny"))
    held = torch.ones(len(scene.objects), 2)
    told = replace(scene, vocabulary=words, values={**scene.values, ATTRIBUTES: held})
    alone = replace(told, values={ATTRIBUTES: held})
    image = gray_image(scene)
    np.testing.assert_array_equal(np.asarray(draw_scene(told, image)), np.asarray(draw_scene(scene, image)))
    np.testing.assert_array_equal(
        np.asarray(draw_scene(alone, image)), np.asarray(draw_scene(told, image, ["attributes"]))
    )


def test_what_happens_in_a_clip_is_drawn_on_top_of_whatever_its_frame_shows() -> None:
    scene = replace(room(), moment=Moment(1.0, 0))
    happening = {EVENTS: Events(torch.tensor([[0.5, 2.0]]), Captions((("a person walks",),)))}
    held = Relations(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))
    scene = replace(scene, vocabulary=replace(scene.vocabulary, predicates=("left of",)))
    shown = {"masks": {MASKS: scene[MASKS]}, "boxes": {}, "relations": {RELATIONS: held}}
    for layer, values in shown.items():
        frame, image = replace(scene, values={**values, **happening}), gray_image(scene)
        assert draw_scene(frame, image).tobytes() == draw_scene(frame, image, [layer, "events"]).tobytes()
        assert layers_apart(frame) == []
