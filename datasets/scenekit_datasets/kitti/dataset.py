"""KITTI's folders as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.keys import BOXES3D, DEPTH, OBJECTS, OCCLUSION, TRUNCATION, Key
from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.file_dataset import FileDataset, exhaustive
from scenekit_datasets.kitti.calibration import Calibration, read_calibration
from scenekit_datasets.kitti.labels import Rules, read_labels
from scenekit_datasets.kitti.layout import SCANS, Image
from scenekit_datasets.kitti.scans import depth_of, read_scan
from scenekit_datasets.roots import Exif, Faulty, report

KEYS: tuple[Key[Any, Any], ...] = (BOXES3D, TRUNCATION, OCCLUSION, DEPTH)
"""Labels of the files beside objects."""


class Kitti(FileDataset):
    """Images with their calibration and, where they exist, labels and laser scans.

    Args:
        images: Files of the images.
        rules: Classes to learn and objects to ignore.
        keys: Labels to load beside objects.
        drop_empty: Whether to skip images without an object of the classes.
        faulty: Whether to refuse faulty entries or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(
        self,
        images: Sequence[Image],
        rules: Rules,
        *,
        keys: Collection[Key[Any, Any]] = KEYS,
        drop_empty: bool = False,
        faulty: Faulty = "refuse",
        exif: Exif = "apply",
    ) -> None:
        super().__init__(faulty, exif)
        self.rules, self.keys = rules, frozenset(keys)
        self.vocabulary = Vocabulary(rules.classes.things)
        self.images = [files for files in images if not drop_empty or self._has_objects(files)]
        if not self.images:
            raise InputError(f"none of {len(images)} images has an object of {', '.join(rules.classes.things)}")
        numbered = all(files.id is not None for files in self.images)
        self.ids = [files.id if numbered else n for n, files in enumerate(self.images)]
        if faulty == "refuse":
            report(list(self._issues()), faulty)

    def __len__(self) -> int:
        return len(self.images)

    def _sample(self, index: int) -> Sample:
        files = self.images[index]
        image = self._image(files.image)
        scene = self._scene(files, (int(image.shape[1]), int(image.shape[2])))
        id = self.ids[index]
        assert id is not None
        return Sample(image, scene, exhaustive(scene), id)

    def _scene(self, files: Image, size: Size) -> Scene:
        calibration = read_calibration(files.calibration)
        try:
            calibration.camera.check(size)
        except InputError as error:
            raise InputError(f"{files.calibration}: P2: {error}") from None
        scene = Scene(size, self.vocabulary, camera=calibration.camera, path=str(files.image))
        if files.labels is not None:
            labels = read_labels(files.labels, self.rules, calibration.shift)
            report(labels.issues, self.faulty)
            values = {key: value for key, value in labels.values.items() if key in self.keys}
            valid = {key: rows for key, rows in labels.valid.items() if key in self.keys}
            scene = replace(scene, streams={OBJECTS: labels.objects}, values=values, valid=valid)
        depth = self._depth(files, calibration, size)
        return scene if depth is None else replace(scene, values={**scene.values, DEPTH: depth})

    def _depth(self, files: Image, calibration: Calibration, size: Size) -> Float[Tensor, "H W"] | None:
        """Return the depth map; None where there is no scan, or no usable one."""
        if DEPTH not in self.keys or files.scan is None:
            return None
        try:
            if calibration.scanner is None:
                raise InputError(f"{files.calibration} has no line 'Tr_velo_to_cam', which {files.scan} needs")
            points = read_scan(files.scan)
        except InputError as error:
            report([str(error)], self.faulty)
            return None
        depth = depth_of(points, calibration.scanner, calibration.camera, size)
        if bool(depth.isnan().all()):
            report([_unseen(files.scan, len(points))], self.faulty)
            return None
        return depth

    def _issues(self) -> Iterator[str]:
        """Yield the issues of all text files."""
        for files in self.images:
            try:
                calibration = read_calibration(files.calibration)
                yield from (
                    () if files.labels is None else read_labels(files.labels, self.rules, calibration.shift).issues
                )
            except InputError as error:
                yield str(error)

    def _has_objects(self, files: Image) -> bool:
        if files.labels is None:
            return False
        names = _names(files.labels)
        return any(name in self.rules.classes.labels for name in names)


def require_scans(images: Sequence[Image], keys: Collection[Key[Any, Any]]) -> None:
    """Check that images have scans where depth is requested.

    Args:
        images: Files of the images.
        keys: Requested labels.

    Raises:
        InputError: If depth is requested, and no image has a scan.
    """
    if DEPTH in keys and not any(files.scan for files in images):
        folder = images[0].image.parent.parent / SCANS
        raise InputError(f"keys names {DEPTH.name!r}, but {folder} has no scan, such as {images[0].name}.bin")


def _names(path: Path) -> list[str]:
    """Return the classes of a text file, in lower case."""
    return [words[0].lower() for line in read_text(path).splitlines() if (words := line.split())]


def _unseen(scan: Path, count: int) -> str:
    return (
        f"{scan}: none of its {count:,} points is in view of the camera, so that the image has no depth; check that"
        " scan and calibration belong together"
    )
