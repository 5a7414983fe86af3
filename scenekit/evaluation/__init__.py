"""The evaluator protocol, and the loop that measures a model on a data set."""
