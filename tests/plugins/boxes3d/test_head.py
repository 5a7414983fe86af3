"""The head of 3D boxes: numbers worked by hand, what teaches nothing, how turns are judged, every variant learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from scenekit.detection import RoIPooler
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.keys import BOXES3D, FEATURES, OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.ops.rotations import axis_angle_to_matrix, is_rotation, random_rotations
from scenekit.structures import Boxes3D, Camera, FeaturePyramid, ImageBatch, Regions, Vocabulary
from scenekit_plugins.boxes3d.coding import Views
from scenekit_plugins.boxes3d.config import Boxes3DConfig, DepthPrior, Priors, SizePrior
from scenekit_plugins.boxes3d.head import Boxes3DHead
from scenekit_plugins.boxes3d.losses import turned
from scenekit_plugins.boxes3d.network import Numbers
from tests.plugins.kit import finite_gradients, pyramid, regions, targets

VOCABULARY = Vocabulary(("car", "ball", "crate"), symmetry={"ball": 0, "crate": 2})
CAR, BALL, CRATE = range(3)
CORE = Core(8, (4, 8, 16, 32), VOCABULARY)
SIZE = (48, 64)
CAMERA = Camera(torch.tensor([[100.0, 0.0, 30.0], [0.0, 200.0, 20.0], [0.0, 0.0, 1.0]]))
DEPTHS = DepthPrior(scales=(0.3, 0.6, 1.2), mean=(6.0, 4.0, 2.0), std=(1.0, 1.0, 1.0))
PRIORS = Priors(sizes={"car": SizePrior(mean=(2.0, 1.5, 4.0))}, other_depths=DEPTHS)


def head(**options: Any) -> Boxes3DHead:
    torch.manual_seed(0)
    config = {"pooled": 3, "fcs": (16,), "priors": PRIORS.model_dump(), **options}
    return Boxes3DHead(CORE, Boxes3DConfig.model_validate(config))


def board(objects: Regions, *cameras: Camera | None, features: FeaturePyramid | None = None) -> Board:
    """The view of the head; one image for each camera, all alike."""
    cameras = cameras or (CAMERA,)
    count = len(cameras)
    images = ImageBatch(torch.zeros(count, 3, *SIZE), (SIZE,) * count, (SIZE,) * count, cameras)
    whole = Board(images, RoIPooler())
    features = features or pyramid(*SIZE)
    whole.put(FEATURES, replace(features, maps=tuple(level.expand(count, -1, -1, -1) for level in features.maps)))
    whole.put(OBJECTS, objects)
    return whole.view("head", (FEATURES, OBJECTS), {OBJECTS: objects})


def three(**more: Any) -> Regions:
    return regions([[4.0, 4, 34, 44], [20, 10, 40, 30], [30, 20, 60, 40]], [CAR, BALL, CRATE], **more)


def truth(count: int = 3) -> Boxes3D:
    generator = torch.Generator().manual_seed(1)
    center = torch.rand(count, 3, generator=generator) + torch.tensor([0.0, 0.0, 2.0])
    return Boxes3D(
        center, torch.rand(count, 3, generator=generator) + 0.5, random_rotations(count, generator=generator)
    )


def numbers(count: int = 1, **values: list[float]) -> Numbers:
    """Of a box in the middle of its region, of the mean size, not turned."""
    blank = {"deltas": [0.0, 0], "depth": [0.0], "size": [0.0] * 3, "pose": [1.0, 0, 0, 0, 1, 0]}
    rows = {name: torch.tensor([values.get(name, value)] * count) for name, value in blank.items()}
    return Numbers(**rows, uncertainty=torch.full((count,), 0.5))


def loss_of(ours: Boxes3DHead, where: Board, boxes: Boxes3D) -> dict[str, Tensor]:
    return ours.loss(ours(where), where, targets({BOXES3D: boxes}, where[OBJECTS]))


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


VARIANTS: list[dict[str, Any]] = [
    {},
    {"towers": "separate", "code": {"pose": "quaternion", "depth": "log", "size": "sigmoid"}},
    {"fcs": (), "code": {"pose": "euler", "frame": "egocentric", "depth": "sigmoid", "virtual_focal": None}},
    {"code": {"depth": "clusters", "depth_bins": 3}, "loss": {"corners": "nearest", "inverse_depth": True}},
    {"code": {"depth_bins": 3, "size": "plain"}, "loss": {"disentangled": False, "corners": "own"}},
    {"code": {"depth": "box"}, "loss": {"disentangled": False, "joint": False}, "uncertainty": False},
    {"position_width": 4, "code": {"depth": "box"}},
]


@pytest.mark.parametrize("options", VARIANTS, ids=range(len(VARIANTS)))
def test_every_variant_learns_in_all_its_parts_and_no_region_is_no_error(options: dict[str, Any]) -> None:
    ours, where = head(**options), board(three(scores=[0.9, 0.8, 0.7]))
    losses = loss_of(ours, where, truth())
    wanted = {"xy", "z", "dims", "pose"}
    wanted |= {"joint"} if ours.config.loss.joint else set()
    assert set(losses) == wanted | ({"uncertainty"} if ours.config.uncertainty else set())
    assert finite_gradients(total(losses), ours)
    found = ours.decode(ours(where), where)
    assert bool(found.valid.all()) and bool((found.center[:, 2] > -1).all())
    nothing = board(regions([], [], scores=[]))
    assert len(ours.decode(ours(nothing), nothing)) == 0
    assert finite_gradients(total(loss_of(ours, nothing, truth(0))), ours)


def test_a_box_worked_out_by_hand() -> None:
    """A region of 20 x 40 pixels around (20, 24); the virtual camera has 512 pixels, the real one 200 upright."""
    where = board(regions([[10.0, 4, 30, 44]], [CAR], scores=[0.64]))
    size = [math.log(1.5), 0.0, math.log(0.5)]
    found = head(code={"frame": "egocentric"}).decode(numbers(deltas=[0.5, -0.1], depth=[25.6], size=size), where)
    # The center is seen at (20 + 0.5 * 20, 24 - 0.1 * 40) = (30, 20), the principal point; 25.6 * 200 / 512 = 10 m.
    torch.testing.assert_close(found.parameters, torch.tensor([[0.0, 0, 10, 3.0, 1.5, 2.0, 0, 0, 0]]))
    assert found.scores is not None
    torch.testing.assert_close(found.scores, torch.tensor([0.8 * math.exp(-0.25)]))


def test_depth_relative_to_the_region() -> None:
    """The diagonal of a car's mean box is sqrt(4 + 2.25 + 16) m, that of the region 50 pixels."""
    where = board(regions([[10.0, 4, 40, 44]], [CAR], scores=[1.0]))
    found = head(code={"depth": "box", "frame": "egocentric"}).decode(numbers(depth=[math.log(2.0)]), where)
    torch.testing.assert_close(found.center[:, 2], torch.tensor([2 * math.sqrt(22.25) * 200 / 50]))


def test_positions_are_counted_in_focal_lengths_from_the_principal_point() -> None:
    """A region of 30 x 40 pixels around (25, 24); focal lengths 100 and 200, principal point (30, 20)."""
    objects = regions([[10.0, 4, 40, 44]], [CAR])
    expected = torch.tensor([[-0.05, 0.02, math.log(0.3), math.log(0.2), 0.12]])
    torch.testing.assert_close(Views.of(board(objects).images, objects).positions, expected)


def test_a_position_changes_nothing_at_first() -> None:
    """So that a trained head can be given one."""
    plain, placed, where = head(), head(position_width=4), board(three(scores=[1.0] * 3))
    missing = placed.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys and all(name.startswith("position.") for name in missing.missing_keys)
    assert torch.equal(placed.decode(placed(where), where).parameters, plain.decode(plain(where), where).parameters)


@pytest.mark.parametrize(("width", "learned"), [(16, True), (0, False)])
def test_with_a_position_depth_is_learned_where_regions_look_alike(width: int, learned: bool) -> None:
    """Four regions of one size and one look; the lower in the image, the nearer."""
    ours = head(position_width=width, fcs=(16,))
    bare = replace(pyramid(*SIZE), maps=tuple(torch.ones_like(level) for level in pyramid(*SIZE).maps))
    where = board(regions([[10.0, 10 + row, 20, 20 + row] for row in (0, 8, 16, 24)], [CAR] * 4), features=bare)
    wanted = torch.tensor([1.0, 0.5, 0.0, -0.5])
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.005)
    for _ in range(150):
        error = (ours(where).depth[:, 0] - wanted).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert (error.item() < 0.01) == learned, error


def test_allocentric_boxes_turn_with_the_ray() -> None:
    """Seen at 45 degrees to the right, an object with the numbers of an unturned one faces 45 degrees away."""
    where = board(regions([[120.0, 10, 140, 30]], [CAR], scores=[1.0]))
    found = head().decode(numbers(depth=[10.0]), where)
    torch.testing.assert_close(found.roll_pitch_yaw, torch.tensor([[0.0, 0.0, math.pi / 4]]), atol=1e-5, rtol=0)


def test_images_of_a_batch_keep_to_their_own_cameras() -> None:
    wide = Camera(torch.tensor([[50.0, 0.0, 30.0], [0.0, 100.0, 20.0], [0.0, 0.0, 1.0]]))
    boxes = replace(three(scores=[1.0] * 3), image_index=torch.tensor([0, 1, 1]))
    found = head(code={"frame": "egocentric"}).decode(numbers(3, depth=[10.24]), board(boxes, CAMERA, wide))
    torch.testing.assert_close(found.center[:, 2], torch.tensor([4.0, 2.0, 2.0]))
    alone = Regions(boxes.boxes[1:], torch.zeros(2, dtype=torch.int64), torch.tensor([BALL, CRATE]), torch.ones(2))
    other = head(code={"frame": "egocentric"}).decode(numbers(2, depth=[10.24]), board(alone, wide))
    torch.testing.assert_close(other.center, found.center[1:])


def test_without_a_camera_boxes_are_of_the_assumed_one() -> None:
    where = board(three(scores=[1.0] * 3), None)
    found = head().decode(numbers(3, depth=[512 / 64]), where)
    torch.testing.assert_close(found.center[:, 2], torch.ones(3))  # the longer side, 64, is the focal length


UNUSABLE = {
    "nan": lambda boxes: replace(boxes, center=boxes.center.clone().index_fill_(0, torch.tensor([1]), torch.nan)),
    "no size": lambda boxes: replace(boxes, size=boxes.size * torch.tensor([[1.0], [0], [1]])),
    "behind": lambda boxes: replace(boxes, center=boxes.center * torch.tensor([[1.0], [-1], [1]])),
    "left-handed": lambda boxes: replace(boxes, rotation=boxes.rotation * torch.tensor([1.0, -1, 1])[:, None, None]),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_boxes_that_cannot_be_teach_nothing(how: str) -> None:
    """The losses are those of the other rows, and every gradient is finite."""
    ours, boxes, faulty = head(), truth(), UNUSABLE[how](truth())
    assert finite_gradients(total(loss_of(ours, board(three()), faulty)), ours)
    sound = torch.tensor([0, 2])
    objects, rows = three(), three().subset(sound)
    losses = ours.loss(numbers(3, depth=[5.0]), board(objects), targets({BOXES3D: faulty}, objects))
    of_sound = replace(rows, parent=None, rows=None, matched=torch.arange(2))
    expected = ours.loss(numbers(2, depth=[5.0]), board(of_sound), targets({BOXES3D: boxes[sound]}, of_sound))
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name])


def test_a_image_without_a_camera_teaches_nothing() -> None:
    ours, where = head(), board(three(), None)
    losses = loss_of(ours, where, truth())
    assert all(value.item() == 0 for value in losses.values())
    assert finite_gradients(total(losses), ours)
    assert total(loss_of(ours, board(three(), Camera.default(*SIZE)), truth())).item() > 0, "a guess said to be right"


@pytest.mark.parametrize(("symmetry", "allowed"), [(1, (0,)), (2, (0, 180)), (4, (0, 90, 180, 270)), (0, range(360))])
def test_true_boxes_are_turned_as_their_class_allows(symmetry: int, allowed: Any) -> None:
    """Held against trying every turn that is allowed."""
    generator = torch.Generator().manual_seed(2)
    true, found = random_rotations(20, generator=generator), random_rotations(20, generator=generator)
    nearest = turned(true, found, torch.full((20,), symmetry))
    turns = axis_angle_to_matrix(torch.tensor([[0.0, math.radians(angle), 0.0] for angle in allowed]))
    tried = true[:, None] @ turns
    apart = (tried.mT @ found[:, None]).diagonal(dim1=-2, dim2=-1).sum(-1)
    ours = (nearest.mT @ found).diagonal(dim1=-2, dim2=-1).sum(-1)
    torch.testing.assert_close(ours, apart.amax(dim=1), atol=1e-3 if symmetry == 0 else 1e-5, rtol=0)
    assert bool(is_rotation(nearest).all())


@pytest.mark.parametrize(
    ("corners", "label", "angle", "learns"),
    [
        ("symmetric", CAR, 180, True),
        ("symmetric", CRATE, 180, False),
        ("symmetric", BALL, 77, False),
        ("own", CRATE, 180, True),
        ("nearest", CAR, 180, False),
        ("nearest", CAR, 90, True),
    ],
)
def test_what_is_learned_of_a_box_that_is_turned(corners: str, label: int, angle: int, learns: bool) -> None:
    ours = head(loss={"corners": corners}, code={"frame": "egocentric"}, uncertainty=False)
    where = board(regions([[10.0, 4, 30, 44]], [label], scores=[1.0]))
    found = ours.decode(numbers(depth=[5.0]), where)
    turn = axis_angle_to_matrix(torch.tensor([[0.0, math.radians(angle), 0.0]]))
    boxes = Boxes3D(found.center, found.size, turn)
    loss = ours.loss(numbers(depth=[5.0]), where, targets({BOXES3D: boxes}, where[OBJECTS]))["pose"]
    assert (float(loss) > 0.1) if learns else (float(loss) < 1e-4)


def test_geometry_stays_in_full_precision_under_autocast() -> None:
    """Rounded to eight bits no rotation would be one, and nothing would be learned."""
    ours, where = head(), board(three(scores=[1.0] * 3))
    aligned = targets({BOXES3D: truth()}, where[OBJECTS])
    exact, center = ours.loss(numbers(3), where, aligned), ours.decode(numbers(3), where).center
    with torch.autocast("cpu", torch.bfloat16):
        losses, found = ours.loss(numbers(3), where, aligned), ours.decode(numbers(3), where)
    torch.testing.assert_close(losses, exact)
    torch.testing.assert_close(found.center, center)


def test_bins_without_priors_are_refused() -> None:
    with pytest.raises(InputError, match=r"'car' need a prior with 3 bins, got none; train on data with cameras"):
        head(code={"depth_bins": 3}, priors=None)
    with pytest.raises(InputError, match="with 2 bins, got 3 bins"):
        head(code={"depth": "clusters", "depth_bins": 2})


def test_weights_follow_the_names_of_classes() -> None:
    names = head(code={"depth_bins": 3}).axis_names
    assert set(names) == {
        f"network.predictors.{kind}.{part}"
        for kind in ("deltas", "size", "pose", "depth", "uncertainty")
        for part in ("weight", "bias")
    }
    assert names["network.predictors.depth.bias"][0].names[:2] == ("car (bin 0)", "ball (bin 0)")


def test_classes_that_get_a_box() -> None:
    """Those that the options name; the record of the task says so to the core."""
    spec = registry().get("task", "boxes3d")
    assert spec.configure(spec, Boxes3DConfig()).applies_to is None
    chosen = spec.configure(spec, Boxes3DConfig(classes=("car",))).applies_to
    assert chosen(Vocabulary(("cup", "car"))) == (1,)
    with pytest.raises(InputError, match=r"boxes3d\.classes: the vocabulary has no thing 'car'"):
        chosen(Vocabulary(("cup",)))
