"""`scenekit demo`: joint inference, shown in a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenekit.cli import output
from scenekit.cli.predict import check_files, unique_stems

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL.Image import Image
    from torch import Tensor

    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.visualization import ReportEntry


@dataclass(frozen=True)
class Subject:
    """An image to show: its `name`, RGB `pixels` [3 H W], and its file or its ground truth where there is one."""

    name: str
    pixels: UInt8[Tensor, "3 H W"]
    path: str | None = None
    truth: Scene | None = None


def demo(
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="FILE", help="Your own image instead of synthetic scenes; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write.")] = Path("demo"),
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="How many synthetic scenes.")] = 4,
    model: output.ModelOption = "small",
    threshold: output.ThresholdOption = 0.5,
    device: output.DeviceOption = "auto",
    as_json: output.JsonOption = False,
) -> None:
    """Run every task on held-out synthetic scenes, or on your images, and write a report in one HTML file."""
    check_files(image or ())
    import scenekit as sk
    from scenekit.cli.device import device_named
    from scenekit.visualization import write_report

    network = sk.load(model).to(device_named(device))
    subjects = list(own_images(image) if image else synthetic_scenes(count))
    output.made_folder(out)
    run(network, subjects[0], threshold)  # the first pass of all is slower; it is not the one that is timed
    entries = [entry_of(network, subject, threshold) for subject in output.progress(subjects, "looking", len(subjects))]
    for entry in entries:
        save(entry, out)
    report = out / "report.html"
    facts = {"model": model, "tasks": network.tasks, "device": network.device.type, "threshold": threshold}
    write_report(report, entries, title="What scenekit sees", model_info=facts)
    tell(report, entries, as_json)


def own_images(names: Sequence[str]) -> Iterator[Subject]:
    """The user's files."""
    from scenekit.io.images import read_image, rounded

    for name, stem in zip(names, unique_stems(names), strict=True):
        yield Subject(stem, rounded(read_image(name)), path=name)


def synthetic_scenes(count: int) -> Iterator[Subject]:
    """The first scenes of the test split, which no training has seen."""
    import scenekit as sk

    samples = sk.dataset("synthetic", split="test")
    for index in output.progress(range(min(count, len(samples))), "drawing scenes"):
        sample = samples[index]
        yield Subject(f"scene-{index}", sample.image, truth=sample.scene)


def run(network: SceneModel, subject: Subject, threshold: float) -> tuple[Scene, dict[str, float]]:
    """All tasks in one pass, with the camera of the ground truth: the scene, and the seconds that each step took."""
    import torch

    from scenekit.model.timing import StepTimer

    timer = StepTimer(network.device)
    with torch.inference_mode():
        with timer.step("preprocess"):
            camera = None if subject.truth is None else subject.truth.camera
            batch = network.preprocess([subject.pixels], [camera])
        outputs = network(batch, threshold=threshold)
        with timer.step("finish"):
            (scene,) = network.scenes(outputs, threshold=threshold)
    around = timer.seconds
    return scene, {"preprocess": around["preprocess"], **outputs.seconds, "finish": around["finish"]}


def entry_of(network: SceneModel, subject: Subject, threshold: float) -> ReportEntry:
    """What the model sees in an image, with all layers drawn."""
    from scenekit.visualization import ReportEntry, draw_layers

    scene, seconds = run(network, subject, threshold)
    scene = replace(scene, path=subject.path)
    picture = to_pil(subject.pixels)
    return ReportEntry(subject.name, picture, scene, draw_layers(scene, picture), seconds, subject.truth)


def to_pil(pixels: UInt8[Tensor, "3 H W"]) -> Image:
    """The image as Pillow has it."""
    from PIL import Image

    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def save(entry: ReportEntry, folder: Path) -> None:
    """NAME.json, the scene; NAME.png, everything drawn over each other; NAME-LAYER.png, each layer alone.

    NAME.graphml, the scene graph, where relations were looked for. NAME-VIEW.png, further views, such as
    NAME-birds-eye.png where there are 3D boxes; NAME.glb, its solids in metres, where there are meshes or 3D boxes.
    """
    import scenekit as sk
    from scenekit.graph.build import has_edges
    from scenekit.visualization import draw_views
    from scenekit.visualization.export.mesh_scene import has_solids

    entry.scene.save(folder / f"{entry.name}.json")
    if has_edges(entry.scene):
        sk.save_graph(entry.scene.graph(), folder / f"{entry.name}.graphml")
    if has_solids(entry.scene):
        sk.save_mesh(entry.scene, folder / f"{entry.name}.glb")
    output.save_image(entry.scene.draw(entry.image), folder / f"{entry.name}.png")
    for name, drawn in {**entry.layers, **draw_views(entry.scene)}.items():
        output.save_image(drawn, folder / f"{entry.name}-{name}.png")


def tell(report: Path, entries: Sequence[ReportEntry], as_json: bool) -> None:
    """Say what was found and where to look."""
    if as_json:
        pictures = [{"name": e.name, **counts(e.scene), "seconds": e.timings} for e in entries]
        output.print_json({"report": str(report), "images": pictures})
        return
    for entry in entries:
        found = ", ".join(f"{count} {what}" for what, count in counts(entry.scene).items())
        print(f"{entry.name}: {found} in {1000 * sum(entry.timings.values()):.0f} ms")
    print(f"wrote {report}")


def counts(scene: Scene) -> dict[str, int]:
    """How many objects, regions of other streams and relations there are, by name."""
    import scenekit as sk
    from scenekit.graph.build import edge_counts

    regions = {stream.name: len(regions) for stream, regions in scene.streams.items()}
    return {sk.OBJECTS.name: len(scene.objects), **regions, **edge_counts(scene)}
