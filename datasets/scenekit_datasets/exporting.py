"""What the writers of annotation files have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.structures.vocabulary import Vocabulary


def consistent(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Check, one by one, that samples fit into one annotation file.

    Args:
        samples: The samples.

    Yields:
        The same samples.

    Raises:
        InputError: If there is no sample, two have the same id, or their vocabularies differ.
    """
    vocabulary: Vocabulary | None = None
    ids = set()
    for sample in samples:
        if vocabulary not in (None, sample.scene.vocabulary):
            raise InputError(f"sample {sample.id} has another vocabulary than those before; write one file for each")
        if sample.id in ids:
            raise InputError(f"two samples have the id {sample.id}; ids of images must differ")
        vocabulary = sample.scene.vocabulary
        ids.add(sample.id)
        yield sample
    if vocabulary is None:
        raise InputError("no samples to write: expected at least one")
