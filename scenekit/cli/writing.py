"""What `scenekit predict` and `scenekit demo` write of a scene, and which names of files they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scenekit.cli import output
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.scene import Scene
    from scenekit.visualization import Recording


@dataclass(frozen=True)
class Files:
    """Where to write what of each image; what is None is not written.

    `folder` gets drawings and scenes, `graph` and `mesh` are a file for one image or a folder for several; a graph
    keeps the best `relations`; `recording` gets all images.
    """

    folder: Path | None = None
    graph: Path | None = None
    relations: int | None = None
    mesh: Path | None = None
    recording: Recording | None = None

    def write(self, scene: Scene, stem: str) -> None:
        """Write what was asked for of one image; `stem` names its files in folders."""
        if self.folder is not None:
            save(scene, self.folder / stem)
        if self.graph is not None:
            write_graph(scene, one_of(self.graph, f"{stem}.graphml"), self.relations)
        if self.mesh is not None:
            write_mesh(scene, one_of(self.mesh, f"{stem}.glb"))
        if self.recording is not None:
            self.recording.add(scene)


def one_of(target: Path, name: str) -> Path:
    """The file for one image: in the folder, if the target is one."""
    return target / name if target.is_dir() else target


def check_target(option: str, target: Path | None, images: int, check: Callable[[Path], object]) -> None:
    """Refuse a file name that `check` refuses, and one file for several images; make the folder that is missing."""
    if target is None or target.is_dir():
        return
    if images > 1 and target.suffix:
        raise InputError(f"{option} names one file for {images} images; name a folder, and each gets its file there")
    if images == 1:
        check(target)
    output.made_folder(target if images > 1 else target.parent)


def graph_format(target: Path) -> object:
    """Refuse what is no name of a graph's file."""
    from scenekit.graph.export import format_of

    return format_of(target)


def mesh_format(target: Path) -> object:
    """Refuse what is no name of a file of solids."""
    from scenekit.visualization.export.mesh_scene import writer_of

    return writer_of(target)


@contextmanager
def recording_at(target: Path | None) -> Iterator[Recording | None]:
    """The recording to add images to, if one is wanted."""
    if target is None:
        yield None
        return
    from scenekit.visualization import recording

    output.made_folder(target.parent)
    with recording(target) as written:
        yield written


def write_graph(scene: Scene, target: Path, relations: int | None) -> None:
    """Write the scene graph with its best `relations`."""
    import scenekit as sk
    from scenekit.graph.build import has_edges

    if not has_edges(scene):
        output.remark(f"{scene.path}: no task looked for relations; {target} has the objects alone")
    sk.save_graph(scene.graph(top=relations), target)


def write_mesh(scene: Scene, target: Path) -> None:
    """Write the solids in metres."""
    import scenekit as sk

    sk.save_mesh(scene, target)
    if scene.camera is None or scene.camera.assumed:
        output.remark(f"{scene.path}: the camera is not known, so that the metres in {target} are a guess")


def save(scene: Scene, target: Path) -> None:
    """Write `target`.json and `target`.png, a `target`-TASK.png for each task that wants an image of its own and is
    not in that, and a `target`-VIEW.png for each further view, such as `target`-birds-eye.png where there are 3D boxes.
    """
    from scenekit.visualization import draw_layers, draw_views
    from scenekit.visualization.draw import layers_apart

    scene.save(target.with_name(f"{target.name}.json"))
    output.save_image(scene.draw(), target.with_name(f"{target.name}.png"))
    for name, image in {**draw_layers(scene, layers=layers_apart(scene)), **draw_views(scene)}.items():
        output.save_image(image, target.with_name(f"{target.name}-{name}.png"))
