"""Pure functions on tensors: boxes, matching, sampling, losses, random numbers."""
