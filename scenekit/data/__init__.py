"""Samples, transforms and batches."""
