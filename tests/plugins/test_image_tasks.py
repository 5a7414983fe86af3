"""Image classification and localization: losses by hand, learning, padding, crops, and the labeler."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import scenekit as sk
from scenekit.data.labelers import Labeler, labelers_named
from scenekit.errors import InputError
from scenekit.keys import CLASSIFICATION, LOCALIZATION, OBJECTS
from scenekit.model.board import Board
from scenekit.model.build import build, no_pooler
from scenekit.model.targets import Targets
from scenekit.recipe import ModelConfig
from scenekit.scene import Objects, Scene
from scenekit.structures import IMAGE_CLASSES, ImageBatch, ImageClasses, LocatedClasses, Vocabulary
from scenekit_plugins.image_layers import cross_entropy
from scenekit_plugins.localization import LocalizationConfig, Located, from_shares, to_shares

WORDS = Vocabulary(("cat", "dog"), lists={IMAGE_CLASSES: ("cat", "dog", "bird")})


def model(task: str, vocabulary: Vocabulary = WORDS, input: dict | None = None, **options: object) -> sk.SceneModel:
    config = {
        "input": {"min_size": 64, "max_size": 96, **(input or {})},
        "backbone": {"name": "mobilenet_v3_small"},
        "pyramid": None,
        "detector": None,
        "tasks": {task: options},
    }
    return build(ModelConfig.model_validate(config), vocabulary).eval()


def batch(*sizes: tuple[int, int]) -> ImageBatch:
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    return ImageBatch(torch.randn(len(sizes), 3, height, width), sizes, sizes)


def test_cross_entropy_leaves_out_images_without_a_class() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    targets = [ImageClasses.of(0), None, ImageClasses.of(None), ImageClasses.of(2)]
    expected = (math.log(math.e**2 + 2) - 2 + math.log(math.e + 2)) / 2
    assert float(cross_entropy(logits, targets)) == pytest.approx(expected)
    smooth = F.cross_entropy(logits[[0, 3]], torch.tensor([0, 2]), label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(logits, targets, 0.1), smooth)
    assert float(cross_entropy(logits, [None] * 4)) == 0


def test_box_loss_is_the_weighted_squared_error_of_shares() -> None:
    """Box 10, 20, 30, 60 in an image of 100 x 100: shares 0.2, 0.4, 0.2, 0.4; each is 0.1 off: 4 * 0.01 * 5."""
    head = model("localization", box_weight=5.0).heads["localization"]
    raw = Located(torch.zeros(1, 3), torch.tensor([[0.3, 0.3, 0.3, 0.3]]))
    targets = Targets(
        values={LOCALIZATION: [LocatedClasses.of(1, torch.tensor([10.0, 20.0, 30.0, 60.0]))]},
        valid={LOCALIZATION: torch.ones(1, dtype=torch.bool)},
    )
    losses = head.loss(raw, Board(batch((100, 100)), no_pooler), targets)
    assert float(losses["box"]) == pytest.approx(0.2)
    assert float(losses["class"]) == pytest.approx(math.log(3))


def test_shares_and_boxes_are_inverse() -> None:
    images = batch((50, 100), (40, 60))
    boxes = torch.tensor([[10.0, 5.0, 50.0, 45.0], [0.0, 0.0, 60.0, 40.0]])
    torch.testing.assert_close(from_shares(to_shares(boxes, images, [0, 1]), images), boxes)


def test_any_numbers_give_boxes_within_the_image() -> None:
    images = batch(*[(50, 100)] * 64)
    x0, y0, x1, y1 = from_shares(torch.randn(64, 4) * 3, images).unbind(dim=1)
    assert bool((x0 >= 0).all() and (y0 >= 0).all() and (x1 <= 100).all() and (y1 <= 50).all())
    assert bool((x1 > x0).all() and (y1 > y0).all())


@pytest.mark.parametrize("task", ["classification", "localization"])
def test_an_image_gives_the_same_alone_and_in_a_batch(task: str) -> None:
    network = model(task)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((64, 64), (64, 90))]
    together, alone = network.predict(images), network.predict(images[0])
    key = {"classification": CLASSIFICATION, "localization": LOCALIZATION}[task]
    torch.testing.assert_close(together[0][key].scores, alone[key].scores, rtol=1e-4, atol=1e-5)


def test_a_crop_sees_the_middle_and_its_box_is_in_pixels_of_the_image() -> None:
    """An image of 64 x 128, resized to 32 x 64, is cropped to 32 x 32; the box of the crop spans its middle."""
    network = model("localization", input={"min_size": 32, "crop": 32, "divisor": 1})
    image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8)
    box = network.heads["localization"].box
    box.weight.data.zero_()
    box.bias.data = torch.tensor([0.5, 0.5, 1.0, 1.0])
    assert network.predict(image)[LOCALIZATION].boxes.tolist() == [[32.0, 0.0, 96.0, 64.0]]
    image[:, :, :30] = 0  # outside of the crop, but for what resizing averages
    changed = image.clone()
    changed[:, :, :20] = 255
    first, second = (network.predict(each)[LOCALIZATION].scores for each in (image, changed))
    torch.testing.assert_close(first, second)


def test_a_crop_is_refused_where_the_whole_image_is_needed() -> None:
    config = {"input": {"crop": 64}, "backbone": {"name": "mobilenet_v3_small"}, "tasks": {}}
    with pytest.raises(InputError, match=r"crop: a detector needs the whole image"):
        build(ModelConfig.model_validate(config), WORDS)
    config |= {"detector": None, "tasks": {"semantic": {}}}
    with pytest.raises(InputError, match=r"crop: task 'semantic' needs the whole image"):
        build(ModelConfig.model_validate(config), Vocabulary(("cat",), ("sky",)))


@pytest.mark.parametrize("task", ["classification", "localization"])
def test_a_vocabulary_without_classes_of_images_is_refused(task: str) -> None:
    with pytest.raises(InputError, match=r"list 'image_classes', but it has none.*largest_object"):
        model(task, Vocabulary(("cat",)))


def test_levels_that_there_are_not() -> None:
    with pytest.raises(InputError, match=r"level: the backbone has maps of stride \[4, 8, 16, 32\], not 64"):
        model("classification", level=64)


def test_defaults_of_localization_keep_where_the_object_is() -> None:
    assert LocalizationConfig().pooled > 1


@pytest.mark.parametrize("task", ["classification", "localization"])
def test_it_is_drawn_and_stored(task: str) -> None:
    scene = model(task).predict(torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8))
    assert scene.draw(torch.zeros(3, 64, 80, dtype=torch.uint8)).size[0] >= 80
    assert scene.to_json()[task][0]["name"] in WORDS.names(IMAGE_CLASSES)


def test_the_class_stands_in_the_upper_left_corner() -> None:
    """A black image of 300 x 400 pixels: the plate begins at its corner, and leaves the rest as it is."""
    scene = Scene((300, 400), WORDS, values={CLASSIFICATION: ImageClasses.of(2)})
    drawn = np.asarray(scene.draw(torch.zeros(3, 300, 400, dtype=torch.uint8)))
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert rows.min() <= 1 and columns.min() <= 1, "the corners of a plate are round"
    assert rows.max() < len(drawn) / 8 and columns.max() < drawn.shape[1] / 4


def ground_truth(*, crowd: bool) -> Scene:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 30.0, 30.0], [0.0, 0.0, 40.0, 30.0]])
    objects = Objects(boxes, torch.tensor([0, 1, 0]), crowd=torch.tensor([False, False, crowd]))
    return Scene((30, 40), Vocabulary(("cat", "dog")), streams={OBJECTS: objects})


def test_labeler_takes_the_largest_object_that_is_no_crowd() -> None:
    (labeler,) = labelers_named(["largest_object"])
    assert isinstance(labeler, Labeler)
    for crowd, label, box in ((True, 1, [5, 5, 30, 30]), (False, 0, [0, 0, 40, 30])):
        scene = labeler(ground_truth(crowd=crowd))
        assert scene.vocabulary.names(IMAGE_CLASSES) == ("cat", "dog")
        assert scene[CLASSIFICATION].labels.tolist() == [label]
        assert scene[LOCALIZATION].boxes.tolist() == [box]


def test_labeler_without_objects_gives_no_class() -> None:
    (labeler,) = labelers_named(["largest_object"])
    scene = labeler(Scene((30, 40), Vocabulary(("cat",)), streams={OBJECTS: Objects.empty()}))
    assert len(scene[CLASSIFICATION]) == len(scene[LOCALIZATION]) == 0


def test_beside_a_detector_on_the_shared_trunk() -> None:
    """The class of the image needs no region: with it alone, neither pyramid heads nor proposals run."""
    config = {
        "input": {"min_size": 64, "max_size": 96},
        "backbone": {"name": "mobilenet_v3_small"},
        "pyramid": {"channels": 16},
        "detector_options": {
            "anchors": {"sizes": [[16.0], [32.0], [64.0], [128.0], [224.0]]},
            "rpn": {"pre_nms_test": 30, "post_nms_test": 20},
            "box_head": {"fcs": [32], "detections": 5},
        },
        "tasks": {"classification": {}, "localization": {}},
    }
    network = build(ModelConfig.model_validate(config), WORDS).eval()
    image = torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8)
    scene, alone = network.predict(image), network.predict(image, tasks=["classification"])
    assert OBJECTS in scene.streams and LOCALIZATION in scene
    assert OBJECTS not in alone.streams
    torch.testing.assert_close(scene[CLASSIFICATION].scores, alone[CLASSIFICATION].scores)
