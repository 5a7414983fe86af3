"""`scenekit world`: scenes with poses merge into one map of objects."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from scenekit.cli import output
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.scene import Scene
    from scenekit.world import Changes, MapObject, World

MAP = "map"
"""The sub-command that runs where none is named."""


class MapByDefault(TyperGroup):
    """Commands of which one needs no name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command before arguments that begin with no other one."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named or not args else [MAP, *args])


app = typer.Typer(
    name="world",
    cls=MapByDefault,
    no_args_is_help=True,
    help="Merge scenes with poses into one map of objects, or compare two maps. `scenekit world SCENES` is"
    " `scenekit world map SCENES`.",
)


@app.command(MAP)
def build_map(
    scenes: Annotated[
        Path,
        typer.Argument(
            metavar="SCENES",
            help="Scenes, one in each line of JSON, as `scenekit predict clip.mp4 --json` writes them.",
        ),
    ],
    poses: Annotated[
        Path | None,
        typer.Option(
            "--poses",
            metavar="FILE",
            help="Poses of the camera, camera to world in metres: TUM (t x y z qx qy qz qw) or KITTI odometry (12"
            " numbers a line); without it those of the scenes.",
        ),
    ] = None,
    times: Annotated[
        Path | None,
        typer.Option("--times", metavar="FILE", help="Seconds of each line of --poses in KITTI's format, one a line."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the map here, for sk.World.load.")
    ] = None,
    glb: Annotated[
        Path | None, typer.Option("--glb", metavar="FILE", help="Write the objects in metres here, .glb or .obj.")
    ] = None,
    dsg: Annotated[
        Path | None, typer.Option("--dsg", metavar="FILE", help="Write Hydra's dynamic scene graph here, .json.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Draw the map from above here, .png.")
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option("--graph", metavar="FILE", help="Write objects and relations here, .graphml or .json."),
    ] = None,
    rerun: Annotated[
        Path | None,
        typer.Option(
            "--rerun", metavar="FILE", help="Write the map over time as a recording for rerun's viewer, .rrd."
        ),
    ] = None,
    up: Annotated[
        str, typer.Option("--up", metavar="X,Y,Z", help="Direction of up in the world of the poses.")
    ] = "0,0,1",
    tracked: Annotated[
        bool | None,
        typer.Option(
            "--tracked/--no-tracked",
            help="Whether equal ids of scenes are one object: by default where they are tracks, as `scenekit predict"
            " --track` writes them. --no-tracked is for scenes of several streams at one time; --tracked refuses scenes"
            " without tracks.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Smallest score of an object that is added.", min=0.0, max=1.0)
    ] = 0.0,
    confirm: Annotated[
        int, typer.Option("--confirm", metavar="N", min=1, help="Sightings from which on an object is confirmed.")
    ] = 3,
    meshes: Annotated[
        bool, typer.Option("--meshes", help="Keep the mesh of the best sighting of each object.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Merge scenes into one map: the objects that several of them show, where they are, and their relations."""
    check_targets(glb, dsg, image, graph, rerun)
    direction = direction_of(up)
    if times is not None and poses is None:
        raise InputError("--times is for the lines of --poses; name that file, too")
    import scenekit as sk

    trajectory = None if poses is None else sk.Poses.load(poses, times)
    options = {"up": direction, "tracked": tracked, "threshold": threshold, "confirm": confirm}
    world = sk.World.of(output.progress(read_scenes(scenes), "merging"), trajectory, keep_meshes=meshes, **options)
    for path, write in (
        (out, world.save),
        (glb, world.save_mesh),
        (dsg, world.save_dsg),
        (graph, lambda target: sk.save_graph(world.graph(), target)),
        (image, lambda target: output.save_image(world.draw(), target)),
        (rerun, world.save_recording),
    ):
        if path is not None:
            output.make_folder(path.parent)
            write(path)
    print_map(world, as_json)


@app.command("diff")
def diff(
    earlier: Annotated[Path, typer.Argument(metavar="EARLIER", help="The map of the earlier visit.")],
    later: Annotated[Path, typer.Argument(metavar="LATER", help="The map of the later visit, in the same world.")],
    moved: Annotated[
        float, typer.Option("--moved", metavar="METRES", help="Distance from which on an object has moved.")
    ] = 0.3,
    as_json: output.JsonOption = False,
) -> None:
    """Show what moved, appeared and vanished between two maps."""
    from scenekit.world import World

    changes = World.load(later).diff(World.load(earlier), moved)
    if as_json:
        output.print_json(changes.to_json())
    else:
        print_changes(changes)


def check_targets(
    glb: Path | None, dsg: Path | None, image: Path | None, graph: Path | None, rerun: Path | None
) -> None:
    """Check the names of files before anything is computed.

    Args:
        glb: File of meshes.
        dsg: File of Hydra's graph.
        image: File of the drawing.
        graph: File of the graph.
        rerun: File of the recording.

    Raises:
        InputError: If a suffix is unknown.
    """
    from scenekit.graph.export import format_of
    from scenekit.visualization.export.mesh_scene import check_suffix

    for option, path, suffix in (("--dsg", dsg, ".json"), ("--image", image, ".png"), ("--rerun", rerun, ".rrd")):
        if path is not None and path.suffix.lower() != suffix:
            raise InputError(f"{option}: {path}: expected a file name that ends in {suffix}")
    if glb is not None:
        check_suffix(glb)
    if graph is not None:
        format_of(graph)


def direction_of(text: str) -> tuple[float, ...]:
    """Parse the option --up.

    Args:
        text: Three numbers, separated by commas.

    Returns:
        The numbers.

    Raises:
        InputError: If it is something else.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--up: expected three numbers such as 0,0,1, got {text!r}") from None


def read_scenes(path: Path) -> Iterator[Scene]:
    """Read scenes: JSON objects in a line each, or one array of them. A last line that was cut off gets a note.

    Args:
        path: The file.

    Yields:
        The scenes.

    Raises:
        InputError: If the file cannot be read, or an entry is no scene; the message names it.
    """
    from dataclasses import replace

    from scenekit.io.files import located
    from scenekit.scene import Scene

    entries = list(entries_of(path))
    if not entries:
        raise InputError(f"{path}: expected a scene in each line, got none")
    for place, data in entries:
        try:
            scene = Scene.from_json(data if isinstance(data, dict) else {})
        except InputError as error:
            is_map = isinstance(data, dict) and "views" in data
            hint = "; this is a map: compare maps by `scenekit world diff`" if is_map else f": {error}"
            raise InputError(f"{path}: {place} is not a scene{hint}") from error
        yield replace(scene, path=located(scene.path, path))


def entries_of(path: Path) -> Iterator[tuple[str, Any]]:
    """Read the entries of an array of JSON, or of lines.

    Args:
        path: The file.

    Yields:
        (Where the entry is, the entry).

    Raises:
        InputError: If the file cannot be read, or is not valid JSON.
    """
    from scenekit.io.files import read_bytes
    from scenekit.io.json_lines import read_json_lines
    from scenekit.io.records import parse_json

    def note(number: int) -> None:
        output.print_note(f"{path}: line {number} was cut off and is left out, as where its program was killed")

    content = read_bytes(path)
    if content.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        yield from ((f"scene {number}", data) for number, data in enumerate(parse_json(content, path)))
    else:
        yield from ((f"line {number}", data) for number, data in read_json_lines(path, note))


def print_map(world: World, as_json: bool) -> None:
    """Print the confirmed objects.

    Args:
        world: The map.
        as_json: Whether to print JSON.
    """
    rows = world.table()
    if as_json:
        output.print_json({"objects": rows, "candidates": len(world.candidates), "scenes": len(world.views)})
        return
    title = f"{len(rows)} objects in {len(world.views)} scenes, {len(world.candidates)} unconfirmed"
    columns = ("#", "class", "score", "x, y, z in m", "w × h × l in m", "yaw in °", "sightings", "seen in s")
    cells = [
        (
            row["identity"],
            row["label"],
            f"{row['score']:.2f}",
            ", ".join(f"{value:.2f}" for value in row["position"]),
            " × ".join(f"{value:.2f}" for value in row["size"]),
            f"{row['yaw']:.0f}",
            row["sightings"],
            f"{row['first_seen']:.1f} to {row['last_seen']:.1f}",
        )
        for row in rows
    ]
    output.print_table(title, columns, cells)


def print_changes(changes: Changes) -> None:
    """Print a line per change.

    Args:
        changes: The changes.
    """

    def place(item: MapObject) -> str:
        return ", ".join(f"{value:.2f}" for value in item.position)

    rows: list[tuple[str, str, str, str, str]] = [
        (
            "moved",
            change.after.label,
            place(change.before),
            place(change.after),
            f"{change.distance:.2f}",
        )
        for change in changes.moved
    ]
    rows += [("appeared", item.label, "", place(item), "") for item in changes.appeared]
    rows += [("vanished", item.label, place(item), "", "") for item in changes.vanished]
    output.print_table(
        f"{len(rows)} changes, {len(changes.same)} objects where they were",
        ("change", "class", "before, in m", "after, in m", "distance in m"),
        rows,
    )
    for count, text in (
        (len(changes.not_viewed), "of the earlier map were not in view later"),
        (len(changes.first_viewed), "of the later map were not in view before"),
    ):
        if count:
            output.print_text(f"{count} {text}: unknown")
