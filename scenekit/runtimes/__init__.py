"""Networks outside of torch: which modules of a model are networks, and what runs them elsewhere."""
