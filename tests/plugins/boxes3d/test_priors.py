"""What boxes of a class are like: counted from scenes, kept with the options, and what stands in where nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenekit.keys import BOXES3D, OBJECTS
from scenekit.scene import Objects, Scene
from scenekit.structures import Boxes3D, Camera, Vocabulary
from scenekit_plugins.boxes3d.coding import Views
from scenekit_plugins.boxes3d.config import Boxes3DConfig, CodeConfig, SizePrior
from scenekit_plugins.boxes3d.priors import ClassPriors, prepared, priors_of

VOCABULARY = Vocabulary(("car", "ball", "crate"))


def scene(labels: list[int], sizes: list[list[float]], depths: list[float], focal: float = 100.0) -> Scene:
    """Objects with regions of 30 x 40 pixels in an image that is 100 pixels high."""
    count = len(labels)
    center = torch.tensor([[0.0, 0.0, depth] for depth in depths])
    boxes = Boxes3D(center, torch.tensor(sizes), torch.eye(3).repeat(count, 1, 1))
    objects = Objects(torch.tensor([[0.0, 0, 30, 40]] * count), torch.tensor(labels))
    camera = Camera.pinhole(focal, 100, 120)
    return Scene((100, 120), VOCABULARY, {OBJECTS: objects}, {BOXES3D: boxes}, camera=camera)


def test_means_and_deviations_by_class() -> None:
    first = scene([0, 1], [[2.0, 1, 4], [1, 1, 1]], [5.0, 5.0])
    priors = priors_of([first, scene([0], [[4.0, 1, 4]], [5.0]), replace(first, values={})], None)
    assert set(priors.sizes) == {"ball", "car"}
    assert priors.sizes["car"] == SizePrior(mean=(3.0, 1.0, 4.0), std=(1.0, 0.05, 0.2))
    assert priors.other_sizes.mean == pytest.approx((7 / 3, 1.0, 3.0), abs=1e-5)
    assert not priors.depths and priors.other_depths is None


def test_boxes_that_cannot_be_do_not_count() -> None:
    odd = scene([0, 0, 0, 0], [[2.0, 1, 4], [0, 1, 1], [9, 9, 9], [9, 9, 9]], [5.0, 5.0, -1.0, 5.0])
    odd = replace(odd, valid={BOXES3D: torch.tensor([True, True, True, False])})
    assert priors_of([odd], None).sizes["car"].mean == (2.0, 1.0, 4.0)
    assert priors_of([], None) == priors_of([replace(odd, values={}, valid={})], None)


def test_a_class_never_seen_is_as_all_others_together_and_nothing_is_one_metre() -> None:
    views = Views(torch.zeros(2, 4), torch.eye(3).repeat(2, 1, 1), torch.ones(2))
    labels = torch.tensor([0, 2])
    seen = priors_of([scene([0, 1], [[2.0, 1, 4], [1, 1, 1]], [5.0, 5.0])], None)
    sizes = ClassPriors(VOCABULARY.things, seen, CodeConfig())(labels, views).size_mean
    torch.testing.assert_close(sizes, torch.tensor([[2.0, 1, 4], [1.5, 1, 2.5]]))
    unknown = ClassPriors(VOCABULARY.things, priors_of([], None), CodeConfig())(labels, views).size_mean
    assert unknown.tolist() == [[1.0] * 3] * 2


def test_classes_that_priors_do_not_know_are_measured() -> None:
    """Those of a model that another run starts from stay as they are, whatever its data says of them."""
    first, second = VOCABULARY.things[:2]
    config = prepared(Boxes3DConfig(), [scene([0], [[2.0, 1, 4]], [5.0])])
    assert config.priors is not None and config.priors.sizes.keys() == {first}
    assert Boxes3DConfig.model_validate(config.model_dump(mode="json")) == config
    assert prepared(config, [scene([0], [[3.0, 3, 3]], [5.0])]) == config
    more = prepared(config, [scene([0, 1], [[3.0, 3, 3], [0.5, 1, 0.5]], [5.0, 2.0])]).priors
    assert more is not None and more.other_sizes == config.priors.other_sizes
    assert more.sizes[first] == config.priors.sizes[first] and more.sizes[second].mean == (0.5, 1.0, 0.5)


def test_depths_of_further_classes_are_measured_as_well() -> None:
    first, second = VOCABULARY.things[:2]
    clusters = Boxes3DConfig(code=CodeConfig(depth="clusters", depth_bins=1))
    known = prepared(clusters, [scene([0], [[1.0, 1, 1]], [2.0])])
    more = prepared(known, [scene([0, 1], [[1.0, 1, 1]] * 2, [8.0, 4.0])]).priors
    assert known.priors is not None and more is not None
    assert more.depths[first] == known.priors.depths[first] and more.depths[second].mean == pytest.approx([4.0])


def test_depths_in_bins_are_those_of_any_resolution_and_focal_length() -> None:
    """An image twice as large, with twice the focal length, has the same prior; and regions of it the same metres."""
    scenes = [scene([0], [[1.0, 1, 1]], [depth]) for depth in (2.0, 4.0)]
    priors = priors_of(scenes, 1)
    assert priors.depths["car"].scales == pytest.approx([0.5]) and priors.depths["car"].mean == pytest.approx([3.0])
    assert priors.other_depths == priors.depths["car"]
    assert priors_of(scenes, 3).depths == {}, "too few boxes for as many bins"
    code = CodeConfig(depth="clusters")
    K = torch.tensor([[300.0, 0, 60], [0, 300, 50], [0, 0, 1]])
    views = Views(torch.tensor([[0.0, 0, 90, 120]]), K[None], torch.tensor([300.0]))
    known = ClassPriors(VOCABULARY.things, priors, code)(torch.tensor([0]), views)
    assert known.scales is not None and known.depth_mean is not None
    assert known.scales.item() == pytest.approx(150.0)
    assert known.depth_mean.item() * 300 / 512 == pytest.approx(3.0)
