"""The frame of data sets whose samples are read from files."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.io.images import read_image
from scenekit.scene import Scene
from scenekit_datasets.roots import Exif, Faulty, check_index, skipping


class FileDataset(Dataset[Sample]):
    """Images in files; sub-classes have `__len__` and `_sample`.

    Args:
        faulty: Whether to refuse faulty entries and damaged files or to skip them.
        exif: Whether to apply EXIF orientations of images.
    """

    def __init__(self, faulty: Faulty, exif: Exif = "apply") -> None:
        self.faulty: Faulty = faulty
        self.exif: Exif = exif

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        """Load one sample.

        Args:
            index: Index of the image.

        Returns:
            The sample.

        Raises:
            InputError: If a file is damaged, or an entry faulty; SkippedSampleError for faulty="skip".
            IndexError: If there is no such image.
        """
        check_index(index, len(self))
        with skipping(self.faulty):
            return self._sample(index)

    def _sample(self, index: int) -> Sample:
        raise NotImplementedError

    def _image(self, path: Path) -> UInt8[Tensor, "3 H W"]:
        image: Tensor = read_image(path, upright=self.exif == "apply")
        return image


def exhaustive(scene: Scene) -> Supervision:
    """Return the supervision of an image in which everything is annotated that its labels are of.

    Args:
        scene: The labels.

    Returns:
        The supervision.
    """
    streams = frozenset(scene.streams)
    return Supervision(frozenset(scene.values), streams=streams, exhaustive=streams)
