"""Labels of synthetic scenes against each other, to the pixel.

The references are independent of the ray caster: a z-buffer written out here, and pycocotools.
"""

import numpy as np
from pycocotools import mask as coco_mask

from scenekit_datasets.synthetic.scene import SMALLEST, SyntheticScene
from scenekit_datasets.synthetic.vocabulary import CLASSES, THINGS


def z_buffer(verts: np.ndarray, faces: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth of the nearest triangle at each pixel center, infinite for none: scan conversion with 1/z linear."""
    depth = np.full(size, np.inf)
    pixels = verts @ intrinsics.T
    pixels = np.concatenate([pixels[:, :2] / pixels[:, 2:], verts[:, 2:]], axis=1)
    for a, b, c in pixels[faces]:
        _scan(depth, a, b, c)
    return depth


def _scan(depth: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    height, width = depth.shape
    x0, x1 = max(int(min(a[0], b[0], c[0])) - 1, 0), min(int(max(a[0], b[0], c[0])) + 2, width)
    y0, y1 = max(int(min(a[1], b[1], c[1])) - 1, 0), min(int(max(a[1], b[1], c[1])) + 2, height)
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if x0 >= x1 or y0 >= y1 or abs(area) < 1e-12:
        return
    x, y = np.arange(x0, x1) + 0.5, (np.arange(y0, y1) + 0.5)[:, None]
    u = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
    v = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
    inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    z = 1 / ((1 - u - v) / a[2] + u / b[2] + v / c[2])
    window = depth[y0:y1, x0:x1]
    window[inside] = np.minimum(window, z)[inside]


def silhouettes(scene: SyntheticScene) -> np.ndarray:
    """Depth of each object's mesh alone [N H W]."""
    size = scene.depth.shape
    return np.stack([z_buffer(mesh.verts.astype(float), mesh.faces, scene.intrinsics, size) for mesh in scene.meshes])


def test_boxes_are_the_tight_boxes_of_the_masks(cases):
    for case in cases:
        for box, mask in zip(case.scene.boxes, case.scene.masks, strict=True):
            x, y, width, height = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))))
            assert box.tolist() == [x, y, x + width, y + height]


def test_every_object_shows(cases):
    for case in cases:
        areas = case.scene.masks.sum(axis=(1, 2))
        assert (areas >= SMALLEST * case.scene.instance.size).all()
        assert 2 <= len(areas) <= 9


def test_semantic_map_names_the_object_or_the_stuff_of_each_pixel(cases):
    for case in cases:
        scene = case.scene
        thing = scene.instance >= 0
        assert (scene.semantic[thing] == scene.labels[scene.instance[thing]]).all()
        assert (scene.semantic[~thing] >= len(THINGS)).all()
        assert (scene.semantic < len(CLASSES)).all()


def test_panoptic_segments_partition_the_image(cases):
    for case in cases:
        scene = case.scene
        by_id = {segment.id: segment for segment in scene.segments}
        assert set(np.unique(scene.panoptic)) == set(by_id)
        for segment in scene.segments:
            here = scene.panoptic == segment.id
            assert here.sum() == segment.area
            assert (scene.semantic[here] == segment.category).all()
            assert segment.is_thing == (segment.category < len(THINGS))
            if segment.is_thing:
                assert (scene.instance[here] == segment.id - 1).all()
        assert sum(segment.area for segment in scene.segments) == scene.instance.size


def test_masks_and_depth_are_those_of_the_meshes(cases):
    """Nearest mesh per pixel by z-buffer: the same owner but for pixel centers on an edge, and the same depth."""
    for case in cases[:4]:
        scene = case.scene
        alone = silhouettes(scene)
        nearest = alone.argmin(axis=0)
        owner = np.where(np.isfinite(alone.min(axis=0)), nearest, -1)
        differ = owner != scene.instance
        assert differ.mean() < 2e-4
        agree = ~differ & (owner >= 0)
        assert np.abs(alone.min(axis=0)[agree] / scene.depth[agree] - 1).max() < 1e-3


def test_amodal_masks_are_the_meshes_alone_and_contain_the_modal_ones(cases):
    for case in cases[:4]:
        scene = case.scene
        assert scene.amodal is not None
        assert not (scene.masks & ~scene.amodal).any()
        differ = np.isfinite(silhouettes(scene)) != scene.amodal
        assert differ.mean() < 2e-4


def test_what_hides_a_part_of_an_object_is_nearer(cases):
    for case in cases[:4]:
        scene = case.scene
        assert scene.amodal is not None
        for index, depth in enumerate(silhouettes(scene)):
            hidden = scene.amodal[index] & (scene.instance != index) & np.isfinite(depth)
            assert (scene.depth[hidden] <= depth[hidden] * (1 + 1e-4)).all()
            assert (scene.instance[hidden] >= 0).all()


def test_boxes_3d_fit_their_meshes(cases):
    """In the box frame the vertices reach exactly half the size on each side; rotations are proper."""
    for case in cases:
        scene = case.scene
        for index, mesh in enumerate(scene.meshes):
            rotation = scene.box_rotations[index]
            assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(rotation) > 0
            local = (mesh.verts - scene.box_centers[index]) @ rotation
            width, height, length = scene.box_sizes[index]
            half = np.array([length, height, width]) / 2
            assert np.allclose(local.max(0), half, atol=1e-4)
            assert np.allclose(local.min(0), -half, atol=1e-4)


def test_projected_3d_boxes_contain_the_masks(cases):
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for case in cases:
        scene = case.scene
        for index, (width, height, length) in enumerate(scene.box_sizes):
            corners = signs * np.array([length, height, width]) / 2
            corners = corners @ scene.box_rotations[index].T + scene.box_centers[index]
            if (corners[:, 2] < 0.1).any():
                continue
            pixels = corners @ scene.intrinsics.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            x0, y0, x1, y1 = scene.boxes[index]
            low, high = pixels.min(0), pixels.max(0)
            assert low[0] - 0.5 <= x0 and low[1] - 0.5 <= y0 and x1 <= high[0] + 0.5 and y1 <= high[1] + 0.5


def test_the_ground_is_a_plane_at_the_camera_height(cases):
    """Depth and intrinsics alone give back the ground plane; its distance is the height of the camera."""
    for case in cases:
        scene, stage = case.scene, case.renderer.stage
        ground = np.isin(scene.semantic, [CLASSES.index(name) for name in ("floor", "rug", "grass", "road", "sand")])
        rows, columns = np.nonzero(ground & (scene.depth < 50))
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1) @ np.linalg.inv(scene.intrinsics).T
        points = rays * scene.depth[rows, columns][:, None]
        plane = np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]
        assert np.isclose(1 / np.linalg.norm(plane), stage.view.height, rtol=1e-3)
        assert np.abs(points @ plane - 1).max() < 2e-3


def test_only_the_sky_has_no_depth(cases):
    for case in cases:
        sky = case.scene.semantic == CLASSES.index("sky")
        assert (case.scene.depth[sky] == 0).all()
        assert (case.scene.depth[~sky] > 0).all()
        assert np.isfinite(case.scene.depth).all()
