"""The data set `example`: colored rectangles, made up. Read your own images and labels in `__getitem__`."""

from collections.abc import Iterator

import torch

import scenekit as sk

SIZE = (96, 128)


class ExampleData:
    """One rectangle of each class in every image.

    length: how many samples there are.
    """

    def __init__(self, split: str = "train", length: int = 100) -> None:
        self.vocabulary = sk.Vocabulary(things=("red", "green", "blue"))
        self.first = {"train": 0, "val": 1_000_000}[split]  # no sample of one split is in the other
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> sk.Sample:
        """Return one image with its ground truth, equal each time; training augments it."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = self.first + index
        chance = torch.Generator().manual_seed(number)
        image = torch.randint(0, 80, (3, *SIZE), generator=chance, dtype=torch.uint8)
        corners = torch.rand(3, 2, generator=chance) * torch.tensor([64.0, 48.0])
        boxes = torch.cat((corners, corners + 24 + 16 * torch.rand(3, 2, generator=chance)), dim=1).round()
        for channel, (x0, y0, x1, y1) in enumerate(boxes.long().tolist()):
            image[channel, y0:y1, x0:x1] = 255
        objects = sk.Objects(boxes, labels=torch.arange(3))
        scene = sk.Scene(SIZE, self.vocabulary, streams={sk.OBJECTS: objects})
        # Every object of every class is annotated, and nothing else: no keys beside the boxes.
        return sk.Sample(image, scene, sk.Supervision(), id=number)


@sk.hookimpl
def scenekit_datasets() -> Iterator[sk.DatasetSpec]:
    """Register the data set; the entry point in pyproject.toml names this module."""
    yield sk.DatasetSpec(name="example", summary="colored rectangles", build=ExampleData, splits=("train", "val"))
