"""Data sets that come with scenekit: one module or package for each."""
