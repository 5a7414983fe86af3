"""Training: the loop, schedules, balancing of losses, and the files of a run."""
