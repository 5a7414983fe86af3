"""Class names of COCO (Lin et al., 2014), which most published detectors use."""

from __future__ import annotations

from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, KeypointRCNN_ResNet50_FPN_Weights

from scenekit.structures import Skeleton, Vocabulary

CATEGORIES: tuple[str, ...] = tuple(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:])
"""Name of category id i + 1 for the 90 ids; "N/A" for ids that COCO does not use."""

THINGS = tuple(name for name in CATEGORIES if name != "N/A")
"""The 80 classes that have objects."""

THINGS_BY_ID = tuple(name if name != "N/A" else f"unused {place}" for place, name in enumerate(CATEGORIES, start=1))
"""All 90 ids, each with a name of its own."""

_STUFF = (
    "banner blanket bridge cardboard counter curtain door-stuff floor-wood flower fruit gravel house light "
    "mirror-stuff net pillow platform playingfield railroad river road roof sand sea shelf snow stairs tent towel "
    "wall-brick wall-stone wall-tile wall-wood water-other window-blind window-other tree-merged fence-merged "
    "ceiling-merged sky-other-merged cabinet-merged table-merged floor-other-merged pavement-merged mountain-merged "
    "grass-merged dirt-merged paper-merged food-other-merged building-other-merged rock-merged wall-other-merged "
    "rug-merged"
)

STUFF = tuple(_STUFF.split())
"""The 53 stuff classes of its panoptic task (Kirillov et al., Panoptic Segmentation, 2019)."""

_POINTS = tuple(KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.meta["keypoint_names"])
_EDGES = "16-14 14-12 17-15 15-13 12-13 6-12 7-13 6-7 6-8 7-9 8-10 9-11 2-3 1-2 1-3 2-4 3-5 4-6 5-7"  # counted from 1
_SIGMAS = (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)  # thousandths

PERSON = Skeleton(
    points=_POINTS,
    edges=tuple(
        (_POINTS[int(first) - 1], _POINTS[int(second) - 1])
        for first, second in (edge.split("-") for edge in _EDGES.split())
    ),
    mirror=tuple((name, name.replace("left", "right")) for name in _POINTS if name.startswith("left")),
    sigmas=tuple(sigma / 1000 for sigma in _SIGMAS),
)
"""The 17 keypoints of a person."""


def vocabulary(things: tuple[str, ...], classes: int, points: int | None, stuff: tuple[str, ...] = ()) -> Vocabulary:
    """Build the vocabulary of a detector.

    Names are COCO's if the number of classes is COCO's, otherwise they are numbered.
    A detector of keypoints has a skeleton for each of its classes; with one class that is the person.

    Args:
        things: Names of the things.
        classes: Number of classes of the detector.
        points: Number of keypoints; None for a detector without them.
        stuff: Names of the stuff.

    Returns:
        The vocabulary.
    """
    if points is None:
        return Vocabulary(known_or_numbered(things, "class", classes), stuff)
    skeleton = PERSON if points == len(PERSON.points) else Skeleton(known_or_numbered((), "point", points))
    names = known_or_numbered(("person",), "class", classes)
    return Vocabulary(names, stuff, skeletons=dict.fromkeys(names, skeleton))


def known_or_numbered(known: tuple[str, ...], word: str, count: int) -> tuple[str, ...]:
    """Return the known names if their number matches, otherwise `word 1` and so on.

    Args:
        known: Known names.
        word: Beginning of numbered names.
        count: Number of names.

    Returns:
        The names.
    """
    return known if len(known) == count else tuple(f"{word} {number}" for number in range(1, count + 1))
