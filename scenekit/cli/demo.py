"""`scenekit demo`: joint inference of all tasks, shown in a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output, scene_files
from scenekit.cli.demo_clip import DemoClip, save_clip
from scenekit.cli.image_inputs import check_files, unique_stems
from scenekit.cli.stream_clips import print_clip

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL.Image import Image
    from torch import Tensor

    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.visualization import ReportEntry

SAME_THING = 0.7
"""IoU above which objects of two classes are one thing in the demo."""

FOR_IMAGES, FOR_SCENES = "photo", "small"
"""The shipped models for photographs and for synthetic scenes."""


@dataclass(frozen=True)
class Subject:
    """An image to show."""

    name: str
    """Name of the image and its files."""
    pixels: UInt8[Tensor, "3 H W"]
    """RGB pixels."""
    path: str | None = None
    """Path of the file, if there is one."""
    ground_truth: Scene | None = None
    """Ground truth, if there is any."""


def demo(
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="FILE", help="Your own image instead of synthetic scenes; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write to.")] = Path("demo"),
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Number of synthetic scenes.")] = 4,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help=f"As for predict. Default: {FOR_IMAGES} for your images, {FOR_SCENES} for synthetic scenes.",
        ),
    ] = None,
    threshold: output.ThresholdOption = 0.5,
    clip: Annotated[
        bool, typer.Option("--clip/--no-clip", help="Beside synthetic scenes, a clip: ids that last, events, a map.")
    ] = True,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Run every task on held-out synthetic scenes and a clip, or on your images, and write one HTML report."""
    check_files(image or ())
    import scenekit as sk
    from scenekit.cli.device import on_device
    from scenekit.visualization import write_report

    name = model or (FOR_IMAGES if image else FOR_SCENES)
    network = on_device(one_class_each(sk.load(name)), device)
    subjects = list(own_images(image) if image else synthetic_scenes(count))
    output.make_folder(out)
    run(network, subjects[0], threshold)  # the first pass is slower and must not be timed
    entries = [
        entry_of(network, subject, threshold) for subject in output.progress(subjects, "predicting", len(subjects))
    ]
    for entry in entries:
        save(entry, out)
    report = out / "report.html"
    info = {"model": name, "tasks": network.tasks, "device": network.device.type, "threshold": threshold}
    shown = save_clip(network, out) if clip and not image else DemoClip()
    write_report(report, [*entries, *shown.entries], title="Predictions of scenekit", model_info=info)
    print_summary(report, entries, shown, as_json)


def one_class_each(network: SceneModel) -> SceneModel:
    """Return the model without detections of the same thing as two classes, if its detector has the option.

    Args:
        network: The model.

    Returns:
        The model, or one with the same parameters.
    """
    from scenekit.weights.detector_options import suppresses_across_classes, with_suppression

    return with_suppression(network, SAME_THING) if suppresses_across_classes(network) else network


def own_images(names: Sequence[str]) -> Iterator[Subject]:
    """Load the images of the user.

    Args:
        names: Paths of the files.

    Returns:
        The images.
    """
    from scenekit.io.images import read_image, rounded

    for name, stem in zip(names, unique_stems(names), strict=True):
        yield Subject(stem, rounded(read_image(name)), path=name)


def synthetic_scenes(count: int) -> Iterator[Subject]:
    """Render the first scenes of the test split, which are in no training data.

    Args:
        count: Number of scenes.

    Returns:
        The images with their ground truth.
    """
    import scenekit as sk

    samples = sk.dataset("synthetic", split="test")
    for index in output.progress(range(min(count, len(samples))), "drawing scenes"):
        sample = samples[index]
        yield Subject(f"scene-{index}", sample.image, ground_truth=sample.scene)


def run(network: SceneModel, subject: Subject, threshold: float) -> tuple[Scene, dict[str, float]]:
    """Run all tasks in one pass, with the camera of the ground truth.

    Args:
        network: The model.
        subject: The image.
        threshold: Smallest score of an object.

    Returns:
        The scene, and the seconds of each step.
    """
    import torch

    from scenekit.model.timing import StepTimer

    timer = StepTimer(network.device)
    with torch.inference_mode():
        with timer.step("preprocess"):
            camera = None if subject.ground_truth is None else subject.ground_truth.camera
            batch = network.preprocess([subject.pixels], [camera])
        outputs = network(batch, threshold=threshold)
        with timer.step("finish"):
            (scene,) = network.scenes(outputs, threshold=threshold)
    around = timer.seconds
    return scene, {"preprocess": around["preprocess"], **outputs.seconds, "finish": around["finish"]}


def entry_of(network: SceneModel, subject: Subject, threshold: float) -> ReportEntry:
    """Predict the scene of an image and draw all layers.

    Args:
        network: The model.
        subject: The image.
        threshold: Smallest score of an object.

    Returns:
        The entry of the report.
    """
    from scenekit.visualization import ReportEntry, draw_layers

    scene, seconds = run(network, subject, threshold)
    scene = replace(scene, path=subject.path)
    image = to_pil(subject.pixels)
    return ReportEntry(subject.name, image, scene, draw_layers(scene, image), seconds, subject.ground_truth)


def to_pil(pixels: UInt8[Tensor, "3 H W"]) -> Image:
    """Convert an image to Pillow's type.

    Args:
        pixels: RGB pixels.

    Returns:
        The image.
    """
    from PIL import Image

    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def save(entry: ReportEntry, folder: Path) -> None:
    """Save NAME.json, the scene; NAME.png, a drawing of all values; NAME-LAYER.png, each layer alone
    in which something is drawn.

    NAME-image.png is the image itself where it comes from no file, so that the scene can be drawn again.
    NAME.graphml, the scene graph, if there are relations. NAME-VIEW.png, further views, such as
    NAME-birds-eye.png where there are 3D boxes; NAME.glb, its solids in metres, where there are meshes or 3D boxes.
    """
    import scenekit as sk
    from scenekit.graph.build import has_edges
    from scenekit.visualization import draw_views
    from scenekit.visualization.draw import base_image, is_blank
    from scenekit.visualization.export.mesh_scene import has_solids

    scene = entry.scene
    if scene.path is None:
        scene = replace(scene, path=str(folder / f"{entry.name}-image.png"))
        output.save_image(entry.image, folder / f"{entry.name}-image.png")
    scene.save(folder / f"{entry.name}.json")
    if has_edges(scene):
        scene_files.write_graph(scene, folder / f"{entry.name}.graphml")
    if has_solids(entry.scene):
        sk.save_mesh(entry.scene, folder / f"{entry.name}.glb")
    output.save_image(entry.scene.draw(entry.image), folder / f"{entry.name}.png")
    base = base_image(entry.scene, entry.image)
    layers = {name: drawn for name, drawn in entry.layers.items() if not is_blank(drawn, base)}
    for name, drawn in {**layers, **draw_views(entry.scene, beside=entry.ground_truth)}.items():
        output.save_image(drawn, folder / f"{entry.name}-{name}.png")


def print_summary(report: Path, entries: Sequence[ReportEntry], clip: DemoClip, as_json: bool) -> None:
    """Print the number of predicted objects, what happens in the clip, and the paths of what is to be looked at.

    Args:
        report: The report.
        entries: Its entries of images.
        clip: The clip.
        as_json: Whether to print JSON.
    """
    if as_json:
        images = [{"name": e.name, **counts(e.scene), "seconds": e.timings} for e in entries]
        files = list(map(str, clip.files))
        output.print_json({"report": str(report), "clip": files, "images": images, **clip.values()})
        return
    for entry in entries:
        predicted = ", ".join(f"{count} {what}" for what, count in counts(entry.scene).items())
        output.print_text(f"{entry.name}: {predicted} in {1000 * sum(entry.timings.values()):.0f} ms")
    if clip.whole is not None:
        print_clip(clip.whole, str(clip.files[0]))
    output.print_text(f"wrote {', '.join(map(str, [report, *clip.files]))}")


def counts(scene: Scene) -> dict[str, int]:
    """Count objects, regions of other streams and relations, by name.

    Args:
        scene: The scene.

    Returns:
        The counts.
    """
    import scenekit as sk
    from scenekit.graph.build import edge_counts

    regions = {stream.name: len(regions) for stream, regions in scene.streams.items()}
    return {sk.OBJECTS.name: len(scene.objects), **regions, **edge_counts(scene)}
