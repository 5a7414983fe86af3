"""KITTI's object detection benchmark (Geiger et al. 2012), and other data in its layout: 3D boxes, cameras, scans.

Everything is imported at first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl
from scenekit.io.files import path_named

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample
    from scenekit.evaluation.results import ResultsWriter


def build(
    root: str,
    split: str = "train",
    splits: str | None = None,
    classes: Sequence[str] | Mapping[str, str] = ("Car", "Pedestrian", "Cyclist"),
    keys: Sequence[str] | None = None,
    difficulty: Literal["easy", "moderate", "hard"] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "refuse",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open folders in KITTI's official layout.

    Vans and sitting persons are ignored where only cars and pedestrians are named; objects of other classes are
    background.

    Args:
        root: Folder of training/ and testing/, each with image_2/ and calib/, and optionally label_2/ and velodyne/; or
            a folder that has image_2/ itself.
        split: Name of the split.
        splits: Files with names of images, one per line; `{split}` in the path stands for the split. By default
            ImageSets/{split}.txt in the root, if it exists; else train and trainval are all of training/, there is no
            val, and test is all of testing/.
        classes: Classes to learn, or for each class of the files its name in the vocabulary: {Car: car, Van: car}.
        keys: Names of the labels to load beside objects: boxes3d, truncation, kitti.occluded, depth; all that exist, if
            None.
        difficulty: Official difficulty; harder objects, such as occluded or truncated ones, are ignored.
        drop_empty: Whether to skip images without an object of these classes.
        faulty: "refuse" faulty entries, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.kitti.dataset import KEYS, Kitti, require_scans
    from scenekit_datasets.kitti.labels import Rules, class_names_of, difficulty_named
    from scenekit_datasets.kitti.layout import find_images

    wanted = roots.keys_named(keys, KEYS, "KITTI has")
    images = find_images(path_named(root), split, splits, faulty)
    if keys is not None:
        require_scans(images, wanted)
    rules = Rules(class_names_of(classes), difficulty_named(difficulty))
    return Kitti(images, rules, keys=wanted, drop_empty=drop_empty, faulty=faulty, exif=exif)


def results(folder: Path, data: Any = None) -> ResultsWriter:
    """Make a writer of predictions.

    Args:
        folder: Where to write.
        data: The data set that they are of, or None.

    Returns:
        The writer.
    """
    from scenekit_datasets.kitti.results import KittiResults

    return KittiResults(folder, data)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `kitti`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "kitti",
        summary="KITTI's folders of images, labels, calibrations and laser scans",
        build=build,
        splits=("train", "val", "trainval", "test"),
        results=results,
        url="https://www.cvlibs.net/datasets/kitti/eval_object.php?obj_benchmark=3d",
        license="annotations and images CC BY-NC-SA 3.0",
    )
