"""Scenes as a recording for rerun's viewer (rerun.io): images with their values, and the same in three dimensions.

It needs the package `rerun-sdk`, which the extra `viz` brings. Letters: N objects, H W pixels of the scene.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from scenekit.errors import InputError
from scenekit.io.files import drafted
from scenekit.io.images import ImageSource
from scenekit.scene import Scene
from scenekit.visualization.camera_view import camera_of
from scenekit.visualization.draw import image_of, object_colors, object_texts, tasks_in
from scenekit.visualization.export.mesh_scene import object_name, solids

SUFFIX = ".rrd"

WORLD = "world"
CAMERA = f"{WORLD}/camera"
IMAGE = f"{CAMERA}/image"
SOLIDS = f"{WORLD}/meshes"
"""Paths in the recording: what is in metres lies under the world, what is in pixels under the image of the camera."""

TIMELINE = "image"
"""Counts the images of a recording from 0."""

JPEG_QUALITY = 95


@contextmanager
def recording(path: str | Path, origin: str = WORLD) -> Iterator[Recording]:
    """Open a recording for rerun's viewer; the file is complete once the block ends, or as it was before.

    Args:
        path: The file, with the suffix .rrd.
        origin: The path whose frame the view in space has: that of the camera, or "/" for a world in which it moves.

    Yields:
        The recording, to which images are added.

    Raises:
        InputError: The suffix is another one, or the package rerun-sdk is absent.
    """
    rr = imported()
    if Path(path).suffix.lower() != SUFFIX:
        raise InputError(f"{path}: expected a file name that ends in {SUFFIX}")
    with drafted(path) as draft:
        draft.touch()  # rerun itself would only log that it cannot write
        stream = rr.RecordingStream("scenekit")
        stream.set_log_time_enabled(False)
        stream.set_log_tick_enabled(False)
        stream.save(draft, default_blueprint=blueprint(rr, origin))
        stream.log(WORLD, rr.ViewCoordinates.RDF, static=True)
        yield Recording(rr, stream)
        stream.flush()
        stream.disconnect()


class Recording:
    """A recording that is being written; see `recording`. It holds, for each image on the timeline `image`:

    * `world/camera`: the pinhole camera; frame: x right, y down, z forward, metres;
    * `world/camera/image`: the image; below it `boxes` with labels, and `masks`, row + 1 at each pixel, 0 elsewhere;
    * `world/boxes3d`: the 3D boxes with labels and distances; half sizes are length, height, width, as the object's x,
      y and z axes are;
    * `world/meshes/LABEL_ROW`: a mesh each;
    * `name`: the file of the image, where there is one, and whether its camera is assumed.

    Invalid boxes and meshes that are not finite are left out, as in `save_mesh`.

    Args:
        rr: The package rerun.
        stream: Its RecordingStream.
    """

    def __init__(self, rr: ModuleType, stream: Any) -> None:
        self.rerun, self.stream = rr, stream
        self.count = 0

    def add(self, scene: Scene, image: ImageSource | None = None) -> None:
        """Add the next image.

        Args:
            scene: Its scene.
            image: The image, for a scene without a `path` that can be read.

        Raises:
            InputError: There is no image.
        """
        pixels = image_of(scene, image).permute(1, 2, 0).numpy()
        self.stream.set_time(TIMELINE, sequence=self.count)
        self.count += 1
        self._add_image(scene, pixels)
        self._add_values(scene)

    def _add_image(self, scene: Scene, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Log the image and what is in its pixels."""
        rr, camera = self.rerun, camera_of(scene)
        matrix, (height, width) = camera.matrix.numpy(), scene.size
        lens = rr.Pinhole(image_from_camera=matrix, width=width, height=height, camera_xyz=rr.ViewCoordinates.RDF)
        note = "camera assumed" if camera.assumed else "camera known"
        self.stream.log("name", rr.TextDocument(f"{scene.path or f'image {self.count - 1}'} ({note})"))
        self.stream.log(CAMERA, lens)
        self.stream.log(IMAGE, rr.Image(pixels).compress(jpeg_quality=JPEG_QUALITY))
        boxes = {"array": scene.objects.boxes.numpy(), "array_format": rr.Box2DFormat.XYXY}
        look = {"colors": object_colors(scene), "labels": object_texts(scene)}
        self.stream.log(f"{IMAGE}/boxes", rr.Boxes2D(**boxes, **look))

    def _add_values(self, scene: Scene) -> None:
        """Log what tasks record of their own, then the solids."""
        rr = self.rerun
        for spec in tasks_in(scene):
            for path, shown in ({} if spec.record is None else spec.record(scene)).items():
                self.stream.log(path, *shown)
        self.stream.log(SOLIDS, rr.Clear(recursive=True))  # those of the image before
        for row, mesh in solids(scene, stand_ins=False):
            solid = rr.Mesh3D(
                vertex_positions=mesh.vertices.astype(np.float32),
                triangle_indices=mesh.faces.astype(np.uint32),
                vertex_normals=mesh.vertex_normals.astype(np.float32),
                albedo_factor=object_colors(scene)[row],
            )
            self.stream.log(f"{SOLIDS}/{object_name(scene, row)}", solid)


def imported() -> ModuleType:
    """Import the package; InputError with the command that installs it where it is absent."""
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise InputError("recordings need the package rerun-sdk: pip install 'scenekit[viz]'") from error


def blueprint(rr: ModuleType, origin: str = WORLD) -> Any:
    """Return a layout with both views beside each other."""
    views = rr.blueprint
    space, image = views.Spatial3DView(origin=origin, name="space"), views.Spatial2DView(origin=IMAGE, name="image")
    return views.Blueprint(views.Horizontal(space, image), collapse_panels=True)
