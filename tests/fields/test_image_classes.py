"""Classes of images, and boxes that move with them."""

import torch

from scenekit.fields.frame import Frame
from scenekit.keys import CLASSIFICATION, LOCALIZATION
from scenekit.scene import Scene
from scenekit.structures import IMAGE_CLASSES, Geometry, ImageClasses, LocatedClasses, Vocabulary
from scenekit.structures.label_map import LabelMap

WORDS = Vocabulary((), lists={IMAGE_CLASSES: ("left glove", "right glove", "cat")})
FRAME = Frame((40, 60), WORDS)


def located(label: int, *box: float) -> LocatedClasses:
    return LocatedClasses.of(label, torch.tensor(box, dtype=torch.float32))


def test_flip_exchanges_sides_and_moves_the_box() -> None:
    moved = LOCALIZATION.field.transform(located(0, 10, 5, 20, 15), Geometry.flip((40, 60)), WORDS)
    assert moved.labels.tolist() == [1] and moved.boxes.tolist() == [[40, 5, 50, 15]]
    assert CLASSIFICATION.field.transform(ImageClasses.of(1), Geometry.flip((40, 60)), WORDS).labels.tolist() == [0]


def test_crop_and_resize_move_the_box_and_drop_one_that_is_gone() -> None:
    crop = Geometry((40, 60), (10, 0, 30, 40), (80, 40))
    moved = LOCALIZATION.field.transform(located(2, 0, 10, 20, 20), crop, WORDS)
    assert moved.boxes.tolist() == [[0, 20, 20, 40]]
    assert len(LOCALIZATION.field.transform(located(2, 40, 10, 50, 20), crop, WORDS)) == 0


def test_undoing_a_crop_is_exact() -> None:
    back = Geometry((20, 20), (-10, -5, 50, 35), (80, 120))
    moved = LOCALIZATION.field.transform(located(2, 0, 0, 20, 20), back, WORDS)
    assert moved.boxes.tolist() == [[20, 10, 60, 50]]


def test_json_round_trip() -> None:
    predicted = ImageClasses(torch.tensor([2, 0]), torch.tensor([0.75, 0.25]))
    place = LocatedClasses(torch.tensor([2]), torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([0.5]))
    scene = Scene((40, 60), WORDS, values={CLASSIFICATION: predicted, LOCALIZATION: place})
    data = scene.to_json()
    assert data["classification"][0] == {"label": 2, "name": "cat", "score": 0.75}
    again = Scene.from_json(data)
    assert torch.equal(again[CLASSIFICATION].scores, predicted.scores)
    assert torch.equal(again[LOCALIZATION].boxes, place.boxes)


def test_relabelling_goes_by_name() -> None:
    new = Vocabulary((), lists={IMAGE_CLASSES: ("dog", "cat")})
    item = ImageClasses(torch.tensor([2, 0]), torch.tensor([0.75, 0.25]))
    found = CLASSIFICATION.field.relabel(item, LabelMap(WORDS, new))
    assert found.labels.tolist() == [1] and found.scores.tolist() == [0.75]


def test_what_cannot_be_is_dropped() -> None:
    assert CLASSIFICATION.field.validate(ImageClasses.of(3), FRAME).value is None
    for box in ((5.0, 5.0, 5.0, 9.0), (70.0, 0.0, 80.0, 9.0), (float("nan"), 0.0, 1.0, 1.0)):
        assert LOCALIZATION.field.validate(located(0, *box), FRAME).value is None
    assert not LOCALIZATION.field.validate(located(0, 1, 1, 9, 9), FRAME).issues
