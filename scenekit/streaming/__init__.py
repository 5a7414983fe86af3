"""Live streams: frames as they come, tasks at their own rates, within a budget of time."""
