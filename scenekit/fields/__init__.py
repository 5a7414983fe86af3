"""Kinds of values: how the values of a key are packed, transformed, encoded and decoded."""
