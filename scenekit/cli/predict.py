"""`scenekit predict`: run tasks on images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import bag_streams, output, predict_live, predict_stream, scene_files
from scenekit.cli.evaluate import parsed_options
from scenekit.cli.image_inputs import check_images, check_proposals, pinhole, regions_from, unique_stems
from scenekit.cli.main import USER_ERROR
from scenekit.cli.modality_files import Inputs, camera_from, inputs_from
from scenekit.cli.stream_command import StreamCommand, loaded
from scenekit.cli.stream_sinks import Targets
from scenekit.cli.stream_sources import Selection, kind_of, video_kind
from scenekit.cli.stream_tracking import SmoothOption, Tracking, TrackOption, TrackSetOption, is_tracker_name
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.evaluation.results import ResultsWriter
    from scenekit.scene import Scene
    from scenekit.structures.cameras import Camera


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|VIDEO|BAG...",
            help="Image files; or videos: files, camera 0, rtsp://...; or bags of ROS 2: .mcap files, folders.",
            show_default=False,
        ),
    ],
    model: output.ModelOption = "small",
    tasks: output.TasksOption = None,
    threshold: output.ThresholdOption = 0.5,
    device: output.DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write drawings and a JSON file per image here; of videos and bags a drawn video and JSON lines. Or a"
            " .mp4 or .mcap for one of them.",
        ),
    ] = None,
    start: Annotated[
        float | None, typer.Option("--start", metavar="SECONDS", min=0.0, help="Begin a video here.")
    ] = None,
    stop: Annotated[float | None, typer.Option("--stop", metavar="SECONDS", min=0.0, help="End a video here.")] = None,
    every: Annotated[int, typer.Option("--every", metavar="N", min=1, help="Only every n-th frame of a video.")] = 1,
    track: TrackOption = None,
    track_options: TrackSetOption = None,
    smooth: SmoothOption = None,
    budget: predict_live.BudgetOption = None,
    rates: predict_live.RatesOption = None,
    as_live: predict_live.LiveOption = False,
    stats: predict_live.StatsOption = None,
    results: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="coco|kitti|omni3d",
            help="Write the results of that benchmark into the folder of --out instead: COCO results (boxes, masks, "
            "keypoints, panoptic), KITTI label files, Omni3D results; image_info.json lists the ids.",
        ),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            "--graph",
            metavar="FILE",
            help="Write the scene graph here, .graphml or .json; of several images a .graphml each in this folder.",
        ),
    ] = None,
    relations: Annotated[
        int | None, typer.Option("--relations", metavar="N", min=0, help="Only the N best relations in the graph.")
    ] = None,
    all_relations: Annotated[
        bool,
        typer.Option(
            "--all-relations",
            help="All scored relations in the graph, not just the best of each pair that is likely related.",
        ),
    ] = False,
    mesh: Annotated[
        Path | None,
        typer.Option(
            "--mesh",
            metavar="FILE",
            help="Write meshes, or else 3D boxes, in metres here, .glb or .obj; of several images a .glb each in this"
            " folder.",
        ),
    ] = None,
    rerun: Annotated[
        Path | None,
        typer.Option("--rerun", metavar="FILE", help="Write all images as one recording for rerun's viewer, .rrd."),
    ] = None,
    across_classes: Annotated[
        float | None,
        typer.Option(
            "--across-classes",
            metavar="IOU",
            min=0.0,
            max=1.0,
            help="Of objects of two classes that overlap by more than this, such as 0.7, keep the better one.",
        ),
    ] = None,
    given: Annotated[
        Path | None,
        typer.Option(
            "--given",
            metavar="FOLDER",
            help="Run tasks on the objects of the scene files in this folder, named as by --out, without detection.",
        ),
    ] = None,
    proposals: Annotated[
        Path | None,
        typer.Option(
            "--proposals",
            metavar="FILE",
            help="Classify the boxes of this file, as `scenekit proposals --file-names` writes it, in place of the"
            " model's own proposals.",
        ),
    ] = None,
    focal: Annotated[
        float | None,
        typer.Option(
            "--focal",
            metavar="PIXELS",
            help="Focal length of the camera, in pixels of the images; without it metres rely on an assumed one.",
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", metavar="FX,FY,CX,CY", help="The camera of all images, in their pixels."),
    ] = None,
    depth: Annotated[
        Path | None,
        typer.Option(
            "--depth",
            metavar="FILE",
            help="Depth aligned with the image: PNG or TIFF of 16 bits, or .npy; of several images a folder of files "
            "called alike.",
        ),
    ] = None,
    depth_scale: Annotated[
        float | None,
        typer.Option("--depth-scale", metavar="METRES", help="Metres in a unit of --depth: 0.001 for millimetres."),
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="What else the image comes with, by its modality, or an option of it: points=scan.bin,"
            " points_to_camera=[[...], ...]; `scenekit plugins` lists modalities. Repeatable.",
        ),
    ] = None,
    topic: bag_streams.TopicOption = None,
    depth_topic: bag_streams.DepthTopicOption = None,
    points_topic: bag_streams.PointsTopicOption = None,
    info_topic: bag_streams.InfoTopicOption = None,
    world_frame: bag_streams.WorldFrameOption = None,
    distro: bag_streams.DistroOption = "jazzy",
    as_json: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="Print the result as JSON on standard output; of videos one scene a line, or into this .jsonl.",
        ),
    ] = None,
) -> None:
    """Run all tasks, or the named ones, on images or the frames of videos, in one pass each.

    Tasks of whole clips, such as events, run on files of videos where --tasks names them.
    An image that cannot be read gives one line on standard error and the exit status 2; the others are processed.
    """
    wanted, known_camera = output.task_names(tasks), camera_from(camera, focal)
    stems = unique_stems(images)
    for_images = {
        "--format": results, "--graph": graph, "--relations": relations, "--all-relations": all_relations,
        "--mesh": mesh, "--rerun": rerun, "--given": given, "--proposals": proposals,
        "--depth": depth, "--depth-scale": depth_scale, "--input": further or None,
    }  # fmt: skip
    live = predict_live.LiveOptions(budget, rates, as_live, stats)
    live.check()
    of_bags = bag_streams.BagOptions(topic, depth_topic, points_topic, info_topic, world_frame)
    if (kind := kind_of(images, (of_bags.kind(), video_kind()))) is not None:
        predict_stream.refuse(for_images, "images", kind.name)
        predict_stream.refuse({} if kind.name == "bags" else of_bags.named(), "bags", kind.name)
        targets = Targets.of(out, as_json, bag_streams.files(out, distro, threshold))
        tracking = Tracking.of(track, smooth, track_options or ())
        load = partial(loaded, model, across_classes, device)
        command = StreamCommand(targets, live, tracking, load, wanted, threshold, known_camera)
        command.run(kind, images, stems, Selection(start, stop, every))
        return
    of_tracks = {"--track": track, "--track-set": track_options, "--smooth": smooth}
    of_videos = {"--start": start, "--stop": stop, **of_tracks, **live.named()}
    predict_stream.refuse_for_images(of_videos, of_bags.named(), every, as_json)
    check_images(images, stems, given, proposals)
    regions = regions_from(given, proposals, images)
    named_inputs = {"depth": depth, "depth_scale": depth_scale, **parsed_options(further or (), "--input")}
    inputs = inputs_from(named_inputs, images)
    scene_files.check_target("--graph", graph, len(images), scene_files.graph_format)
    scene_files.check_target("--mesh", mesh, len(images), scene_files.mesh_format)
    writer = results_at(results, out)
    with scene_files.recording_at(rerun) as recording:
        network = loaded(model, across_classes, device)
        folder = None if out is None or writer is not None else output.make_folder(out)
        files = scene_files.Files(folder, graph, relations, all_relations, mesh, recording, writer)
        check_proposals(network, proposals)
        run = partial(network.predict, tasks=wanted, threshold=threshold, budget=budget)
        predict = partial(scene_of, run, regions, inputs, known_camera)
        predict_all(list(zip(images, stems, strict=True)), predict, files, as_json is not None)


predict.optional_values = {  # type: ignore[attr-defined]
    "--json": (".json", ".jsonl", ".ndjson"),
    "--stats": (".json",),
    "--track": is_tracker_name,
}


def results_at(format: str | None, folder: Path | None) -> ResultsWriter | None:
    """Return what writes results in the format of a benchmark.

    Args:
        format: The format that --format names; None for none.
        folder: The folder that --out names.

    Returns:
        The writer, if any.

    Raises:
        InputError: There is no such format, or no folder.
    """
    if format is None:
        return None
    if folder is None:
        raise InputError(f"--format {format} needs a folder to write to: --out FOLDER")
    from scenekit.evaluation.results import results_writer

    return results_writer(format, folder)


def predict_all(
    named: list[tuple[str, str]], predict: Callable[[str, str], Scene], files: scene_files.Files, as_json: bool
) -> None:
    """Predict, write and print the scenes of all images.

    Args:
        named: (path of the image, stem of its files).
        predict: Predicts the scene of an image by its path and the stem of its files.
        files: Writes the files of a scene.
        as_json: Whether to print JSON.

    Raises:
        Exit: Some images cannot be read; the others are done.
    """
    unreadable: list[str] = []
    print_scenes(predicted(output.progress(named, "predicting"), predict, unreadable, files.write), as_json)
    files.finish()
    if unreadable:
        raise typer.Exit(USER_ERROR)


def print_scenes(scenes: Iterable[Scene], as_json: bool) -> None:
    """Print each scene as soon as it is predicted, or a table of all of them.

    Args:
        scenes: The scenes.
        as_json: Whether to print JSON.
    """
    if as_json:
        output.print_json_array(scene.to_json() for scene in scenes)
    elif rows := [summary(scene) for scene in scenes]:
        output.print_table("", ("image", "objects", "also"), rows)


def predicted(
    named: Iterable[tuple[str, str]],
    predict: Callable[[str, str], Scene],
    unreadable: list[str],
    write: Callable[[Scene, str], None],
) -> Iterator[Scene]:
    """Predict and write the scene of each image; one at a time is held.

    Args:
        named: (path of the image, stem of its files).
        predict: Predicts the scene of an image by its path and the stem of its files.
        unreadable: Gets the paths of images that cannot be read, which are reported and skipped.
        write: Writes the files of a scene.

    Yields:
        The scenes.
    """
    for name, stem in named:
        try:
            scene = predict(name, stem)
        except InputError as error:
            if is_readable(name):
                raise
            output.print_error(error)
            unreadable.append(name)
            continue
        write(scene, stem)
        yield scene


def is_readable(name: str) -> bool:
    """Return whether an image can be read."""
    from scenekit.io.images import read_image

    try:
        read_image(name)
    except InputError:
        return False
    return True


def scene_of(
    predict: Callable[..., Scene],
    regions: Callable[[str, str], Any],
    inputs: Inputs,
    camera: float | Camera | None,
    name: str,
    stem: str,
) -> Scene:
    """Predict the scene of an image, by its path, by which a model may look up proposals of a file.

    Args:
        predict: `SceneModel.predict` with tasks and threshold.
        regions: See `regions_from`.
        inputs: See `inputs_from`.
        camera: Its camera, or the focal length in pixels of one that looks along its center; None without one.
        name: Path of the image.
        stem: Name of the scene file, without suffix.

    Returns:
        The scene.
    """
    from scenekit.io.images import image_size

    if isinstance(camera, float):
        camera = pinhole(camera, *image_size(Path(name)))
    return predict(name, given=regions(name, stem), camera=camera, **inputs(name))


def summary(scene: Scene) -> tuple[Any, ...]:
    """Return a row of text: the image, its number of objects by class, and its other keys with what their fields show.

    Args:
        scene: The scene.

    Returns:
        The cells of the row.
    """
    objects = ", ".join(f"{count} {name}" for name, count in scene.counts().items()) or "none"
    shown = {key.name: key.field.summary(value, scene.frame(key)) for key, value in scene.values.items()}
    return scene.path, objects, ", ".join(f"{name}: {text}" if text else name for name, text in sorted(shown.items()))
