"""Detections of a teacher as labels of what a data set does not annotate (pseudo-labels).

They are positives of their classes and nothing more: the classes count as annotated in part, so that what the teacher
missed is no background, and the ground truth that is counted and measured is without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torchvision.ops import box_iou

from scenekit.data.datasets import SampleSet
from scenekit.data.relabel import relabeled
from scenekit.data.sample import Sample
from scenekit.data.scenes import scene_of
from scenekit.errors import InputError, listed, nearest
from scenekit.keys import OBJECTS, TEACHER_SCORE
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import LabelSpace, TeacherConfig
from scenekit.scene import Objects, Scene
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights import described, load

SHOWN = 5
"""How many classes a message spells out."""


@dataclass(frozen=True)
class TaughtSet:
    """A data set with the objects that a teacher detects beside its own."""

    data: SampleSet
    """The data set."""
    config: TeacherConfig
    """The teacher."""
    classes: tuple[str, ...]
    """Classes of the teacher that are used."""
    detected: dict[int, Objects] = field(default_factory=dict, repr=False, compare=False)
    """What the teacher detected, by number of the sample: each image is shown to it once."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean: the names of the data set, then further ones of the teacher."""
        return self.data.vocabulary.merged(Vocabulary(things=self.classes))

    @cached_property
    def teacher(self) -> SceneModel:
        """The teacher, loaded where it is first used: in the process that loads the data."""
        return load(self.config.model)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = relabeled(self.data[index], self.vocabulary)
        if index not in self.detected:
            self.detected[index] = self._detect(sample)
        return taught(sample, self.detected[index], self.config, self.classes)

    def annotated(self, index: int) -> Sample:
        """Return a sample without the teacher's objects, which it need not be loaded for.

        Args:
            index: The number of the sample.

        Returns:
            The sample; it supervises the same.
        """
        sample = relabeled(self.data[index], self.vocabulary)
        nothing = sample.scene.objects[torch.zeros(0, dtype=torch.int64)]
        return taught(sample, nothing, self.config, self.classes)

    def scene(self, index: int) -> Scene:
        """Return the ground truth of one image, which is without the teacher's objects.

        Args:
            index: The number of the sample.

        Returns:
            The ground truth.
        """
        return scene_of(self.data, index)

    def _detect(self, sample: Sample) -> Objects:
        """Return the detections of the classes that are used, with labels of the data set."""
        network, threshold, things = self.teacher, self.config.threshold, self.vocabulary.things
        providers = [name for name, step in network.plan.steps.items() if OBJECTS in step.provides]
        with torch.inference_mode():
            outputs = network(network.preprocess([sample.image]), tasks=providers, threshold=threshold)
            (found,) = network.scenes(outputs, tasks=(), threshold=threshold)
        labels = torch.tensor([things.index(name) if name in self.classes else -1 for name in found.names()])
        objects = replace(found.objects, labels=labels.long())
        return objects[(labels >= 0).nonzero()[:, 0]]


def taught(sample: Sample, detected: Objects, config: TeacherConfig, classes: tuple[str, ...]) -> Sample:
    """Add the detections of a teacher to a sample, of the classes that it does not cover.

    Args:
        sample: The sample.
        detected: Detections, with labels of its vocabulary and scores.
        config: The teacher.
        classes: Classes of the teacher that are used.

    Returns:
        The sample with further objects, which `TEACHER_SCORE` marks; without the values of other keys.
    """
    claims, things = sample.supervision, sample.scene.vocabulary.things
    labelled = OBJECTS in claims.streams
    scene = sample.scene if labelled else sample.scene.select(OBJECTS, torch.zeros(0, dtype=torch.int64))
    annotated = {name for name in things if labelled and claims.covers(name)}
    unknown = torch.tensor([name not in annotated for name in things])
    new = (box_iou(detected.boxes, scene.objects.boxes) <= config.overlap).all(dim=1)
    added = detected[(unknown[detected.labels] & new).nonzero()[:, 0]]
    supervision = replace(
        claims,
        streams=claims.streams | {OBJECTS},
        classes=frozenset(annotated),
        partial=claims.partial | (frozenset(classes) - annotated),
    )
    return replace(sample, scene=_with_objects(scene, added), supervision=supervision)


def _with_objects(scene: Scene, added: Objects) -> Scene:
    """Append objects to a scene, without values of its other keys."""
    own, count, more = scene.objects, len(scene.objects), len(added)
    columns = {
        name: torch.cat((getattr(own, name), getattr(added, name)))
        for name in ("boxes", "labels", "crowd", "ignore", "area")
    }
    ids = torch.cat((own.ids, int(own.ids.max()) + 1 + torch.arange(more))) if count else torch.arange(more)
    # The value of an appended row is that of another one, and not valid; a scene without objects has none to repeat.
    rows = torch.cat((torch.arange(count), torch.zeros(more, dtype=torch.int64)))
    kept = {key: value for key, value in scene.values.items() if key.of != OBJECTS}
    following = {key: value for key, value in scene.values.items() if key.of == OBJECTS and count}
    values = {**kept, **{key: value[rows] for key, value in following.items()}}
    valid = {key: mask for key, mask in scene.valid.items() if key.of != OBJECTS}
    valid |= {key: torch.cat((scene.rows_with(key), torch.zeros(more, dtype=torch.bool))) for key in following}
    scores = torch.zeros(count) if added.scores is None else torch.cat((torch.zeros(count), added.scores))
    values[TEACHER_SCORE], valid[TEACHER_SCORE] = scores, torch.arange(count + more) >= count
    streams = {**scene.streams, OBJECTS: Objects(**columns, ids=ids)}
    return replace(scene, streams=streams, values=values, valid=valid)


def with_teacher(data: SampleSet, config: TeacherConfig | None, space: LabelSpace | None) -> SampleSet:
    """Add a teacher to a data set.

    Args:
        data: The data set.
        config: The teacher; None for none.
        space: The label space of the run.

    Returns:
        The data set with the teacher's objects; `data` itself without a teacher.

    Raises:
        InputError: If there is no such model, it lacks a class that is named, or none of its classes is known.
    """
    if config is None:
        return data
    theirs = described(config.model)[1].things
    known = data.vocabulary.things if space is None else space.vocabulary.things
    if config.classes is None:
        classes = tuple(name for name in theirs if name in known) if known else theirs
        if not classes:
            raise InputError(
                f"teacher {config.model!r}: none of its classes ({listed(theirs, SHOWN)}) is known here; name those to "
                "use in `classes`, or give them names of the data in a label file"
            )
        return TaughtSet(data, config, classes)
    for name in config.classes:
        if name not in theirs:
            raise InputError(f"teacher {config.model!r} has no class {name!r}{nearest(name, theirs)}")
        if space is not None and name not in known:
            raise InputError(f"teacher {config.model!r}: the label space has no thing {name!r}{nearest(name, known)}")
    return TaughtSet(data, config, config.classes)
