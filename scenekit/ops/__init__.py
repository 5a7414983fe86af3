"""Pure functions on tensors: boxes, matching, sampling, losses, rotations, cameras, random numbers."""
