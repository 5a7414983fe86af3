"""Procedural clips: the scenes move, and so does the camera; every frame is labelled, and what happens is described."""
