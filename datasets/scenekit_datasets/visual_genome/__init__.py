"""Visual Genome (Krishna et al. 2017): objects, attributes, relations and described regions, in the official files.

Everything is imported at first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from scenekit.errors import InputError
from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl
from scenekit.io.files import path_named

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample


def build(
    root: str,
    split: str = "train",
    vocabulary: str | Mapping[str, Any] = "vg150",
    splits: str | None = None,
    validation: int = 5000,
    h5: str | None = None,
    unrelated: bool = False,
    images: str | None = None,
    keys: Sequence[str] | None = None,
    exhaustive: Sequence[str] = ("phrases",),
    unlisted: Literal["absent", "unknown"] = "absent",
    merge: bool = True,
    min_area: float = 0.0,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "skip",
    exif: Literal["apply", "ignore"] = "apply",
    cache: str | bool | None = None,
) -> Dataset[Sample]:
    """Open the official files of any version.

    Objects and relations whose names the vocabulary lacks are skipped.

    Args:
        root: Folder of image_data.json, objects.json, relationships.json, attributes.json, region_descriptions.json (or
            NAME_v1_2.json; those that exist), and of object_alias.txt and relationship_alias.txt, which are applied if
            they exist.
        split: Name of the split; "all" needs no `splits`.
        vocabulary: "vg150" (150 objects, 50 predicates, 200 attributes); "all" names; "dense_caption" (described
            regions only); a JSON file, such as VG-SGG-dicts.json; or for each of objects, predicates and attributes its
            names, or the number of most frequent ones: {objects: 500, predicates: 100}.
        splits: File that assigns images to splits: densecap_splits.json; lists of ids, with `{split}` in the path;
            VG150's array of 0, 1 and 2 as .npy or in its VG-SGG.h5; or "hash", a division 80 : 10 : 10 by a checksum
            of the id.
        validation: Number of first training images that are val where VG150's array has no 1.
        h5: VG150's VG-SGG-with-attri.h5 or VG-SGG.h5, whose objects, relations, attributes and splits replace those of
            the JSON files: the annotations of published numbers. `vocabulary` names its numbers.
        unrelated: Whether the splits of `h5` contain images without a relation; published ones don't.
        images: Folder of VG_100K and VG_100K_2, or of the images; the root, if None.
        keys: Names of the labels to load beside objects: attributes, relations, phrase_captions; all that exist, if
            None.
        exhaustive: Streams, objects or phrases, whose unannotated regions count as background: phrases, as DenseCap is
            trained, with some fifty descriptions an image; not objects, of which most are not annotated, but training
            on Visual Genome alone needs it.
        unlisted: Whether attributes that are not listed are "absent" or "unknown", for objects with attributes; for
            others all are unknown.
        merge: Whether to merge objects that were annotated twice, as in the preparation of VG150; not those of `h5`.
        min_area: Smaller objects are skipped, as a part of the image's area; not those of `h5`.
        drop_empty: Whether to skip images without an object in the vocabulary.
        faulty: "skip" faulty entries with a warning, or "refuse" them.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.
        cache: Folder for the index; False for none; None for the user's cache folder.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.visual_genome.dataset import KEYS, VisualGenome
    from scenekit_datasets.visual_genome.h5_image import open_graph_reader
    from scenekit_datasets.visual_genome.image import ImageReader, Rules, with_known_object
    from scenekit_datasets.visual_genome.index import open_index
    from scenekit_datasets.visual_genome.layout import find_files
    from scenekit_datasets.visual_genome.names import NameIndex, chosen_vocabulary
    from scenekit_datasets.visual_genome.splits import in_split

    rules = Rules(roots.keys_named(keys, KEYS, "Visual Genome has"), merge, min_area, unlisted)
    folder = path_named(root)
    store = roots.cache_folder(cache, "visual_genome", "the index of Visual Genome", "it is built again each time")
    if h5 is None:
        index = open_index(find_files(folder), store)
        reader = ImageReader(index, NameIndex(chosen_vocabulary(vocabulary, index.occurring)), rules)
        chosen = in_split(index.ids, split, splits, validation, faulty)
        if drop_empty:
            chosen &= with_known_object(index, reader.name_index.things)
    else:
        if splits is not None:
            raise InputError("h5 has splits of its own; leave out the option splits, or h5 for the JSON files' objects")
        graphs = open_graph_reader(path_named(h5), folder, store, vocabulary, rules)
        reader, chosen = graphs, graphs.chosen(split, validation, unrelated)
    return VisualGenome(
        reader,
        folder if images is None else path_named(images),
        chosen=chosen,
        exhaustive=exhaustive,
        faulty=faulty,
        exif=exif,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `visual_genome`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "visual_genome",
        summary="Visual Genome's files: objects, attributes, relations, described regions",
        build=build,
        splits=("train", "val", "test", "all"),
        url="https://homes.cs.washington.edu/~ranjay/visualgenome/api.html",
        license="annotations CC BY 4.0; images of Flickr under Creative Commons licenses that the files do not name",
    )
