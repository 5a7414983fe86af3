"""KITTI's object detection benchmark (Geiger et al. 2012), and other data in its layout: 3D boxes, cameras, scans.

Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample


def build(
    root: str,
    split: str = "train",
    splits: str | None = None,
    classes: Sequence[str] | Mapping[str, str] = ("Car", "Pedestrian", "Cyclist"),
    keys: Sequence[str] | None = None,
    difficulty: Literal["easy", "moderate", "hard"] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "refuse",
) -> Dataset[Sample]:
    """The data set, of folders in the official layout.

    root: the folder of training/ and testing/, each with image_2/ and calib/, and label_2/ and velodyne/ where there
    are any; or a folder that has image_2/ itself.
    splits: files with the names of images, one a line, `{split}` in the name of the file (ImageSets/{split}.txt in
    the root, if None and there). Without one, train and trainval are all of training/, and there is no val; test is all
    of testing/.
    classes: the names to learn, or for each name in the files what it shall be called: {Car: car, Van: car}. Vans and
    sitting persons are ignored where only cars and pedestrians are named; objects of other classes are background.
    keys: names of the labels to carry beside objects: boxes3d, truncation, kitti.occluded, depth (all that are there,
    if None). difficulty: objects beyond this official one are ignored, such as those hidden or cut off too far.
    drop_empty: leave out images without an object of these classes.
    faulty: "refuse" what can't be right, or "skip" it with a warning.
    """
    from pathlib import Path

    from scenekit_datasets import roots
    from scenekit_datasets.kitti.dataset import KEYS, Kitti, require_scans
    from scenekit_datasets.kitti.labels import Rules, class_names_of, difficulty_named
    from scenekit_datasets.kitti.layout import found_images

    roots.check_faulty(faulty)
    wanted = roots.keys_named(keys, KEYS, "KITTI has")
    images = found_images(Path(root).expanduser(), split, splits, faulty)
    if keys is not None:
        require_scans(images, wanted)
    rules = Rules(class_names_of(classes), difficulty_named(difficulty))
    return Kitti(images, rules, keys=wanted, drop_empty=drop_empty, faulty=faulty)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `kitti`."""
    yield DatasetSpec(
        "kitti",
        summary="KITTI's folders of images, labels, calibrations and laser scans",
        build=build,
        splits=("train", "val", "trainval", "test"),
    )
