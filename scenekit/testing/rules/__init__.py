"""The rules that every task keeps, in the order in which they are checked."""

from scenekit.testing.rules import composition as sharing
from scenekit.testing.rules import distributed as processes
from scenekit.testing.rules import inputs as running
from scenekit.testing.rules import learning
from scenekit.testing.rules import outputs as keeping
from scenekit.testing.rules import preparation as preparing
from scenekit.testing.rules import weight_transfer as handing

CHECKS = (
    running.reads,
    running.shapes,
    running.batches,
    running.no_objects,
    running.nothing_applies,
    learning.gradients,
    learning.unlabelled,
    learning.partly_labelled,
    sharing.deterministic,
    sharing.shared_tensors,
    sharing.other_tasks,
    sharing.fewer_tasks,
    sharing.optional_inputs,
    preparing.prepares,
    keeping.state_dict,
    handing.row_names,
    keeping.json,
    keeping.original_pixels,
    keeping.measures,
    keeping.draws,
    processes.two_processes,
)
"""All checks; those after an essential one that is broken are not run."""
