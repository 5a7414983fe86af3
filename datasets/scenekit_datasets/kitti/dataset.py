"""KITTI's folders as a data set of samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.io.images import read_image
from scenekit.keys import BOXES3D, DEPTH, OBJECTS, OCCLUSION, TRUNCATION, Key
from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.kitti.calibration import Calibration, read_calibration
from scenekit_datasets.kitti.labels import Rules, read_labels
from scenekit_datasets.kitti.layout import SCANS, Image
from scenekit_datasets.kitti.scans import depth_of, read_scan
from scenekit_datasets.roots import Faulty, report

KEYS: tuple[Key[Any, Any], ...] = (BOXES3D, TRUNCATION, OCCLUSION, DEPTH)
"""What the files label beside objects."""


class Kitti(Dataset[Sample]):
    """Images with their calibration and, where there are any, labels and laser scans.

    rules: which names are learned. keys: what is carried beside objects. drop_empty: leave out images without an
    object of the classes. faulty: refuse what cannot be right, or leave it out with a warning.
    """

    def __init__(
        self,
        pictures: Sequence[Image],
        rules: Rules,
        *,
        keys: Collection[Key[Any, Any]] = KEYS,
        drop_empty: bool = False,
        faulty: Faulty = "refuse",
    ) -> None:
        self.rules, self.keys, self.faulty = rules, frozenset(keys), faulty
        self.vocabulary = Vocabulary(rules.words.things)
        self.pictures = [p for p in pictures if not drop_empty or self._has_objects(p)]
        if not self.pictures:
            raise InputError(f"none of {len(pictures)} images has an object of {', '.join(rules.words.things)}")
        numbered = all(picture.id is not None for picture in self.pictures)
        self.ids = [picture.id if numbered else n for n, picture in enumerate(self.pictures)]
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        """One sample. Raises InputError where a file is damaged, or an object cannot be right and is to be refused."""
        picture = self._image(index)
        image: Tensor = read_image(picture.image)
        size = (int(image.shape[1]), int(image.shape[2]))
        scene = self._scene(picture, size)
        id = self.ids[index]
        assert id is not None
        streams = frozenset(scene.streams)
        return Sample(image, scene, Supervision(frozenset(scene.values), streams=streams, exhaustive=streams), id)

    def _image(self, index: int) -> Image:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a data set of {len(self)}")
        return self.pictures[index]

    def _scene(self, picture: Image, size: Size) -> Scene:
        calibration = read_calibration(picture.calibration)
        scene = Scene(size, self.vocabulary, camera=calibration.camera, path=str(picture.image))
        if picture.labels is not None:
            found = read_labels(picture.labels, self.rules, calibration.shift)
            self._tell(found.faults)
            values = {key: value for key, value in found.values.items() if key in self.keys}
            valid = {key: rows for key, rows in found.valid.items() if key in self.keys}
            scene = replace(scene, streams={OBJECTS: found.objects}, values=values, valid=valid)
        depth = self._depth(picture, calibration, size)
        return scene if depth is None else replace(scene, values={**scene.values, DEPTH: depth})

    def _depth(self, picture: Image, calibration: Calibration, size: Size) -> Float[Tensor, "H W"] | None:
        """None where there is no scan, or none that can be used."""
        if DEPTH not in self.keys or picture.scan is None:
            return None
        try:
            if calibration.scanner is None:
                raise InputError(f"{picture.calibration} has no line 'Tr_velo_to_cam', which {picture.scan} needs")
            points = read_scan(picture.scan)
        except InputError as error:
            self._tell([str(error)])
            return None
        depth = depth_of(points, calibration.scanner, calibration.camera, size)
        if bool(depth.isnan().all()):
            self._tell([_unseen(picture.scan, len(points))])
            return None
        return depth

    def _tell(self, faults: Sequence[str]) -> None:
        """Refuse them, or warn the first time."""
        new = [fault for fault in faults if fault not in self._told]
        report(new, self.faulty)
        self._told.update(new)

    def _has_objects(self, picture: Image) -> bool:
        if picture.labels is None:
            return False
        names = _names(picture.labels)
        return any(name in self.rules.words.labels for name in names)


def require_scans(pictures: Sequence[Image], keys: Collection[Key[Any, Any]]) -> None:
    """Raise InputError where depth is asked for, and no image has a scan."""
    if DEPTH in keys and not any(picture.scan for picture in pictures):
        folder = pictures[0].image.parent.parent / SCANS
        raise InputError(f"keys names {DEPTH.name!r}, but {folder} has no scan, such as {pictures[0].name}.bin")


def _names(path: Path) -> list[str]:
    """The classes of a text file, in lower case."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    return [words[0].lower() for line in lines if (words := line.split())]


def _unseen(scan: Path, count: int) -> str:
    return (
        f"{scan}: none of its {count:,} points is in view of the camera, so that the image gets no depth; do scan and"
        " calibration belong together?"
    )
