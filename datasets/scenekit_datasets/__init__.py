"""Data sets that ship with scenekit; each module or folder holds one."""
