"""Images with one class each as a data set of samples."""

from __future__ import annotations

from scenekit.data.sample import Sample, Supervision
from scenekit.keys import CLASSIFICATION
from scenekit.scene import Scene
from scenekit.structures import ImageClasses, Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES
from scenekit_datasets.file_dataset import FileDataset
from scenekit_datasets.image_folder.listing import Listing
from scenekit_datasets.roots import Exif, Faulty


class ImageFolder(FileDataset):
    """Images with one class each; nothing in them is annotated beside.

    Args:
        listing: The images.
        faulty: Whether to refuse damaged images or to skip them.
        exif: Whether to apply EXIF orientations.
    """

    def __init__(self, listing: Listing, *, faulty: Faulty = "refuse", exif: Exif = "apply") -> None:
        super().__init__(faulty, exif)
        self.listing = listing
        self.vocabulary = Vocabulary(things=(), lists={IMAGE_CLASSES: listing.classes})

    def __len__(self) -> int:
        return len(self.listing.images)

    def _sample(self, index: int) -> Sample:
        name, label = self.listing.images[index]
        path = self.listing.folder / name
        image = self._image(path)
        scene = Scene(
            size=(int(image.shape[1]), int(image.shape[2])),
            vocabulary=self.vocabulary,
            values={CLASSIFICATION: ImageClasses.of(label)},
            path=str(path),
        )
        nothing = Supervision(frozenset({CLASSIFICATION}), streams=frozenset(), exhaustive=frozenset())
        return Sample(image, scene, nothing, index)
