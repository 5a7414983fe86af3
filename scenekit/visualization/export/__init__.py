"""Scenes as files of other programs."""
