"""The rules that every task keeps, in the order in which they are checked."""

from scenekit.testing.rules import composition, distributed, inputs, learning, outputs, preparation, weight_transfer

CHECKS = (
    inputs.reads,
    inputs.shapes,
    inputs.batches,
    inputs.no_objects,
    inputs.nothing_applies,
    learning.gradients,
    learning.unlabelled,
    learning.partly_labelled,
    composition.deterministic,
    composition.shared_tensors,
    composition.other_tasks,
    composition.fewer_tasks,
    composition.optional_inputs,
    preparation.prepares,
    outputs.state_dict,
    weight_transfer.row_names,
    outputs.json,
    outputs.original_pixels,
    outputs.measures,
    outputs.draws,
    distributed.two_processes,
)
"""All checks; those after an essential one that is broken are not run."""
