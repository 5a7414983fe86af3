"""Issues of a sample: of its values, as their fields report them, of its boxes, and of the sample as a whole.

Letter: N regions of one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from scenekit.data.checks import place, row_name, validated
from scenekit.data.flips import one_sided
from scenekit.data.sample import Sample
from scenekit.fields.bounds import SLACK
from scenekit.io.images import TURNS, orientation_of
from scenekit.keys import OBJECTS
from scenekit.scene import Objects, Scene
from scenekit.structures.objects import invalid_boxes
from scenekit.structures.tensors import repeats, row_numbers

BORDER = 0.05
"""How near to the border a principal point is unusual, in units of the image's size."""

Place = tuple[str, str]
"""A kind of issue, and where in the sample it is."""


def issues_of(sample: Sample) -> Iterator[Place]:
    """Yield every issue; kinds are phrases in the plural, such as `empty masks`."""
    yield from _sample_issues(sample)
    scene = sample.scene
    for stream, regions in scene.streams.items():
        things = len(scene.vocabulary.things) if stream == OBJECTS else None
        invalid = invalid_boxes(regions, scene.size, things)
        for row, problem in invalid.items():
            yield f"boxes that are {problem}", row_name(stream, regions, row)
        for kind, row in _box_warnings(scene, regions, stream == OBJECTS):
            if row not in invalid:
                yield kind, row_name(stream, regions, row)
    for key in scene.values:
        yield from ((issue.kind, place(scene, key, issue)) for issue in validated(scene, key).issues)
    yield from _warnings(scene, notes=False)


def notes_of(sample: Sample) -> Iterator[Place]:
    """Yield what is valid and merely unusual, such as texts that not every tokenizer can spell."""
    yield from _warnings(sample.scene, notes=True)
    yield from _image_notes(sample.scene)
    for key, name in one_sided(sample):
        yield "images that are not flipped, for names or words of a side without a counterpart", f"{name!r} in {key}"


def _image_notes(scene: Scene) -> Iterator[Place]:
    """Yield notes on the camera and the file of an image."""
    if scene.camera is not None:
        center, size = scene.camera.matrix[:2, 2], torch.tensor([scene.size[1], scene.size[0]])
        if bool(((center / size - 0.5).abs() > 0.5 - BORDER).any()):
            yield "cameras whose principal point is near the border of the image or outside", f"at {center.tolist()} px"
    if scene.path is not None and (turn := orientation_of(scene.path)) != 1:
        yield "images with an EXIF orientation (labels for the image as it is stored need exif=ignore)", TURNS[turn]


def _warnings(scene: Scene, notes: bool) -> Iterator[Place]:
    for key in scene.values:
        result = validated(scene, key)
        if result.value is not None:
            frame = scene.frame(key)
            frame = frame if result.valid is None else replace(frame, valid=result.valid)
            warnings = key.field.warnings(result.value, frame)
            yield from ((issue.kind, place(scene, key, issue)) for issue in warnings if issue.note == notes)


def _sample_issues(sample: Sample) -> Iterator[Place]:
    scene, claims = sample.scene, sample.supervision
    if tuple(scene.size) != tuple(sample.image.shape[1:]):
        yield "annotations for another size of image", f"{list(scene.size)} for {list(sample.image.shape[1:])}"
    if not claims.keys and not claims.streams:
        yield "images that supervise nothing", ""
    elif not any(map(len, scene.streams.values())) and not any(key.of is None for key in scene.values):
        yield "images without labels", ""
    if bool((sample.image == sample.image[:, :1, :1]).all()):
        yield "images of a single color", ""


def _box_warnings(scene: Scene, regions: Objects, labelled: bool) -> Iterator[tuple[str, int]]:
    """Yield boxes over the border, and labelled boxes that occur twice."""
    boxes = regions.boxes
    border = boxes.new_tensor([scene.size[1], scene.size[0]])
    over = ((boxes[:, :2] < -SLACK) | (boxes[:, 2:] > border + SLACK)).any(dim=1)
    yield from (("boxes that reach over the border", row) for row in row_numbers(over))
    if labelled:
        same = torch.cat((boxes.round(), regions.labels[:, None]), dim=1)
        yield from (("boxes that repeat another one", row) for row, _ in repeats(same))
