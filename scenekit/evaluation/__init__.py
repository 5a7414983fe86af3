"""How good predictions are: metrics by the official protocols, and the loop that runs a model over a data set."""
