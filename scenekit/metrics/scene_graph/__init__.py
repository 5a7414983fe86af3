"""Scene-graph recall."""
