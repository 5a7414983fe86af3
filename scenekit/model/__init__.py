"""The one pass: plan, board, heads and postprocessing."""
