"""Procedural, fully labelled scenes: `generate(seed, index)` draws, renders and annotates one."""

from scenekit_datasets.synthetic.scene import VERSION, Mesh, SyntheticScene, generate

__all__ = ["VERSION", "Mesh", "SyntheticScene", "generate"]
