"""Visual Genome (Krishna et al. 2017): objects, attributes, relations and described regions, in the official files.

Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample


def build(
    root: str,
    split: str = "train",
    vocabulary: str | Mapping[str, Any] = "vg150",
    splits: str | None = None,
    validation: int = 5000,
    images: str | None = None,
    keys: Sequence[str] | None = None,
    exhaustive: Sequence[str] = (),
    unlisted: Literal["absent", "unknown"] = "absent",
    merge: bool = True,
    min_area: float = 0.0,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "skip",
    cache: str | bool | None = None,
) -> Dataset[Sample]:
    """The data set, of the official files of any version.

    root: the folder of image_data.json, objects.json, relationships.json, attributes.json, region_descriptions.json
    (or NAME_v1_2.json; those that are there), and object_alias.txt and relationship_alias.txt, which are then used.
    images: the folder of VG_100K and VG_100K_2, or of the images (the root, if None).
    vocabulary: "vg150" (150 objects, 50 predicates, 200 attributes); "all" names; "dense_caption" (described regions
    only); a JSON file, such as VG-SGG-dicts.json; or for each of objects, predicates and attributes its names, or how
    many of the most frequent ones: {objects: 500, predicates: 100}. Objects and relations without a word are left out.
    splits: a file that says which images are train, val and test: densecap_splits.json; lists of ids, with `{split}`
    in the name of their file; VG150's array of 0, 1 and 2 as .npy, of which the first `validation` training images
    are val where it has no 1; or "hash", our own 80 : 10 : 10. The split "all" needs none.
    keys: names of the labels to carry beside objects: attributes, relations, phrase_captions (all that are there, if
    None). exhaustive: of objects and phrases those whose unlabelled places count as background; neither is labelled in
    full, but training on Visual Genome alone cannot do without. unlisted: whether an attribute that is not listed is
    absent or unknown, of objects that have one; of others all are unknown.
    merge: join objects that were drawn twice, as in the preparation of VG150. min_area: leave out smaller objects, a
    share of the image's area. drop_empty: leave out images without an object that the vocabulary names.
    faulty: "skip" what cannot be right with a warning, or "refuse" it. cache: folder for the index (False: none; None:
    the user's cache folder).
    """
    from pathlib import Path

    from scenekit.errors import InputError
    from scenekit_datasets import roots
    from scenekit_datasets.visual_genome.dataset import KEYS, VisualGenome
    from scenekit_datasets.visual_genome.image import Rules
    from scenekit_datasets.visual_genome.index import open_index
    from scenekit_datasets.visual_genome.layout import found_files
    from scenekit_datasets.visual_genome.names import NameIndex, chosen_vocabulary
    from scenekit_datasets.visual_genome.splits import in_split

    roots.check_faulty(faulty)
    if unlisted not in ("absent", "unknown"):
        raise InputError(f"unlisted must be 'absent' or 'unknown', got {unlisted!r}")
    rules = Rules(roots.keys_named(keys, KEYS, "Visual Genome has"), merge, min_area, unlisted)
    folder = Path(root).expanduser()
    files = found_files(folder)
    store = roots.cache_folder(cache, "visual_genome", "the index of Visual Genome", "it is built again each time")
    index = open_index(files, store)
    return VisualGenome(
        index,
        folder if images is None else Path(images).expanduser(),
        NameIndex(chosen_vocabulary(vocabulary, index.occurring)),
        rules,
        chosen=in_split(index.ids, split, splits, validation, faulty),
        exhaustive=exhaustive,
        drop_empty=drop_empty,
        faulty=faulty,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `visual_genome`."""
    yield DatasetSpec(
        "visual_genome",
        summary="Visual Genome's files: objects, attributes, relations, described regions",
        build=build,
        splits=("train", "val", "test", "all"),
    )
