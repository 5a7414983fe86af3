"""One-stage detectors: every cell of every level predicts classes and boxes in one pass."""
