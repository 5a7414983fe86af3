"""Images with one class each as a data set of samples."""

from __future__ import annotations

from torch.utils.data import Dataset

from scenekit.data.sample import Sample, Supervision
from scenekit.io.images import read_image
from scenekit.keys import CLASSIFICATION
from scenekit.scene import Scene
from scenekit.structures import ImageClasses, Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES
from scenekit_datasets.image_folder.listing import Listing
from scenekit_datasets.roots import Exif, Faulty, check_index, skipping


class ImageFolder(Dataset[Sample]):
    """Images with one class each; nothing in them is annotated beside.

    Args:
        listing: The images.
        faulty: Whether to refuse damaged images or to skip them.
        exif: Whether to apply EXIF orientations.
    """

    def __init__(self, listing: Listing, *, faulty: Faulty = "refuse", exif: Exif = "apply") -> None:
        self.listing = listing
        self.vocabulary = Vocabulary(things=(), lists={IMAGE_CLASSES: listing.classes})
        self.faulty: Faulty = faulty
        self.exif: Exif = exif

    def __len__(self) -> int:
        return len(self.listing.images)

    def __getitem__(self, index: int) -> Sample:
        """Load one sample.

        Args:
            index: Index of the image.

        Returns:
            The sample.

        Raises:
            InputError: If the image is damaged; SkippedSampleError for faulty="skip".
        """
        check_index(index, len(self))
        name, label = self.listing.images[index]
        path = self.listing.folder / name
        with skipping(self.faulty):
            image = read_image(path, upright=self.exif == "apply")
        scene = Scene(
            size=(int(image.shape[1]), int(image.shape[2])),
            vocabulary=self.vocabulary,
            values={CLASSIFICATION: ImageClasses.of(label)},
            path=str(path),
        )
        nothing = Supervision(frozenset({CLASSIFICATION}), streams=frozenset(), exhaustive=frozenset())
        return Sample(image, scene, nothing, index)
