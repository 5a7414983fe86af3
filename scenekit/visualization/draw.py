"""Drawings of scenes: a function per layer, and `draw_scene`, which combines what installed tasks draw.

A layer takes an image and a scene and returns a new image of the same size. The image may be a multiple of the
scene's size (see `canvas`). Letters: H W pixels of the scene, h w pixels of the image.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor

from scenekit.errors import InputError, PluginError, nearest
from scenekit.hooks import Coverage, TaskSpec, naming_plugin, registry
from scenekit.io.images import ImageSource, read_image, read_image_of_size, rounded
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
    """Draw layers over the image of a scene, one over the other.

    Args:
        scene: The scene.
        image: The image in its original size; by default the file of the scene's `path`.
        layers: Names of tasks, or "boxes". By default all tasks whose keys the scene has, except tasks that another
            drawn task requires, and those with an image of their own; boxes where there are none. Tasks of clips are
            drawn on top of the others.

    Returns:
        The drawing, enlarged by a whole factor where the image is small.

    Raises:
        InputError: There is no image, it has another size than the scene, a layer is not installed, or the scene has no
            key of a layer.
    """
    drawn = base_image(scene, image)
    for layer in chosen_layers(scene, layers).values():
        drawn = layer(drawn, scene)
    return drawn


def draw_layers(
    scene: Scene, image: ImageSource | None = None, layers: Sequence[str] | None = None
) -> dict[str, Image.Image]:
    """Draw each layer on an image of its own.

    Args:
        scene: The scene.
        image: The image in its original size; by default the file of the scene's `path`.
        layers: Names of tasks, or "boxes"; by default all whose keys the scene has.

    Returns:
        Drawings by name of the layer.

    Raises:
        InputError: As for `draw_scene`.
    """
    base = base_image(scene, image)
    chosen = available_layers(scene) if layers is None else chosen_layers(scene, layers)
    return {name: layer(base, scene) for name, layer in chosen.items()}


def base_image(scene: Scene, image: ImageSource | None = None) -> Image.Image:
    """Return the image to draw on, enlarged where it is small.

    Args:
        scene: The scene.
        image: The image in its original size; by default the file of the scene's `path`.

    Returns:
        A new image, RGB.

    Raises:
        InputError: There is no image, or it has another size than the scene.
    """
    pixels = image_of(scene, image)
    if tuple(pixels.shape[1:]) != tuple(scene.size):
        (height, width), (h, w) = scene.size, pixels.shape[1:]
        raise InputError(f"an image of {width} x {height} pixels is expected, as the scene has; got {w} x {h}")
    return enlarged(Image.fromarray(pixels.permute(1, 2, 0).numpy()))


def image_of(scene: Scene, image: ImageSource | None) -> UInt8[Tensor, "3 H W"]:
    """Return the image of a scene.

    Args:
        scene: The scene.
        image: The image; by default the file of the scene's `path`, as it is stored where only that fits the scene.

    Returns:
        The image.

    Raises:
        InputError: There is no image, or it cannot be read.
    """
    if image is not None:
        return rounded(read_image(image))
    if scene.path is None:
        raise InputError("the scene has no `path` of its image; pass the image as `image`")
    if not os.path.isfile(scene.path):
        raise InputError(
            f"{scene.path}: no such file, though the scene names it as its image; pass the image as `image`"
        )
    try:
        return rounded(read_image_of_size(scene.path, scene.size))
    except InputError as error:
        if scene.moment is None:
            raise
        raise InputError(f"{error}; of a video, pass the frame as `image`") from error


def available_layers(scene: Scene) -> dict[str, Layer]:
    """Return every layer that can be drawn of a scene.

    Args:
        scene: The scene.

    Returns:
        Layers by name.
    """
    boxes: dict[str, Layer] = {BOXES: draw_boxes} if OBJECTS in scene.streams else {}
    return {**boxes, **{name: partial(draw_task, spec) for name, spec in drawn_tasks(scene).items()}}


def draw_task(spec: TaskSpec, image: Image.Image, scene: Scene) -> Image.Image:
    """Draw what a task draws on a copy of the image.

    Args:
        spec: The record of a task with `draw`.
        image: The image; it may be a multiple of the size of the scene.
        scene: The scene.

    Returns:
        The copy.

    Raises:
        PluginError: `draw` of the task returns a value, or makes an image of another size.
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
    """Return layers by name.

    Args:
        scene: The scene.
        names: Names of layers; by default those that show the most without covering each other.

    Returns:
        Layers by name, in the order of `names`.

    Raises:
        InputError: The scene has no such layer.
    """
    available = available_layers(scene)
    names = _default(scene) if names is None else names
    for name in names:
        if name not in available:
            raise InputError(f"the scene has no layer {name!r} to draw{nearest(name, available)}")
    return {name: available[name] for name in names}


def layers_apart(scene: Scene) -> list[str]:
    """Return the tasks with an image of their own that are not in the drawing of `draw_scene`.

    Args:
        scene: The scene.

    Returns:
        Names of tasks.
    """
    together = _default(scene)
    return [name for name, spec in drawn_tasks(scene).items() if spec.draw_apart and name not in together]


def _default(scene: Scene) -> list[str]:
    """Return the layers of one drawing: of the image, or else its boxes, and on top of them those of its clip."""
    tasks = drawn_tasks(scene)
    of_clips = [name for name, spec in tasks.items() if spec.of_clips]
    of_image = _compatible({name: spec for name, spec in tasks.items() if name not in of_clips})
    boxes = [BOXES] if OBJECTS in scene.streams else []
    return [*(of_image or boxes), *of_clips]


def _compatible(tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Return the tasks that fit into one drawing; else the first of those with an image of their own.

    A drawing that covers the image shows the areas of the keys that its task requires.
    """
    covering = (spec for spec in tasks.values() if spec.draw_covers is Coverage.IMAGE)
    shown_by_others = {key for spec in covering for key in spec.requires}
    kept = [name for name, spec in tasks.items() if not set(spec.provides) <= shown_by_others]
    return [name for name in kept if not tasks[name].draw_apart] or kept[:1]


def drawn_tasks(scene: Scene) -> dict[str, TaskSpec]:
    """Return the installed tasks that draw a value of the scene.

    Args:
        scene: The scene.

    Returns:
        Records by name; areas before lines, which stay on top.
    """
    drawable = (spec for spec in tasks_in(scene) if spec.draw is not None)
    return {spec.name: spec for spec in sorted(drawable, key=lambda spec: spec.draw_covers.value)}


def tasks_in(scene: Scene) -> list[TaskSpec]:
    """Return the installed tasks that provide a value of the scene.

    Args:
        scene: The scene.

    Returns:
        Their records.
    """
    return [spec for spec in registry().tasks.values() if any(_has(scene, key) for key in spec.provides)]


def draw_views(scene: Scene, beside: Scene | None = None) -> dict[str, Image.Image]:
    """Draw the further images of a scene, such as the one from above.

    Args:
        scene: What to draw.
        beside: Another scene of the same image, such as its ground truth, that is drawn beside this one: views that
            take an argument of this name get the same scale.

    Returns:
        Images by name: the `views` of all installed tasks that provide a value of the scene.
    """
    views = {name: view for spec in tasks_in(scene) for name, view in spec.views.items()}
    if beside is None:
        return {name: view(scene) for name, view in views.items()}
    return {
        name: view(scene, beside=beside) if "beside" in signature(view).parameters else view(scene)
        for name, view in views.items()
    }


def is_blank(drawn: Image.Image, base: Image.Image) -> bool:
    """Return whether nothing was drawn.

    Args:
        drawn: A drawing.
        base: The image that it was drawn on.

    Returns:
        True where both are equal.
    """
    if drawn.size != base.size:
        return False
    return ImageChops.difference(drawn.convert("RGB"), base.convert("RGB")).getbbox() is None


def draw_boxes(image: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Draw the box of each object, with its class name and score.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: The scene.
        labels: Whether to write class names and scores.

    Returns:
        A new image of the same size.
    """
    rects = object_rects(image, scene)
    colors = object_colors(scene)
    line = Style.of(image).line

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        for row in sorted(rects, key=lambda row: -_area(rects[row])):
            corners = [scale * value for value in rects[row]]
            layer.rounded_rectangle(corners, 3 * line, outline=(*BLACK, 130), width=scale * line + 2)
            layer.rounded_rectangle(corners, 3 * line, outline=colors[row], width=scale * line)

    drawn = draw_smooth(image, paint) if rects else image.copy()
    tags = [Tag(text, colors[row], rects[row]) for row, text in enumerate(object_texts(scene)) if row in rects]
    return draw_tags(drawn, tags) if labels else drawn


def named_regions(image: Image.Image, scene: Scene, regions: Iterable[Region]) -> list[tuple[int, Spot]]:
    """Return where to write the names of regions that are large enough for it.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: The scene.
        regions: Ids with their masks, in pixels of the scene.

    Returns:
        Ids with their roomiest spots in pixels of the image, the smallest spots first.
    """
    scale = scale_of(image, scene)
    named = [(value, roomiest_spot(region, scale)) for value, region in regions if region.mean() > NAMED_SHARE]
    return sorted(named, key=lambda entry: entry[1][2])


def object_rects(image: Image.Image, scene: Scene) -> dict[int, Rect]:
    """Return the boxes of the objects that can be drawn, clipped to the image.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: The scene.

    Returns:
        Boxes by row, in pixels of the image.
    """
    canvas = Canvas(image, scene.size)
    return {row: canvas.rect(box) for row, box in drawable_boxes(scene)}


def object_colors(scene: Scene) -> list[Color]:
    """Return the color of each object: a shade of its label's, by its id.

    Args:
        scene: The scene.

    Returns:
        RGB per row of the objects.
    """
    objects = scene.objects
    return [object_color(label, i) for label, i in zip(objects.labels.tolist(), objects.ids.tolist(), strict=True)]


def object_texts(scene: Scene) -> list[str]:
    """Return the text at each object: its class name, its id where ids last, and its score where it has one.

    Args:
        scene: The scene.

    Returns:
        A text per row of the objects.
    """
    texts, scores = scene.names(), scene.objects.scores
    if scene.tracked:
        ids = scene.objects.ids.tolist()
        texts = [name if number < 0 else f"{name} #{number}" for name, number in zip(texts, ids, strict=True)]
    if scores is None:
        return texts
    return [f"{text} {score:.2f}" for text, score in zip(texts, scores.tolist(), strict=True)]


def around(spot: Spot) -> Rect:
    """Return the square in the largest circle at a spot.

    Args:
        spot: x, y and radius, in pixels of the image.

    Returns:
        The square.
    """
    x, y, room = spot
    return x - 0.7 * room, y - 0.7 * room, x + 0.7 * room, y + 0.7 * room


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _has(scene: Scene, key: Key[Any, Any]) -> bool:
    streams: Mapping[Stream, Any] = scene.streams
    return key in streams if isinstance(key, Stream) else key in scene
