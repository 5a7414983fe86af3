"""What a head learned can be handed on to a model with other words."""

from __future__ import annotations

from dataclasses import replace

from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit.testing.bench import Bench, built
from scenekit.testing.check import SkipError, check
from scenekit.testing.toy_core import core_of
from scenekit.weights.transfer import named_axes

NEW = "something new"


@check("let `axis_names` in the head's __init__ name each entry of the axis: sk.rows_by_name, sk.AxisNames")
def row_names(bench: Bench) -> None:
    """What `axis_names` says of parameters that grow with the vocabulary fits them, so that they can be handed on."""
    named = named_axes(bench.model)
    larger = replace(bench, task=built(bench.spec, core_of(with_more(bench.vocabulary)), bench.options)).parts
    for prefix, part in bench.parts.items():
        theirs = larger[prefix].state_dict()
        for name, value in part.state_dict().items():
            declared = {axis.axis for axis in named.get(f"{prefix}.{name}", ())}
            sizes = zip(value.shape, theirs[name].shape, strict=True) if name in theirs else ()
            if grown := [axis for axis, (size, other) in enumerate(sizes) if size != other and axis not in declared]:
                where = f"{name} grows along axis {grown[0]} with the vocabulary"
                raise SkipError(f"{where} and no `axis_names` say how: another model takes it by place or not")


def with_more(vocabulary: Vocabulary) -> Vocabulary:
    """Add one name to every list of a vocabulary, and one point to every skeleton."""
    return replace(
        vocabulary,
        things=(*vocabulary.things, NEW),
        stuff=(*vocabulary.stuff, f"{NEW} behind"),
        predicates=(*vocabulary.predicates, NEW),
        attributes=(*vocabulary.attributes, NEW),
        lists={kind: (*names, NEW) for kind, names in vocabulary.lists.items()},
        skeletons={name: _longer(skeleton) for name, skeleton in vocabulary.skeletons.items()},
    )


def _longer(skeleton: Skeleton) -> Skeleton:
    return replace(skeleton, points=(*skeleton.points, NEW), sigmas=(*skeleton.sigmas, *skeleton.sigmas[-1:]))
