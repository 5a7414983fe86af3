"""Images of scenes: one function a layer, and `draw_scene`, which puts together what installed tasks draw.

A layer takes an image and a scene and gives back a new image of the same size. The image may be a multiple of the
scene's size (see `canvas`). Letters: H W pixels of the scene, h w pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from scenekit.errors import InputError, PluginError, nearest
from scenekit.hooks import TaskSpec, naming_plugin, registry
from scenekit.io.images import ImageSource, read_image, rounded
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Scene
from scenekit.visualization.canvas import (
    Style,
    draw_smooth,
    drawable_boxes,
    enlarged,
    scale_of,
)
from scenekit.visualization.palette import BLACK, Color, object_color
from scenekit.visualization.scene_canvas import Canvas, Layer
from scenekit.visualization.text_labels import Rect, Spot, Tag, draw_tags, roomiest_spot

Region: TypeAlias = tuple[int, Bool[np.ndarray, "H W"]]
"""An id and the pixels it covers."""

BOXES = "boxes"
"""Name of the layer that the core itself draws."""

MAP_OPACITY = 0.55
"""Of the tint of a map that covers the whole image."""

NAMED_SHARE = 0.004
"""Regions of a map get their name written when they cover more of the image than this."""


def draw_scene(scene: Scene, image: ImageSource | None = None, layers: Sequence[str] | None = None) -> Image.Image:
    """The scene's image with `layers` (task names, or "boxes") drawn one over the other.

    `image` is the image in its original size; without it the scene's `path` is read. Without `layers` every task
    whose keys the scene has is drawn, less those that another drawn task requires and so shows itself, and those that
    want an image of their own; if there is none, boxes. Small images come back enlarged by a whole factor. Raises
    InputError when there is no image, when it has another size than the scene, and for a layer that is not installed
    or none of whose keys the scene has.
    """
    picture = base_image(scene, image)
    for layer in chosen_layers(scene, layers).values():
        picture = layer(picture, scene)
    return picture


def draw_layers(
    scene: Scene, image: ImageSource | None = None, layers: Sequence[str] | None = None
) -> dict[str, Image.Image]:
    """One image for each layer by name, all that the scene has keys for unless told; raises as `draw_scene` does."""
    picture = base_image(scene, image)
    chosen = available_layers(scene) if layers is None else chosen_layers(scene, layers)
    return {name: layer(picture, scene) for name, layer in chosen.items()}


def base_image(scene: Scene, image: ImageSource | None = None) -> Image.Image:
    """The image to draw on: RGB, enlarged where it is small."""
    if image is None and scene.path is None:
        raise InputError("this scene knows no file of its image; hand the image in as `image`")
    pixels = rounded(read_image(scene.path if image is None else image))
    if tuple(pixels.shape[1:]) != tuple(scene.size):
        (height, width), (h, w) = scene.size, pixels.shape[1:]
        raise InputError(f"an image of {width} x {height} pixels expected, as the scene has; got {w} x {h}")
    return enlarged(Image.fromarray(pixels.permute(1, 2, 0).numpy()))


def available_layers(scene: Scene) -> dict[str, Layer]:
    """Every layer that can be drawn of this scene, by name."""
    boxes: dict[str, Layer] = {BOXES: draw_boxes} if OBJECTS in scene.streams else {}
    return {**boxes, **{name: partial(draw_task, spec) for name, spec in drawn_tasks(scene).items()}}


def draw_task(spec: TaskSpec, image: Image.Image, scene: Scene) -> Image.Image:
    """Return a copy of the image, which may be a multiple of the size of the scene, with what the task draws on it.

    Raises:
        PluginError: Where `draw` of the task returns something, or makes an image of another size.
    """
    assert spec.draw is not None
    canvas = Canvas(image.copy(), scene.size)
    with naming_plugin(spec):
        returned: object = spec.draw(canvas, scene)
        if returned is not None:
            kind = type(returned).__name__
            raise PluginError(f"`draw` of task {spec.name!r} must draw on the canvas and return None, got {kind}")
        if not isinstance(canvas.image, Image.Image) or canvas.image.size != image.size:
            raise PluginError(
                f"`draw` of task {spec.name!r} must leave an image of {image.size} pixels on the canvas, "
                f"got {canvas.image!r}"
            )
    return canvas.image


def chosen_layers(scene: Scene, names: Sequence[str] | None) -> dict[str, Layer]:
    """The named layers in that order, or those that show the most without covering each other."""
    available = available_layers(scene)
    names = _compatible(drawn_tasks(scene)) or list(available)[:1] if names is None else names
    for name in names:
        if name not in available:
            raise InputError(f"this scene has no layer {name!r} to draw{nearest(name, available)}")
    return {name: available[name] for name in names}


def layers_apart(scene: Scene) -> list[str]:
    """Tasks that want an image of their own and are not in the one that `draw_scene` makes."""
    tasks = drawn_tasks(scene)
    together = _compatible(tasks)
    return [name for name, spec in tasks.items() if spec.draw_apart and name not in together]


def _compatible(tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Tasks that go into one image; of those that want one of their own the first, where there are no others."""
    shown_by_others = {key for spec in tasks.values() for key in spec.requires}
    kept = [name for name, spec in tasks.items() if not set(spec.provides) <= shown_by_others]
    return [name for name in kept if not tasks[name].draw_apart] or kept[:1]


def drawn_tasks(scene: Scene) -> dict[str, TaskSpec]:
    """Installed tasks that draw and give something that the scene has; areas come before lines, which stay on top."""
    drawable = (spec for spec in tasks_in(scene) if spec.draw is not None)
    return {spec.name: spec for spec in sorted(drawable, key=lambda spec: spec.draw_covers.value)}


def tasks_in(scene: Scene) -> list[TaskSpec]:
    """Return the installed tasks that provide something that the scene has."""
    return [spec for spec in registry().tasks.values() if any(_has(scene, key) for key in spec.provides)]


def draw_views(scene: Scene) -> dict[str, Image.Image]:
    """Draw the further images of a scene, such as the one from above.

    Args:
        scene: What to draw.

    Returns:
        Images by name: the `views` of all installed tasks that provide something that the scene has.
    """
    return {name: view(scene) for spec in tasks_in(scene) for name, view in spec.views.items()}


def draw_boxes(picture: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """The box of each object, with label and score."""
    rects = object_rects(picture, scene)
    colors = object_colors(scene)
    line = Style.of(picture).line

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        for row in sorted(rects, key=lambda row: -_area(rects[row])):
            corners = [scale * value for value in rects[row]]
            layer.rounded_rectangle(corners, 3 * line, outline=(*BLACK, 130), width=scale * line + 2)
            layer.rounded_rectangle(corners, 3 * line, outline=colors[row], width=scale * line)

    drawn = draw_smooth(picture, paint) if rects else picture.copy()
    tags = [Tag(text, colors[row], rects[row]) for row, text in enumerate(object_texts(scene)) if row in rects]
    return draw_tags(drawn, tags) if labels else drawn


def named_regions(picture: Image.Image, scene: Scene, regions: Iterable[Region]) -> list[tuple[int, Spot]]:
    """(id, roomiest spot) of the regions that are large enough to be named, the cramped ones first."""
    scale = scale_of(picture, scene)
    found = [(value, roomiest_spot(region, scale)) for value, region in regions if region.mean() > NAMED_SHARE]
    return sorted(found, key=lambda entry: entry[1][2])


def object_rects(picture: Image.Image, scene: Scene) -> dict[int, Rect]:
    """Boxes by row in pixels of the image, cut off at its border; without those that cannot be drawn."""
    canvas = Canvas(picture, scene.size)
    return {row: canvas.rect(box) for row, box in drawable_boxes(scene)}


def object_colors(scene: Scene) -> list[Color]:
    """The color of each object: a shade of its label's, by its id."""
    objects = scene.objects
    return [object_color(label, i) for label, i in zip(objects.labels.tolist(), objects.ids.tolist(), strict=True)]


def object_texts(scene: Scene) -> list[str]:
    """What is written at each object: label, and score where it has one."""
    scores = scene.objects.scores
    if scores is None:
        return scene.names()
    return [f"{name} {score:.2f}" for name, score in zip(scene.names(), scores.tolist(), strict=True)]


def around(spot: Spot) -> Rect:
    """The square in the largest circle at a spot."""
    x, y, room = spot
    return x - 0.7 * room, y - 0.7 * room, x + 0.7 * room, y + 0.7 * room


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _has(scene: Scene, key: Key[Any, Any]) -> bool:
    streams: Mapping[Stream, Any] = scene.streams
    return key in streams if isinstance(key, Stream) else key in scene
