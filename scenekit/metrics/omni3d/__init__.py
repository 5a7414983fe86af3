"""Omni3D's average precision of 3D boxes."""
