"""Files that `scenekit predict` and `scenekit demo` write of a scene, and checks of their names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scenekit.cli import output
from scenekit.errors import InputError
from scenekit.io.files import portable

if TYPE_CHECKING:
    from scenekit.evaluation.results import ResultsWriter
    from scenekit.scene import Scene
    from scenekit.visualization import Recording


@dataclass(frozen=True)
class Files:
    """Files to write of each image; what is None is not written."""

    folder: Path | None = None
    """Folder of drawings and scenes."""
    graph: Path | None = None
    """File of the scene graph for one image, or a folder for several."""
    relations: int | None = None
    """Number of the best relations that a graph keeps; all if None."""
    all_relations: bool = False
    """Whether a graph keeps every scored relation, not just the best of each pair that is likely related."""
    mesh: Path | None = None
    """File of the meshes for one image, or a folder for several."""
    recording: Recording | None = None
    """Recording of all images."""
    results: ResultsWriter | None = None
    """Writes results in the format of a benchmark."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Ids of the images in results."""

    def write(self, scene: Scene, stem: str) -> None:
        """Write the files of one image.

        Args:
            scene: The scene.
            stem: Name of its files in folders, without suffix.
        """
        if self.folder is not None:
            save(scene, self.folder / stem)
        if self.graph is not None:
            write_graph(scene, one_of(self.graph, f"{stem}.graphml"), self.relations, self.all_relations)
        if self.mesh is not None:
            write_mesh(scene, one_of(self.mesh, f"{stem}.glb"))
        if self.recording is not None:
            self.recording.add(scene)
        if self.results is not None:
            self.results.add(scene, next(self.numbers), stem)

    def finish(self) -> None:
        """Write what belongs to all images."""
        if self.results is not None:
            output.print_note(f"wrote {', '.join(map(str, self.results.finish()))}")


def one_of(target: Path, name: str) -> Path:
    """Return the file of one image.

    Args:
        target: A file, or a folder.
        name: Name of the file in the folder.

    Returns:
        The file.
    """
    return target / name if os.path.isdir(target) else target


def check_target(option: str, target: Path | None, images: int, check: Callable[[Path], object]) -> None:
    """Check an option that names a file or folder; create a missing folder.

    Args:
        option: Name of the option.
        target: The file or folder; None if the option is not set.
        images: Number of images.
        check: Raises InputError for the name of a file that cannot be written.

    Raises:
        InputError: If one file is named for several images, or `check` refuses it.
    """
    if target is None or os.path.isdir(target):
        return
    if images > 1 and target.suffix:
        raise InputError(f"{option} names one file for {images} images; name a folder, which gets a file of each")
    if images == 1:
        check(target)
    output.make_folder(target if images > 1 else target.parent)


def graph_format(target: Path) -> object:
    """Check the name of a graph's file.

    Args:
        target: The file.

    Returns:
        Its format.

    Raises:
        InputError: If the suffix is unknown.
    """
    from scenekit.graph.export import format_of

    return format_of(target)


def mesh_format(target: Path) -> object:
    """Check the name of a file of meshes.

    Args:
        target: The file.

    Returns:
        Its format.

    Raises:
        InputError: If the suffix is unknown.
    """
    from scenekit.visualization.export.mesh_scene import writer_of

    return writer_of(target)


@contextmanager
def recording_at(target: Path | None) -> Iterator[Recording | None]:
    """Provide a recording to which images are added.

    Args:
        target: Path of the recording; None for none.

    Yields:
        The recording, if any.
    """
    if target is None:
        yield None
        return
    from scenekit.visualization import recording

    output.make_folder(target.parent)
    with recording(target) as written:
        yield written


def write_graph(scene: Scene, target: Path, relations: int | None = None, all_relations: bool = False) -> None:
    """Write the scene graph.

    Args:
        scene: The scene.
        target: Path of the file.
        relations: Number of the best relations to keep; all if None.
        all_relations: Whether to keep every scored relation, not just the best of each pair that is likely related.
    """
    import scenekit as sk
    from scenekit.graph.build import has_edges

    if not has_edges(scene):
        output.print_note(f"{scene.path}: the model has no task for relations; {target} has the objects only")
    scene = replace(scene, path=portable(scene.path, target))
    per_pair = None if all_relations else 1
    sk.save_graph(scene.graph(top=relations, per_pair=per_pair, likely=not all_relations), target)


def write_mesh(scene: Scene, target: Path) -> None:
    """Write meshes, or else 3D boxes, in metres.

    Args:
        scene: The scene.
        target: Path of the file.
    """
    import scenekit as sk

    sk.save_mesh(scene, target)
    if scene.camera is None or scene.camera.assumed:
        output.print_note(f"{scene.path}: the camera is unknown, so that metres in {target} rely on an assumed one")


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
